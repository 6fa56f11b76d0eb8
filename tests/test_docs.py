"""The pages that are written from tables are what the tables say."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest
import yaml
from prometheus_client import CollectorRegistry
from pydantic import BaseModel

from extproc.budgets.metrics import BudgetMetrics
from extproc.budgets.rules import Rule
from extproc.config.bounds import BoundSettings
from extproc.config.budgets import BudgetDescriptor, BudgetLimit, BudgetSettings
from extproc.config.documents import MAX_FILE_BYTES
from extproc.config.labels import LabelSettings, LabelsSettings
from extproc.config.loading import load_settings
from extproc.config.otel_environment import USED_VARIABLES
from extproc.config.parsing import MAX_DEPTH
from extproc.config.settings import Settings
from extproc.config.telemetry import (
    BackendTraces,
    CustomLabel,
    ExportersOverride,
    GlobalLayer,
    Histograms,
    Layers,
    OtlpExporter,
    Override,
    PrometheusExporter,
    Queue,
    Telemetry,
    TlsSettings,
)
from extproc.config.yaml_documents import MAX_YAML_CHARACTERS
from extproc.errors import EXIT_CUT, EXIT_FAILURE, EXIT_USAGE, Bound
from extproc.injection import KNOWN_PROVIDERS, Outcome
from extproc.providers.detect import FLAVOURS
from extproc.providers.vendors import VENDORS
from extproc.reloading import FIXED
from extproc.wire.ratelimit import Limit, Unit

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(name="generator")
def _generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate_docs", ROOT / "tools" / "generate_docs.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_of_providers_is_true(generator: ModuleType) -> None:
    """Whoever changes a table runs `make docs`."""
    page = (ROOT / "docs" / "providers.md").read_text()
    assert page == generator.render()
    assert all(f"`{vendor.provider}`" in page for vendor in VENDORS)
    assert all(f"`{name}`" in page for name in FLAVOURS)


def test_the_page_on_usage_tells_every_outcome() -> None:
    """Whoever finds one in a metric looks it up there."""
    page = (ROOT / "docs" / "usage.md").read_text()
    table = page.partition("| outcome | meaning |")[2].partition("\n\n")[0]
    named = {name for row in table.splitlines()[2:] for name in re.findall(r"`(\w+)`", row.split("|")[1])}
    assert named == set(Outcome)
    known = page.partition("Known to take it")[2].partition("Others report")[0]
    assert set(re.findall(r"`([\w.]+)`", known)) - {"auto"} == KNOWN_PROVIDERS


TELEMETRY = (ROOT / "docs" / "telemetry.md").read_text()
SECTIONS = (
    Telemetry, CustomLabel, Histograms, Queue, PrometheusExporter, OtlpExporter, TlsSettings, Layers, GlobalLayer,
    BackendTraces, Override, ExportersOverride,
)  # fmt: skip


@pytest.mark.parametrize("section", SECTIONS)
def test_the_page_of_telemetry_has_every_setting(section: type[BaseModel]) -> None:
    """By its name."""
    words = set(re.findall(r"\w+", TELEMETRY))
    assert {field.alias or name for name, field in section.model_fields.items()} - words == set()


def test_the_page_of_telemetry_has_every_variable() -> None:
    """Those of exporters by their parts."""
    words = set(re.findall(r"\w+", TELEMETRY))
    names = {re.sub("^OTEL_EXPORTER_OTLP_((TRACES|METRICS)_)?", "", name) for name in USED_VARIABLES}
    assert names - words == set()


EXAMPLES = re.findall(r"```yaml\n(.*?)```", TELEMETRY, re.DOTALL)


@pytest.mark.parametrize("example", EXAMPLES)
def test_the_examples_of_telemetry_can_be_loaded(example: str) -> None:
    """As they stand; each of them says something."""
    telemetry = Settings.model_validate(yaml.safe_load(example)).telemetry
    assert telemetry is not None
    assert telemetry != Telemetry()


CONFIGURATION = (ROOT / "docs" / "configuration.md").read_text()


@pytest.mark.parametrize("example", re.findall(r"```yaml\n(.*?)```", CONFIGURATION, re.DOTALL))
def test_the_examples_of_configuration_can_be_loaded(example: str) -> None:
    """Also the one that `extproc config show` prints."""
    Settings.model_validate(yaml.safe_load(example) or {})


LABELS = (ROOT / "docs" / "labels.md").read_text()


@pytest.mark.parametrize("example", re.findall(r"```yaml\n(.*?)```", LABELS, re.DOTALL))
def test_the_example_of_labels_can_be_loaded(tmp_path: Path, example: str) -> None:
    """And has rules for no labels but those that there are."""
    file = tmp_path / "c.yaml"
    file.write_text(example)
    assert load_settings({}, {}, [file], None).settings.labels.rules


def test_the_page_of_labels_has_every_setting() -> None:
    """By its name."""
    words = set(re.findall(r"\w+", LABELS))
    assert {*LabelsSettings.model_fields, *LabelSettings.model_fields} - words == set()


BUDGETS = (ROOT / "docs" / "budgets.md").read_text()


@pytest.mark.parametrize("section", [BudgetSettings, BudgetDescriptor, BudgetLimit])
def test_the_page_of_budgets_has_every_setting(section: type[BaseModel]) -> None:
    """And what each has by default."""
    assert all(re.search(rf"`{name}[`:]", BUDGETS) for name in section.model_fields)
    rows = dict(re.findall(r"^\| `(\w+)` \| `?([\w.:]+)`? \|", BUDGETS, re.MULTILINE))
    defaults = {name: field.default for name, field in BudgetSettings.model_fields.items()}
    assert rows == {name: str(default) if default else "none" for name, default in defaults.items()}


def test_the_page_of_budgets_has_every_metric() -> None:
    """With its labels, and no other."""
    registry = CollectorRegistry()
    metrics = BudgetMetrics(registry)
    rule = Rule("d", "r", Limit(1, Unit.DAY))
    metrics.show([rule])
    named = {
        (sample.name, frozenset(sample.labels))
        for family in registry.collect()
        for sample in family.samples
        if not sample.name.endswith(("_bucket", "_sum", "_created"))
    }
    told = re.findall(r"^\| `(extproc_budget_\w+)(?:{([\w,]+)})?`", BUDGETS, re.MULTILINE)
    as_sampled = {(name if name.endswith("_total") else f"{name}_count", labels) for name, labels in told}
    assert {(name, frozenset(filter(None, labels.split(",")))) for name, labels in as_sampled} == named


def test_the_example_of_budgets_can_be_loaded() -> None:
    """As it stands there."""
    (example,) = re.findall(r"^```yaml\n(.*?)^```", BUDGETS, re.MULTILINE | re.DOTALL)
    assert Settings.model_validate(yaml.safe_load(example)).budgets is not None


def test_the_bounds_of_files_are_those_it_says() -> None:
    """In bytes and levels."""
    assert (MAX_FILE_BYTES, MAX_YAML_CHARACTERS, MAX_DEPTH) == (4 * 2**20, 2**20, 64)
    assert "up to 4 MiB, in YAML up to 1 MiB and 64 levels" in CONFIGURATION


def test_what_waits_for_the_next_start_is_what_the_page_says() -> None:
    """Of all settings; the others are put into force by a reload."""
    page = (ROOT / "docs" / "operations.md").read_text()
    told = page.partition("These wait for the next start")[2].partition("Settings from a pipe")[0]
    assert set(re.findall(r"`([a-z_]+)`", told)) == set(FIXED) <= set(Settings.model_fields)


def test_the_exit_codes_of_serve_are_those_of_the_page() -> None:
    """By their numbers."""
    rows = re.findall(r"^\| (\d) \|", (ROOT / "docs" / "operations.md").read_text(), re.MULTILINE)
    assert [int(row) for row in rows] == [0, EXIT_FAILURE, EXIT_USAGE, EXIT_CUT]


def test_the_page_of_limits_has_every_bound_with_its_default() -> None:
    """By the name under which it is counted."""
    text = (ROOT / "docs" / "limits.md").read_text()
    told = dict(re.findall(r"^\| `(\w+)` \| `?([^|`]+)`? \|", text, flags=re.MULTILINE))
    assert list(told) == [bound.value for bound in Bound]
    units = {"KiB": 1024, "MiB": 1024**2, "GiB": 1024**3}
    for name, default in told.items():
        number, _, unit = default.strip().partition(" ")
        value = int(number) * units.get(unit, 1) if number.isdigit() else number
        assert value == BoundSettings.model_fields[name].default, name
    others = set(BoundSettings.model_fields) - set(told)
    assert all(f"`{name}`" in text for name in others)
