"""`include_usage` taken out of answers: what comes out is what the provider would have sent without it."""

from __future__ import annotations

from fuzz.checking import assert_same, held_bytes, ways_to_cut
from fuzz.choices import Choices
from fuzz.target import Target

from extproc.include_usage import UsageFilter

_BOUNDS = (16, 64, 256)
_LINE_ENDS = (b"\n", b"\r\n", b"\r")
_USAGE = b'{"choices":[],"usage":{"prompt_tokens":3}}'
_ENOUGH_BYTES = 1 << 24


def check(data: bytes) -> None:
    """Cuts change nothing, what has no usage stays as it is, and of an answer that was added to the rest is left."""
    choices = Choices(data)
    is_built, null, bound, places = choices.flag(), choices.flag(), choices.one_of(_BOUNDS), choices.cuts(4)
    if is_built:
        body, expected = _build(choices, null=null)
        assert assert_same(_filter(null, _ENOUGH_BYTES, chunks) for chunks in ways_to_cut(body, places)) == expected
        return
    body = choices.rest()
    filtered = assert_same(_filter(null, _ENOUGH_BYTES, chunks) for chunks in ways_to_cut(body, places))
    assert _is_left_of(filtered, body)
    if b'"usage"' not in body:
        assert filtered == body
    for chunks in ways_to_cut(body, places):
        assert _is_left_of(_filter(null, bound, chunks), body)


def _filter(null: bool, bound: int, chunks: list[bytes]) -> bytes:
    usage_filter = UsageFilter(null=null, max_event_bytes=bound)
    out = bytearray()
    for chunk in chunks:
        out += usage_filter.feed(chunk)
        assert held_bytes(usage_filter) <= bound
    return bytes(out + usage_filter.finish())


def _is_left_of(some: bytes, of: bytes) -> bool:
    """Say whether bytes are others without some of them."""
    others = iter(of)
    return all(byte in others for byte in some)


def _build(choices: Choices, *, null: bool) -> tuple[bytes, bytes]:
    """Return an answer with what was added to it, and without that."""
    end = choices.one_of(_LINE_ENDS)
    added, plain = bytearray(), bytearray()
    while choices and len(added) < 1 << 14:
        kind = choices.number(6)
        text = choices.bytes_of(choices.number(40)).hex().encode()
        head = b"event: x" + end if choices.rarely() else b""
        if kind == 0:
            added += head + b"data: " + _USAGE + end + end  # alone in its event, and all of it goes
            continue
        if kind == 1:
            both = b": " + text + end + end
            added += both
            plain += both
            continue
        document = b'{"id":"' + text + b'","choices":[{"delta":{"content":"' + text + b'"}}]%s}'
        if kind == 2:
            document = b'{"choices":[]%s,"a":"\\"usage\\": null"}'
        member = b"" if not null else (b',"usage":null', b', "usage": null', b',\t"usage"  :null')[choices.number(3)]
        lead = b"data: " if choices.flag() else b"data:"
        added += head + lead + document % member + end + end
        plain += head + lead + document % b"" + end + end
    return bytes(added), bytes(plain)


def seeds() -> list[bytes]:
    """Return answers as they come, raw and described."""
    bodies = [
        b'data: {"choices":[{"delta":{"content":"a"}}],"usage":null}\n\ndata: ' + _USAGE + b"\n\ndata: [DONE]\n\n",
        b'data: {"usage":null,"choices":[]}\r\n\r\ndata: {"choices":[], "usage": {}}\r\n\r\n',
        b'event: x\ndata: {"choices":[],"usage":{}}\n\n\n\ndata: {"a":{"usage":null},"usage":null}\n\n',
        b'\xef\xbb\xbfdata: {"choices":[],"usage":{}}\r\rdata: {"choices":[]}\r\r',
    ]
    raw = [bytes((0, null, bound, 9, 80, 150, 240)) + body for body in bodies for null in (0, 1) for bound in (0, 2)]
    built = [bytes((1, null, 2, 9, 80, 150, 240, end)) + bytes(range(90)) for null in (0, 1) for end in range(3)]
    return raw + built


WORDS = (b'"usage":null', b'"usage":{}', b'"choices":[]', b"data: ", b"\n\n", b"\r\n\r\n", b"}", b",")
TARGET = Target("answer_filter", check, seeds, ("extproc.include_usage",), WORDS)
