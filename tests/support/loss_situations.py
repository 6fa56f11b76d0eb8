"""What may become of a stream on its way, and what is to be counted of it then."""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from support.loss_streams import NOTHING, Counts, Stream

from extproc.usage import Completion, UsageSource


class Act(enum.Enum):
    """Who does what once the client has so many pieces."""

    END = "the server ends its answer as HTTP has it"
    FINISH = "the server closes the connection, which ends an answer that has no other end"
    RESET = "the server resets the connection"
    CLOSE = "the server closes the connection, though its answer has not ended"
    BREAK = "the server says that it broke down, and ends its answer"
    BREAK_OFF = "the server says that it broke down, and the client hangs up"
    REFUSE = "the server answers with an error status"
    HANG_UP = "the client closes its connection"
    RESET_STREAM = "the client resets its HTTP/2 stream"
    DRAIN = "the sidecar is told to stop; then the rest comes, and the server ends its answer"
    CUT = "the sidecar is told to stop at once; then the rest comes, and the server ends its answer"


@dataclass(frozen=True)
class Situation:
    """So many pieces reach the client, then something happens. `has_usage`: whether the server reports any."""

    name: str
    act: Act
    pieces: Callable[[Stream], int]
    has_usage: bool = True

    def sent(self, stream: Stream) -> Sequence[bytes]:
        """Return the pieces the client gets before it happens."""
        pieces = stream.pieces if self.has_usage else stream.pieces_without_usage
        return [*pieces[: self.pieces(stream)], *([stream.error] if self.act is Act.BREAK_OFF else ())]

    def rest(self, stream: Stream) -> Sequence[bytes]:
        """Return those it gets behind it."""
        return stream.pieces[self.pieces(stream) :] if self.act in (Act.DRAIN, Act.CUT) else ()


@dataclass(frozen=True)
class Counted:
    """What is to be counted of an exchange."""

    completion: Completion
    source: UsageSource
    counts: Counts

    @property
    def charged_tokens(self) -> int:
        """What a rate limit is to be charged with."""
        return sum(count or 0 for count in self.counts)


def expected(stream: Stream, situation: Situation) -> Counted:
    """Return what is to be counted when a provider's own words are all that counts."""
    shown = len(stream.pieces) if situation.act is Act.DRAIN else situation.pieces(stream)
    counts = stream.known(shown) if situation.has_usage and situation.act is not Act.REFUSE else NOTHING
    is_marked = stream.mark is not None and shown >= stream.mark
    is_marked = is_marked and (situation.has_usage or not stream.mark_is_usage)
    lacks_end = stream.needs_mark or (stream.reason is not None and shown < stream.reason)
    completion = _completion(stream, situation, is_marked=is_marked, lacks_end=lacks_end)
    if counts == NOTHING:
        return Counted(completion, UsageSource.NONE, counts)
    is_last = is_marked or completion is Completion.COMPLETE
    return Counted(completion, UsageSource.REPORTED if is_last else UsageSource.PARTIAL, counts)


def _completion(stream: Stream, situation: Situation, *, is_marked: bool, lacks_end: bool) -> Completion:
    act = situation.act
    if act in (Act.BREAK, Act.BREAK_OFF, Act.REFUSE):
        return Completion.ERROR
    if act in (Act.RESET, Act.CLOSE) and situation.pieces(stream) == 0:
        return Completion.ERROR  # Envoy answers in its place
    if is_marked:
        return Completion.COMPLETE
    if act in (Act.END, Act.FINISH, Act.DRAIN):
        return Completion.TRUNCATED if lacks_end else Completion.COMPLETE
    return Completion.TRUNCATED if act is Act.CUT else Completion.CANCELLED


def _none(_stream: Stream) -> int:
    return 0


def _first(_stream: Stream) -> int:
    return 1


def _half(stream: Stream) -> int:
    return max(len(stream.pieces) // 2, 1)


def _all_but_one(stream: Stream) -> int:
    return len(stream.pieces) - 1


def _all(stream: Stream) -> int:
    return len(stream.pieces)


def _usage(stream: Stream) -> int:
    """Up to the last report of usage."""
    return max(stream.knows, default=len(stream.pieces))


# In the order of the table.
SITUATIONS: Sequence[Situation] = (
    Situation("complete", Act.END, _all),
    Situation("no-usage", Act.END, _all, has_usage=False),
    Situation("client-gone-before-answer", Act.HANG_UP, _none),
    Situation("client-gone-after-1", Act.HANG_UP, _first),
    Situation("client-gone-after-half", Act.HANG_UP, _half),
    Situation("client-gone-after-all-but-1", Act.HANG_UP, _all_but_one),
    Situation("client-gone-after-usage", Act.HANG_UP, _usage),
    Situation("client-gone-after-all", Act.HANG_UP, _all),
    Situation("h2-client-gone-after-half", Act.RESET_STREAM, _half),
    Situation("h2-client-gone-after-usage", Act.RESET_STREAM, _usage),
    Situation("upstream-resets-before-answer", Act.RESET, _none),
    Situation("upstream-resets-after-1", Act.RESET, _first),
    Situation("upstream-resets-after-half", Act.RESET, _half),
    Situation("upstream-resets-after-all", Act.RESET, _all),
    Situation("upstream-closes-after-half", Act.CLOSE, _half),
    Situation("upstream-ends-after-half", Act.END, _half),
    Situation("upstream-ends-after-all-but-1", Act.END, _all_but_one),
    Situation("body-by-connection-ends-after-half", Act.FINISH, _half),
    Situation("body-by-connection-complete", Act.FINISH, _all),
    Situation("error-status", Act.REFUSE, _none),
    Situation("error-in-the-middle", Act.BREAK, _half),
    Situation("error-in-the-middle-client-gone", Act.BREAK_OFF, _half),
)
DRAIN = Situation("sidecar-drains-after-half", Act.DRAIN, _half)
CUT = Situation("sidecar-cut-off-after-half", Act.CUT, _half)
