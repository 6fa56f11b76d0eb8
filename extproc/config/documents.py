"""Configuration files: YAML or JSON, ours and other systems'.

Owns: reading them, and telling whose each document is by its shape. A document of KrakenD's or kgateway's is turned
into our schema in a file of its own, which is loaded when there is one. Knows nothing of single settings.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from extproc.config.sources import Document, Origin
from extproc.errors import SettingsError

# Where kgateway mounts the settings of its AI extension.
MOUNTED = Path("/var/run/ai-otel-config")
_MOUNTED_FILES = ("stats.json", "tracing.json")

_KRAKEND_KEYS = {"extra_config", "telemetry/opentelemetry", "telemetry/opentelemetry-security"}
_KGATEWAY_KEYS = {"kind", "customLabels", "stats", "tracing", "grpc", "endpoint", "sampler"}


def read_file(path: Path, prefix: str = "--config: ") -> list[Document]:
    """Return the documents in a file, each in our schema. Raises SettingsError for a file that holds none."""
    documents: list[Document] = []
    for content in _read(path, prefix):
        if content is None:
            continue
        if not isinstance(content, dict):
            raise SettingsError(f"{prefix}{path} must be a mapping of settings to values")
        documents.extend(_translate(content, f" in {path}"))
    return documents


def mounted_files(folder: Path) -> list[Path]:
    """Return the files that kgateway has mounted, if it has."""
    return [folder / name for name in _MOUNTED_FILES if (folder / name).is_file()]


def _translate(content: dict[str, Any], source: str) -> Iterator[Document]:
    if content.keys() & _KRAKEND_KEYS:
        from extproc.config.krakend import translate  # noqa: PLC0415 - who has no such document need not load it

        yield translate(content, source)
    elif content.keys() & _KGATEWAY_KEYS and "telemetry" not in content:
        from extproc.config.kgateway import translate_all  # noqa: PLC0415 - as above

        yield from translate_all(content, source)
    else:
        yield Document(Origin("", source), content)


def _read(path: Path, prefix: str) -> list[Any]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise SettingsError(f"{prefix}cannot read {path}: {reason}") from None
    try:
        return [_with_names(content) for content in _parse(text)]
    except RecursionError:
        raise SettingsError(f"{prefix}{path} is not YAML or JSON: it is nested too deep") from None
    except ValueError as error:
        # A mark is YAML's; a ValueError without is how its parser says that a date or a number is none.
        mark = getattr(error.__cause__, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        raise SettingsError(f"{prefix}{path}{where} is not YAML or JSON") from None


def _parse(text: str) -> list[Any]:
    """Return the documents in a text. Raises ValueError and RecursionError."""
    try:
        return [json.loads(text)]  # not all JSON is YAML: tabs
    except ValueError:
        pass
    import yaml  # noqa: PLC0415 - only who has such a file pays for the parser

    try:
        return list(yaml.safe_load_all(text))
    except yaml.YAMLError as error:
        raise ValueError("not YAML") from error


def _with_names(content: Any) -> Any:
    """Return a document in which every key is text: YAML has others."""
    if isinstance(content, dict):
        return {str(key): _with_names(value) for key, value in content.items()}
    return [_with_names(value) for value in content] if isinstance(content, list) else content
