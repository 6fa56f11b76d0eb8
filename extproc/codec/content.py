"""HTTP content codings, decoded as the bytes arrive.

https://www.rfc-editor.org/rfc/rfc9110#name-content-codings and the IANA registry of HTTP content coding names.

Owns: which codings are read, that several can be stacked, and how much may come out of how little. Each decoder takes
chunks cut anywhere, does work in proportion to the bytes that come out (nothing is decoded twice), and hands out
bounded pieces, so that a small chunk that inflates to gigabytes never stands in memory at once, and is not worked
through either. Must not know what the bytes mean.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Protocol

from extproc.codec.br import Brotli
from extproc.codec.deflate import Deflate, Gzip
from extproc.codec.zstd import Zstd
from extproc.errors import Bound, DecodeError, Reason

# More than any server stacks; each costs a pass over what the one around it yields.
_MAX_CODINGS = 3

# The last is what some servers say that mean the first.
_NO_CODING = frozenset({"", "identity", "none"})

# As long as what the decoders hand out.
_PIECE_BYTES = 64 * 1024

# Small bodies of one letter are let pass, however much they inflate.
BYTES_AT_FIRST: Final = 1024 * 1024
# Of an answer more is: a stream of some thousand events that differ in one word inflates two hundred times.
ANSWER_BYTES_AT_FIRST: Final = 4 * 1024 * 1024

# What came in is counted in blocks of this size, wherever the chunks were cut.
_BLOCK_BYTES = 16 * 1024


@dataclass(frozen=True, slots=True)
class Inflation:
    """How much may come out of one body, in bytes, and how many times what went in, behind the bytes at first.

    Few bodies inflate a hundred times, and each byte that comes out costs time, in which nobody else is served: a
    hundred bytes of Brotli can be a terabyte.
    """

    max_bytes: int = 1024 * 1024 * 1024
    max_ratio: int = 100
    bytes_at_first: int = BYTES_AT_FIRST


_INFLATION: Final = Inflation()


class ContentDecoder(Protocol):
    """One content coding of one body."""

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """Yield what `chunk` decodes to; raise DecodeError where it is not of this coding."""
        ...

    def finish(self) -> None:
        """Take note that the body has ended; raise DecodeError(TRUNCATED) if the coding had not."""
        ...


class Identity:
    """No coding at all."""

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """Yield the chunk itself, in pieces if it is long: what is made of one takes many times its length."""
        if len(chunk) <= _PIECE_BYTES:
            yield chunk
            return
        for start in range(0, len(chunk), _PIECE_BYTES):
            yield chunk[start : start + _PIECE_BYTES]

    def finish(self) -> None:
        """Any end is a good end."""


class Bounded:
    """A coding of which not more is taken off than bodies yield that are meant to be read.

    What came out is compared with the whole blocks that came in before, so that the bound is met at the same byte
    however the body was cut.
    """

    def __init__(self, decoder: ContentDecoder, inflation: Inflation) -> None:
        self._decoder = decoder
        self._inflation = inflation
        self._bytes_in = 0
        self._bytes_out = 0

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """Yield what `chunk` decodes to; raise DecodeError(TOO_LARGE) behind as much as it may be."""
        start = 0
        while start < len(chunk):
            blocks, filled = divmod(self._bytes_in, _BLOCK_BYTES)
            part = chunk[start : start + _BLOCK_BYTES - filled]
            start += len(part)
            self._bytes_in += len(part)
            max_bytes = self._inflation.bytes_at_first + self._inflation.max_ratio * blocks * _BLOCK_BYTES
            yield from self._feed(part, max_bytes)

    def finish(self) -> None:
        """Raise DecodeError(TRUNCATED) if the body stopped inside the coding."""
        self._decoder.finish()

    def _feed(self, part: bytes, max_bytes_by_ratio: int) -> Iterator[bytes]:
        is_by_ratio = max_bytes_by_ratio < self._inflation.max_bytes
        max_bytes_out = min(max_bytes_by_ratio, self._inflation.max_bytes)
        for piece in self._decoder.feed(part):
            room = max_bytes_out - self._bytes_out
            self._bytes_out += len(piece)
            if len(piece) > room:
                yield piece[:room]
                raise DecodeError(Reason.TOO_LARGE, Bound.RATIO if is_by_ratio else Bound.DECODED)
            yield piece


class Stacked:
    """Several codings around one another; `decoders` are in the order they are to be taken off."""

    def __init__(self, decoders: Sequence[ContentDecoder]) -> None:
        self._decoders = tuple(decoders)

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """Yield what is left of the chunk when all codings are off."""
        return self._take_off(self._decoders, chunk)

    def finish(self) -> None:
        """Raise DecodeError(TRUNCATED) if the body stopped inside any of them."""
        for decoder in self._decoders:
            decoder.finish()

    def _take_off(self, decoders: Sequence[ContentDecoder], chunk: bytes) -> Iterator[bytes]:
        outermost, *inner = decoders
        for piece in outermost.feed(chunk):
            yield from self._take_off(inner, piece) if inner else (piece,)


_DECODERS: Final[Mapping[str, Callable[[], ContentDecoder]]] = MappingProxyType(
    {"gzip": Gzip, "x-gzip": Gzip, "deflate": Deflate, "br": Brotli, "zstd": Zstd}
)

# By the names that content-encoding has for them.
CONTENT_CODINGS: Final = tuple(sorted(_DECODERS))


def content_decoder(content_encoding: str, inflation: Inflation = _INFLATION) -> ContentDecoder:
    """Return the decoder for the value of a content-encoding header (empty: no coding).

    The codings are named in the order in which they were applied. Raises DecodeError(CONTENT_ENCODING) where one of
    them is not read, or there are more than anybody stacks.
    """
    named = [coding.strip().lower() for coding in content_encoding.split(",")]
    codings = [coding for coding in named if coding not in _NO_CODING]
    if len(codings) > _MAX_CODINGS or any(coding not in _DECODERS for coding in codings):
        raise DecodeError(Reason.CONTENT_ENCODING)
    decoders = [Bounded(_DECODERS[coding](), inflation) for coding in reversed(codings)]
    if not decoders:
        return Identity()
    return decoders[0] if len(decoders) == 1 else Stacked(decoders)
