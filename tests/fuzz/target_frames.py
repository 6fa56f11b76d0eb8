"""AWS event-stream frames: raw bytes, and frames that are built and then damaged."""

from __future__ import annotations

from fuzz.checking import check_framing
from fuzz.choices import Choices
from fuzz.target import Target
from support.frames import chunk, corrupt, event, exception, frame

from extproc.codec.eventstream import EventStreamDecoder
from extproc.errors import Reason

_BOUNDS = (1 << 20, 256, 64, 16)
_ENDS = (None, Reason.CORRUPT_FRAME, Reason.TRUNCATED)
_EVENTS = ("messageStart", "metadata", "chunk", "", "é")
_TYPES = ("event", "exception", "error", "")


def check(data: bytes) -> None:
    """Cuts change nothing, the bound holds, and a stream of frames that were not damaged is read to its end."""
    choices = Choices(data)
    bound, places, is_built = choices.one_of(_BOUNDS), choices.cuts(4), choices.flag()
    body = _build(choices) if is_built else choices.rest()
    payloads, end = check_framing(lambda: EventStreamDecoder(bound), body, places, bound + 16)
    assert end in _ENDS
    assert all(len(payload.data) <= bound for payload in payloads)


def _build(choices: Choices) -> bytes:
    body = bytearray()
    while choices and len(body) < 1 << 16:
        raw = choices.bytes_of(choices.number(32)) if choices.rarely() else b""
        name, kind = choices.one_of(_EVENTS), choices.one_of(_TYPES)
        built = frame(choices.bytes_of(choices.number()), raw, message_type=kind, event_type=name)
        if choices.rarely():
            built = corrupt(built)
        if choices.rarely():
            built = built[: choices.number()]
        body += built
    return bytes(body)


def seeds() -> list[bytes]:
    """Return frames as Bedrock sends them, whole and damaged, and descriptions of frames."""
    bodies = [
        event("metadata", {"usage": {"inputTokens": 3}}) + event("messageStop", {}),
        chunk({"outputTextTokenCount": 3}) + frame(b"", event_type="ping"),
        exception("throttlingException", "slow down"),
        event("metadata", {}) + corrupt(event("metadata", {"a": 1})) + event("metadata", {}),
        frame(b"{}", b"\x01a\x00\x01b\x01\x01c\x02\x09\x01d\x03\x00\x09\x01e\x04\x00\x00\x00\x09", event_type="x"),
        frame(b"{}", b"\x01a\x06\x00\x02ab\x01b\x08" + bytes(8) + b"\x01c\x09" + bytes(16), event_type="x")[:-3],
    ]
    raw = [bytes((bound, 9, 80, 150, 240, 0)) + body for bound in range(4) for body in bodies]
    built = [bytes((bound, 9, 80, 150, 240, 1)) + bytes(range(60)) * 3 for bound in range(4)]
    return raw + built


TARGET = Target("frames", check, seeds, ("extproc.codec.eventstream",), (b":event-type", b":message-type", b"chunk"))
