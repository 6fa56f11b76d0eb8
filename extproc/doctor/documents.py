"""Reading JSON of which nobody has promised the shape.

Owns: how a value is asked for that may not be there, or may be something else: Envoys differ, and so do the extensions
they are built with. Nothing in here raises. Must not know what the documents are about.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, TypeAlias

Object: TypeAlias = dict[str, Any]

# Types of Envoy's that hold the configuration of an extension that has no proto of its own.
_UNTYPED = ("xds.type.v3.TypedStruct", "udpa.type.v1.TypedStruct")

_DURATION = re.compile(r"(\d{1,12}(?:\.\d{1,9})?)s", re.ASCII)

# Deeper than any configuration is nested.
_MAX_DEPTH = 100


def dig(document: Any, *path: str) -> Any:
    """Return what stands at a path of keys; None where there is nothing."""
    for key in path:
        if not isinstance(document, dict):
            return None
        document = document.get(key)
    return document


def obj(document: Any, *path: str) -> Object:
    """Return the object at a path; an empty one where there is none."""
    found = dig(document, *path)
    return found if isinstance(found, dict) else {}


def objects(document: Any, *path: str) -> list[Object]:
    """Return the objects in the list at a path."""
    found = dig(document, *path)
    return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []


def text(document: Any, *path: str) -> str:
    """Return the text at a path; an empty one where there is none."""
    found = dig(document, *path)
    return found if isinstance(found, str) else ""


def texts(document: Any, *path: str) -> tuple[str, ...]:
    """Return the texts in the list at a path."""
    found = dig(document, *path)
    return tuple(each for each in found if isinstance(each, str)) if isinstance(found, list) else ()


def is_true(document: Any, *path: str) -> bool:
    """Say whether there is a true at a path, by itself or as the value of Envoy's wrapper of one."""
    found = dig(document, *path)
    return found is True or (isinstance(found, dict) and found.get("value") is True)


def number(document: Any, *path: str) -> float | None:
    """Return the number at a path. In JSON a large one is a text."""
    found = dig(document, *path)
    if isinstance(found, bool):
        return None
    if isinstance(found, int | float):
        return float(found)
    if isinstance(found, str) and found.isascii() and found.isdecimal() and len(found) <= 20:  # noqa: PLR2004 - of 64 bits
        return float(found)
    return None


def seconds(document: Any, *path: str) -> float | None:
    """Return the duration at a path, as JSON has it: 0.200s."""
    match = _DURATION.fullmatch(text(document, *path))
    return None if match is None else float(match[1])


def message(document: Any) -> tuple[str, Object]:
    """Return the last word of the type of an Any, and what it holds; no word where there is none."""
    if not isinstance(document, dict):
        return "", {}
    url = text(document, "@type")
    if url.endswith(_UNTYPED):
        return text(document, "type_url").rpartition("/")[2].rpartition(".")[2], obj(document, "value")
    return url.rpartition("/")[2].rpartition(".")[2], document


def walk(document: Any, depth: int = 0) -> Iterator[Any]:
    """Yield a document and all there is in it."""
    yield document
    if depth >= _MAX_DEPTH:
        return
    if isinstance(document, dict):
        for each in document.values():
            yield from walk(each, depth + 1)
    elif isinstance(document, list):
        for each in document:
            yield from walk(each, depth + 1)
