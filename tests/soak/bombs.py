"""Bodies that are made to hurt, built as they are sent: nobody here holds ten gigabytes either.

Each is an iterable of pieces. What is compressed is so by repetition: a coder is fed with the same block again and
again, and what it hands out for the second block is what it hands out for all that follow.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from extproc.demo.mock.coding import CODINGS

_MIB = 1024 * 1024
_GIB = 1024 * _MIB
_BLOCK_BYTES = _MIB
_PIECE_BYTES = 64 * 1024

JSON, SSE = "application/json", "text/event-stream"


@dataclass(frozen=True)
class Body:
    """A body by its name: what it says that it is, and how it comes."""

    name: str
    content_type: str
    pieces: Callable[[], Iterator[bytes]]
    coding: str | None = None
    is_large: bool = False  # too large to be sent as a request in good time


def zeros(coding: str, size_bytes: int, byte: bytes = b"\0") -> Callable[[], Iterator[bytes]]:
    """Return what sends so many zeros, or other bytes that are all the same, in a content coding."""
    return lambda: _coded(coding, byte * _BLOCK_BYTES, size_bytes // _BLOCK_BYTES)


def objects(coding: str, count: int) -> Callable[[], Iterator[bytes]]:
    """Return what sends an array of so many empty objects in a content coding."""
    block = b"{}," * 100_000
    return lambda: _coded(coding, block, count // 100_000, first=b"[")


def endless_event(size_bytes: int) -> Callable[[], Iterator[bytes]]:
    """Return what sends an event of so many bytes that never ends."""
    piece = b"x" * _PIECE_BYTES
    return lambda: itertools.chain([b"data: "], itertools.repeat(piece, size_bytes // _PIECE_BYTES))


def one_string(size_bytes: int) -> Callable[[], Iterator[bytes]]:
    """Return what sends a document that is one string, but for its usage."""
    piece = b"x" * _PIECE_BYTES
    end = b'"}], "usage": {"prompt_tokens": 3, "completion_tokens": 4}}'
    start = b'{"model": "m", "choices": [{"text": "'
    return lambda: itertools.chain([start], itertools.repeat(piece, size_bytes // _PIECE_BYTES), [end])


def repeated(start: bytes, unit: bytes, count: int, end: bytes = b"") -> Callable[[], Iterator[bytes]]:
    """Return what sends a unit so often, between a start and an end."""
    a_piece = max(_PIECE_BYTES // len(unit), 1)

    def pieces() -> Iterator[bytes]:
        yield start
        yield from itertools.repeat(unit * a_piece, count // a_piece)
        yield unit * (count % a_piece) + end

    return pieces


def _coded(coding: str, block: bytes, count: int, first: bytes = b"") -> Iterator[bytes]:
    """Yield blocks in a coding. A flush behind each makes all but the first of them the same bytes.

    What the first ones give is not used again before two in a row are alike.
    """
    code = CODINGS[coding]()
    if first:
        yield code(first, False)
    before, left = b"", count
    while left:
        coded = code(block, False)
        left -= 1
        yield coded
        if coded == before:
            a_piece = max(_PIECE_BYTES // len(coded), 1)
            yield from itertools.repeat(coded * a_piece, left // a_piece)
            yield coded * (left % a_piece)
            return  # without an end: whoever reads on, waits for more
        before = coded


def bodies(scale: float = 1.0) -> list[Body]:
    """Return all of them; with a smaller scale, smaller ones."""
    huge, mega = int(10 * _GIB * scale), int(_MIB * scale)
    found = [
        Body(f"10 GB of zeros in {coding} as {kind}", content_type, zeros(coding, huge), coding)
        for coding in ("gzip", "br", "zstd")
        for kind, content_type in (("JSON", JSON), ("SSE", SSE))
    ]
    # Zeros are soon known to be no document. Blanks may stand before one.
    found += [
        Body(f"10 GB of blanks in {each}", JSON, zeros(each, huge, b" "), each) for each in ("gzip", "br", "zstd")
    ]
    nested = int(100_000 * scale) or 1
    return [
        *found,
        Body("100 million {} in gzip", JSON, objects("gzip", int(100_000_000 * scale)), "gzip"),
        Body("1 GB SSE event without end", SSE, endless_event(1024 * mega), is_large=True),
        Body("10^5 nested arrays", JSON, repeated(b"", b"[", nested, b"]" * nested)),
        Body("10^5 nested arrays in an event", SSE, repeated(b"data: ", b"[", nested, b"]" * nested + b"\n\n")),
        Body("100 MB single string", JSON, one_string(100 * mega)),
        Body("15 MB of pure structure", JSON, repeated(b"[", b"{},", 5 * mega, b"{}]")),
        Body("15 MB of small events", SSE, repeated(b"", b"data: {}\n\n", int(1.5 * mega))),
    ]
