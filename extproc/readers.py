"""What the readers of both directions share.

Owns: how much one exchange may hold, what could not be read of it, and a body on its way through its content coding and
its framing. Must not know what is in a body.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from extproc.codec.content import ANSWER_BYTES_AT_FIRST, ContentDecoder, Inflation
from extproc.codec.payload import NOTHING, Framing, Payload
from extproc.codec.shape import Shape
from extproc.errors import Bound, DecodeError, ExtractionError, Reason, Stage


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of what one exchange may hold in memory, and of the work it may make: docs/limits.md.

    `max_whole_response_bytes` bounds, as it is on the wire, what is asked for in one message. Its default is the
    smallest buffer that Envoy's own advice for edge proxies gives a connection: of a larger body than the buffer Envoy
    shows only the start.
    """

    max_body_bytes: int = 4 * 1024 * 1024
    max_event_bytes: int = 4 * 1024 * 1024
    max_events_per_message: int = 20_000
    max_decoded_bytes: int = 1024 * 1024 * 1024
    max_decoding_ratio: int = 100
    max_json_depth: int = 200
    max_json_values: int = 250_000
    max_whole_response_bytes: int = 32 * 1024
    inflation: Inflation = field(init=False)  # of a request
    answer_inflation: Inflation = field(init=False)
    shape: Shape = field(init=False)

    def __post_init__(self) -> None:
        """Put together what belongs together."""
        inflation = Inflation(self.max_decoded_bytes, self.max_decoding_ratio)
        object.__setattr__(self, "inflation", inflation)
        object.__setattr__(self, "answer_inflation", replace(inflation, bytes_at_first=ANSWER_BYTES_AT_FIRST))
        object.__setattr__(self, "shape", Shape(self.max_json_depth, self.max_json_values))


class ExtractionErrors:
    """What could not be read of one exchange: each (stage, reason) once, however often it happened.

    `bounds` are those that it met, each once.
    """

    __slots__ = ("_seen", "bounds")

    def __init__(self) -> None:
        self._seen: dict[ExtractionError, None] = {}
        self.bounds: tuple[Bound, ...] = ()

    def add(self, stage: Stage, reason: Reason, bound: Bound | None = None) -> None:
        """Take note of one error, and of the bound that was met if one was."""
        self._seen[ExtractionError(stage, reason)] = None
        if bound is not None and bound not in self.bounds:
            self.bounds += (bound,)

    def as_tuple(self) -> tuple[ExtractionError, ...]:
        """Return the errors in the order they were met."""
        return tuple(self._seen)


def at_most(max_payloads: int, payloads: Iterable[Payload]) -> Iterator[Payload]:
    """Yield the payloads that one message brings; raise DecodeError(TOO_LARGE) where there are more."""
    for number, payload in enumerate(payloads):
        if number >= max_payloads:
            raise DecodeError(Reason.TOO_LARGE, Bound.EVENTS)
        if payload is not NOTHING:
            yield payload


class Body:
    """A body on its way through its content coding and its framing."""

    __slots__ = ("_decoder", "_framing")

    def __init__(self, decoder: ContentDecoder, framing: Framing) -> None:
        self._decoder = decoder
        self._framing = framing

    def feed(self, chunk: bytes) -> Iterator[Payload]:
        """Yield the payloads that `chunk` completes."""
        for piece in self._decoder.feed(chunk):
            yield from self._framing.feed(piece)

    def finish(self) -> Iterator[Payload]:
        """Yield what the end of the body completes."""
        yield from self._framing.finish()
        self._decoder.finish()
