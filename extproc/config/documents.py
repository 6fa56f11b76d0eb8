"""Configuration files: YAML or JSON, ours and other systems'.

Owns: reading them, and telling whose each document is by its shape. A document of KrakenD's or kgateway's is turned
into our schema in a file of its own, which is loaded when there is one. Knows nothing of single settings.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from extproc.config.lines import Duplicate, Lines, Mark
from extproc.config.parsing import NotReadableError, Parsed, parse
from extproc.config.problems import shown
from extproc.config.sources import Document, Origin, Remark

# Far more than settings need; what is larger was not meant, and could only take long to read.
MAX_FILE_BYTES = 4 * 2**20

# By which editors know what may stand in a JSON file.
SCHEMA_KEY = "$schema"

# Where kgateway mounts the settings of its AI extension.
MOUNTED = Path("/var/run/ai-otel-config")
_MOUNTED_FILES = ("stats.json", "tracing.json")

_KRAKEND_KEYS = {"extra_config", "telemetry/opentelemetry", "telemetry/opentelemetry-security"}
_KRAKEND_COMMENTS = ("@", "$", "_", "#")
_KGATEWAY_KEYS = {"kind", "customLabels", "stats", "tracing", "grpc", "endpoint", "sampler"}


def read_file(path: Path) -> list[Document]:
    """Return the documents in a file, each in our schema, with what is wrong with them."""
    return [document for plain in read_plain(path) for document in _translated(plain)]


def read_plain(path: Path) -> list[Document]:
    """Return the documents in a file, each as it stands there, with what is wrong with them."""
    try:
        parsed = parse(_read(path), expects_json=path.suffix == ".json")
    except NotReadableError as error:
        origin = Origin("", str(path), _line(error.line))
        return [Document(origin, problems=[Remark(origin, str(error))])]
    return [_plain(each, str(path)) for each in parsed]


def mounted_files(folder: Path) -> list[Path]:
    """Return the files that kgateway has mounted, if it has."""
    return [folder / name for name in _MOUNTED_FILES if (folder / name).is_file()]


def _line(line: int | None) -> Lines | None:
    return None if line is None else Lines(Mark(line))


def _read(path: Path) -> str:
    """Return the text of a file, with one kind of line breaks. Raises NotReadableError."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
        if len(content) > MAX_FILE_BYTES:
            raise NotReadableError(f"this is no file of settings: it has more than {MAX_FILE_BYTES} bytes", None)
        text = content.decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise NotReadableError(f"cannot read it: {reason}", None) from None
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _plain(parsed: Parsed, file: str) -> Document:
    origin = Origin("", file, parsed.lines)
    content = parsed.content
    if not isinstance(content, dict):
        problem = Remark(origin, f"a mapping of settings to values is expected, not {shown(content)}")
        return Document(origin, problems=[problem])
    is_krakend = bool(content.keys() & _KRAKEND_KEYS)
    problems = [
        _twice(each, origin)
        for each in parsed.duplicates
        if not (is_krakend and str(each.loc[-1]).startswith(_KRAKEND_COMMENTS))
    ]
    return Document(origin, content, problems=problems)


def _translated(plain: Document) -> Iterator[Document]:
    yield Document(plain.origin, problems=plain.problems)
    if plain.values:
        yield from _translate(plain.values, plain.origin, is_krakend=bool(plain.values.keys() & _KRAKEND_KEYS))


def _twice(duplicate: Duplicate, origin: Origin) -> Remark:
    where = origin.inside(duplicate.loc)
    if where.lines is None:
        return Remark(where, "it is there twice")
    text = f"it is there twice; the first is in line {duplicate.first_line}"
    return Remark(replace(where, lines=_line(duplicate.line)), text)


def _translate(content: dict[str, Any], origin: Origin, *, is_krakend: bool) -> Iterator[Document]:
    if is_krakend:
        from extproc.config.krakend import translate  # noqa: PLC0415 - who has no such document need not load it

        yield translate(content, origin)
    elif content.keys() & _KGATEWAY_KEYS and "telemetry" not in content:
        from extproc.config.kgateway import translate_all  # noqa: PLC0415 - as above

        yield from translate_all(content, origin)
    else:
        content.pop(SCHEMA_KEY, None)
        yield Document(origin, content)
