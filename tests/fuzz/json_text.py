"""JSON as providers and clients write it, in short, and the words it is made of."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

_FIXTURES = Path(__file__).resolve().parents[1] / "fixtures"
_MAX_DOCUMENT_BYTES = 2000
_NAME = re.compile(rb'"[A-Za-z_.-]{2,40}"')


def _documents() -> list[bytes]:
    """Return documents of the answers in tests/fixtures: each of a few dozen kinds."""
    found: dict[bytes, None] = {}
    for path in sorted(_FIXTURES.glob("*/*/response.body")):
        body = path.read_bytes()
        lines = [line.partition(b"data:")[2] if line.startswith(b"data:") else line for line in body.splitlines()]
        for text in (body, *lines[:6], *lines[-3:]):
            if len(text) <= _MAX_DOCUMENT_BYTES and _is_object(text):
                found[text.strip()] = None
    for path in sorted(_FIXTURES.glob("*/*/case.json")):
        for each in json.loads(path.read_text()).get("frames", ()):
            document: Any = each.get("document") or each.get("chunk")
            if document is not None:
                found[json.dumps(document).encode()] = None
    return list(found)


def _is_object(text: bytes) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except ValueError:
        return False


DOCUMENTS = tuple(_documents())

_NAMES = sorted({name for document in DOCUMENTS for name in _NAME.findall(document)})

JSON_WORDS = (
    *_NAMES,
    b'"stream":true',
    b"null",
    b"true",
    b"-1",
    b"1e400",
    b"9007199254740993",
    b"{}",
    b"[]",
    b'"\\ud800"',
)
