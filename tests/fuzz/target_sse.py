"""Server-sent events, and the short way for those that are written plainly."""

from __future__ import annotations

from fuzz.checking import check_framing
from fuzz.choices import Choices
from fuzz.target import Target

from extproc.codec.sse import SSEDecoder, split_plain

_BOUNDS = (1 << 20, 64, 16, 1)
_MAX_LINE_BYTES = 64 * 1024


def check(data: bytes) -> None:
    """Cuts change nothing, the bound holds, and the short way says what the long one does."""
    choices = Choices(data)
    bound, places = choices.one_of(_BOUNDS), choices.cuts(4)
    body = choices.rest()
    # Beside its data and its line an event has a name, which was a line once.
    payloads, end = check_framing(lambda: SSEDecoder(bound), body, places, 2 * (bound + _MAX_LINE_BYTES))
    assert end is None
    assert all(len(payload.data) <= bound for payload in payloads)
    plain = split_plain(body)
    if plain and bound > len(body):
        read = [(payload.event, payload.data) for payload in payloads]
        assert read == [(name.decode("utf-8", "replace"), text) for name, text in plain]


def seeds() -> list[bytes]:
    """Return events of all kinds."""
    bodies = [
        b'data: {"a": 1}\n\ndata: [DONE]\n\n',
        b"event: message_start\ndata: {}\n\nevent: error\ndata: x\n\n",
        b"\xef\xbb\xbf:comment\r\nid: 1\r\nretry: 5\r\ndata: a\r\ndata:b\r\n\r\n",
        b"data: a\rdata: b\r\rdata\n\ndata: never ended",
        b"event: x\n\n\n\ndata\n\n",
        b'data: {"a": "' + b"a" * 700 + b'"}\n\ndata: [' + b"1," * 400 + b"\ndata: 1]\n\n",
    ]
    return [bytes((bound, 9, 80, 150, 240)) + body for bound in range(len(_BOUNDS)) for body in bodies]


TARGET = Target(
    "sse",
    check,
    seeds,
    ("extproc.codec.sse",),
    (b"data: ", b"event: ", b"\n\n", b"\r\n", b"\xef\xbb\xbf"),
    max_input_bytes=8192,
)
