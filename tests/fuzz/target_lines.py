"""Lines of JSON, and what is one document or lines of them."""

from __future__ import annotations

from fuzz.checking import check_framing
from fuzz.choices import Choices
from fuzz.target import Target

from extproc.codec.condense import Condenser
from extproc.codec.ndjson import NDJSON, DocumentOrLines
from extproc.codec.payload import BOM, NOTHING, Payload
from extproc.errors import DecodeError, Reason

_BOUNDS = (1 << 20, 256, 16, 1)
_MAX_START_BYTES = 64 * 1024


def check(data: bytes) -> None:
    """Cuts change nothing; what comes out is what stands between line ends, however it was known for lines."""
    choices = Choices(data)
    bound, is_labelled, places = choices.one_of(_BOUNDS), choices.flag(), choices.cuts(4)
    body = choices.rest()
    payloads, end = check_framing(lambda: NDJSON(bound), body, places, bound)
    assert end is None
    expected = [line for line in (_expected(line, bound) for line in body.split(b"\n")) if line is not None]
    assert [payload for payload in payloads if payload is not NOTHING] == expected

    def either() -> DocumentOrLines:
        return DocumentOrLines(is_labelled=is_labelled, max_document_bytes=max(bound, 64), max_line_bytes=bound)

    check_framing(either, body, places, _MAX_START_BYTES + max(bound, 64))


def _expected(line: bytes, bound: int) -> Payload | None:
    """Return what a line is told as; None for one with nothing in it. Of a long one the short parts are left."""
    if len(line) <= bound:
        return Payload(line.strip()) if line.strip() else None
    condenser = Condenser(bound)
    try:
        condenser.feed(line.removeprefix(BOM))
        left = condenser.finish().strip()
    except DecodeError:
        return Payload(b"", lost=Reason.TOO_LARGE)
    return Payload(left) if left else None


def seeds() -> list[bytes]:
    """Return lines, documents, and what is neither."""
    bodies = [
        b'{"a": 1}\n{"b": 2}\n{"done": true}',
        b'{\n "a": 1\n}\n',
        b'{"a": 1}\r\n\r\n  {"b": "' + 40 * b"x" + b'"}\n',
        b'{"a": 1}\n\n\n' + b" \n" * 20,
        b'{"a": "' + b"a" * 300 + b'", "b": [' + b"1, " * 100 + b"1]}\n{}\n" + b" " * 300 + b"\n",
        b"{}{}\n[1]\n",
    ]
    return [bytes((bound, label, 9, 80, 150, 240)) + body for bound in range(4) for label in (0, 1) for body in bodies]


TARGET = Target("lines", check, seeds, ("extproc.codec.ndjson",), (b"{", b"}\n", b"}\n{", b'"a":1', b"\r\n"))
