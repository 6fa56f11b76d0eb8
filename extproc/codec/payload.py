"""What a framing hands out: one payload of a body, not yet parsed.

Owns the shape that SSE events, NDJSON lines, AWS frames, array elements and whole documents share, and the protocol of
the framings. Must not know any of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple, Protocol

from extproc.errors import Bound, DecodeError, Reason

# The byte order mark of UTF-8. It may stand at the start of a body, and says nothing.
BOM: Final = b"\xef\xbb\xbf"


class Payload(NamedTuple):
    """The bytes of one document, and the name of the event they came under ("" where there is none).

    `lost` is why there are no bytes, where one of many was passed over. `error` is the framing's own word for an error
    that this payload is about; its bytes are then a message for people.
    """

    data: bytes
    event: str = ""
    lost: Reason | None = None
    error: str = ""


# In the place of a payload, where there was much to go through that held none: whoever counts payloads counts it.
NOTHING: Final = Payload(b"")

# To go through so many empty lines takes as long as to read an event.
_EMPTY_PER_NOTHING = 8


class Pause:
    """Counts what held no payload."""

    __slots__ = ("_empty", "_per_nothing")

    def __init__(self, per_nothing: int = _EMPTY_PER_NOTHING) -> None:
        self._empty = 0
        self._per_nothing = per_nothing

    def is_due(self) -> bool:
        """Count one more; say whether it is time to hand out NOTHING."""
        self._empty += 1
        return self._empty % self._per_nothing == 0

    def reset(self) -> None:
        """Begin again: there was a payload."""
        self._empty = 0


class Framing(Protocol):
    """Cuts a decoded body into payloads. Where the chunks are cut never changes what comes out.

    `is_sequence` says that payloads come one by one, each a document of its own; one that can't be read is lost alone.
    """

    @property
    def is_sequence(self) -> bool:
        """Whether payloads come one by one; False as long as that is not known."""
        ...

    def feed(self, chunk: bytes) -> Iterator[Payload]:
        """Yield the payloads completed by `chunk`; raise DecodeError(TOO_LARGE) beyond the framing's bound.

        The iterator must be run to its end. Payloads in front of what raises come out first, as they would have in
        smaller chunks.
        """
        ...

    def finish(self) -> Iterator[Payload]:
        """Yield what the end of the body completes; raise DecodeError(TRUNCATED) if it cut something off."""
        ...


def hold(held: bytearray, part: bytes, max_bytes: int) -> None:
    """Keep one more part of what is not complete; raise DecodeError(TOO_LARGE) and keep nothing beyond the bound."""
    if len(held) + len(part) > max_bytes:
        held.clear()
        raise DecodeError(Reason.TOO_LARGE, Bound.BODY)
    held += part
