"""From flags, environment and files to settings.

Owns: the order in which sources are asked: flag, environment, file, default; and that all that is wrong is said at
once. What other systems' documents and variables mean is known to files of their own.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from extproc.config.budgets import BudgetSettings, find_without_effect
from extproc.config.documents import MOUNTED, mounted_files, read_file
from extproc.config.labels import LabelsSettings, check_labels
from extproc.config.lines import Loc
from extproc.config.prices import PriceSettings
from extproc.config.problems import remarks_of
from extproc.config.rate_limit import RateLimitSettings
from extproc.config.settings import (
    ENV_PREFIX,
    KGATEWAY_ENV,
    TELEMETRY_ENV_PREFIXES,
    DetectionRule,
    ListenTls,
    Settings,
    unknown_variables,
)
from extproc.config.sources import Document, Origin, Remark, Tree, in_order
from extproc.config.telemetry import Telemetry
from extproc.config.transport import check as check_transport
from extproc.config.usage import UsageSettings
from extproc.errors import SettingsError

# What is given as JSON in a variable, and what is said of text that is none.
_JSON_KINDS: dict[Any, str] = {
    tuple[DetectionRule, ...]: "a list of rules in JSON is expected",
    **dict.fromkeys(
        (
            LabelsSettings,
            UsageSettings,
            PriceSettings,
            RateLimitSettings,
            BudgetSettings | None,
            Telemetry | None,
            ListenTls | None,
        ),
        "a mapping in JSON is expected",
    ),
}

_SDK_DISABLED = "OTEL_SDK_DISABLED"

# What the environment adds to what files have, in the place of replacing it.
_ADDED = (("exporters", "prometheus"), ("exporters", "otlp"), ("custom_labels",))


@dataclass(frozen=True, slots=True)
class Loaded:
    """Settings, where their values are from, what of that does not apply, and what there is to know.

    `files` are those that settings name, beside those they stand in: whoever looks for changes looks at them too.
    """

    settings: Settings
    tree: Tree
    remarks: tuple[Remark, ...] = ()
    notes: tuple[str, ...] = ()
    files: tuple[Path, ...] = ()

    @property
    def warnings(self) -> tuple[str, ...]:
        """The remarks as lines."""
        return tuple(map(str, self.remarks))


class _Loading:
    """The sources under way to settings, and what has been found wrong with them."""

    def __init__(self, files: Sequence[Path]) -> None:
        self.tree = Tree()
        self.files = files
        self.problems: list[Remark] = []
        self.warnings: list[Remark] = []
        self.budget_files: list[Path] = []

    def in_order(self, remarks: Iterable[Remark]) -> list[Remark]:
        return in_order(remarks, map(str, (*self.files, *self.budget_files)))

    def read_files(self) -> None:
        documents: list[Document] = []
        for file in self.files:
            documents.extend(read_file(file))
        for document in documents:
            self.tree.merge(document.of_defaults())
        for document in documents:
            self.merge(document)

    def merge(self, document: Document) -> None:
        self.tree.merge(document)
        self.warnings += document.warnings
        self.problems += document.problems

    def read_environment(self, environ: Mapping[str, str]) -> None:
        own = self._own_variables(environ)
        others = _telemetry_variables(environ)
        added = {loc: items for loc in _ADDED if (items := _taken_out(others.values["telemetry"], loc))}
        before = self.tree.values.get("telemetry")
        if isinstance(before, dict) or (before is None and (added or own.values.get("telemetry") is not None)):
            self.merge(others)
        self.merge(own)
        self.warnings += [Remark(Origin(name), "no such setting") for name in unknown_variables(environ)]
        for loc, items in added.items():
            self.tree.append(("telemetry", *loc), items, others)

    def read_flags(self, flags: Mapping[str, Any]) -> None:
        given = {name: value for name, value in flags.items() if value is not None}
        origins: dict[Loc, Origin] = {(name,): Origin(f"--{name.replace('_', '-')}") for name in given}
        self.merge(Document(Origin(""), given, origins=origins))

    def read_budgets(self) -> None:
        from extproc.config.budget_files import read_budget_files  # noqa: PLC0415 - as for telemetry

        self.budget_files, problems = read_budget_files(self.tree)
        self.problems += problems

    def finish(self, *, reads_certificates: bool) -> Settings:
        settings = None
        try:
            settings = Settings.model_validate(self.tree.values)
        except ValidationError as error:
            self.problems += remarks_of(error, Settings, self.tree)
        if self.tree.values.get("telemetry") is not None:
            from extproc.config.consistency import check  # noqa: PLC0415 - who has no telemetry need not load it

            self.problems += check(self.tree, reads_certificates=reads_certificates)
        self.problems += check_labels(self.tree, reads_files=reads_certificates)
        self.problems += check_transport(self.tree, reads_certificates=reads_certificates)
        if settings is None or self.problems:
            raise SettingsError("\n".join(map(str, self.in_order(self.problems))))
        if settings.budgets is not None:
            vain = (self.tree.where(("budgets", *loc)) for loc in find_without_effect(settings.budgets))
            self.warnings += [Remark(where, "values that clients send are no labels of metrics here") for where in vain]
        return settings

    def _own_variables(self, environ: Mapping[str, str]) -> Document:
        """Return the settings in our variables, and below them in kgateway's."""
        document = Document(Origin(""))
        fields = {ENV_PREFIX + name.upper(): name for name in Settings.model_fields}
        for variable, name in (KGATEWAY_ENV | fields).items():
            if not environ.get(variable):
                continue
            try:
                document.values[name] = _from_text(Settings.model_fields[name].annotation, environ[variable])
                document.origins[name,] = Origin(variable)
            except SettingsError as error:
                self.problems.append(Remark(Origin(variable), str(error)))
        return document


def load_settings(
    flags: Mapping[str, Any],
    environ: Mapping[str, str],
    config_files: Sequence[Path] = (),
    mounted: Path | None = MOUNTED,
) -> Loaded:
    """Return the settings from flags (None: not given), environment and files, of which the later win.

    `mounted` is the folder in which kgateway mounts what it has for telemetry; it is read before all other files. None
    says that the settings are for another machine: neither that folder nor files of certificates are looked for here.
    Raises SettingsError, with one line for each thing that can't work.
    """
    found = mounted_files(mounted) if mounted else []
    loading = _Loading([*found, *config_files])
    loading.read_files()
    loading.read_environment(environ)
    loading.read_flags(flags)
    if mounted and loading.tree.values.get("budgets") is not None:
        loading.read_budgets()
    settings = loading.finish(reads_certificates=mounted is not None)
    if settings.telemetry is not None and environ.get(_SDK_DISABLED, "").strip().lower() == "true":
        settings = settings.model_copy(update={"telemetry": None})
        off = Remark(Origin(_SDK_DISABLED), "telemetry is configured, and is off")
        origins: dict[Loc, Origin] = {("telemetry",): off.origin}
        loading.merge(Document(off.origin, {"telemetry": None}, origins=origins, warnings=[off]))
    notes = [f"telemetry: settings of kgateway's are in {file}" for file in found]
    warnings = tuple(loading.in_order(loading.warnings))
    return Loaded(settings, loading.tree, warnings, tuple(notes), tuple(loading.budget_files))


def _telemetry_variables(environ: Mapping[str, str]) -> Document:
    if not any(name.startswith(TELEMETRY_ENV_PREFIXES) for name in environ):
        return Document(Origin(""), {"telemetry": {}})
    from extproc.config.otel_environment import read_environment  # noqa: PLC0415 - as for the documents of others

    return read_environment(environ)


def _taken_out(telemetry: dict[str, Any], loc: tuple[str, ...]) -> list[Any]:
    """Return a list in telemetry, which has it no longer."""
    *path, name = loc
    inner = telemetry
    for key in path:
        inner = inner.get(key, {})
    items: list[Any] = inner.pop(name, [])
    return items


def _from_text(annotation: Any, text: str) -> Any:
    """Return the value a variable says: names with commas between them, some as JSON, anything else as it is."""
    if annotation == tuple[str, ...]:
        return [part.strip() for part in text.split(",")]
    if annotation not in _JSON_KINDS:
        return text
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise SettingsError(_JSON_KINDS[annotation]) from None
