"""When what of an exchange came, and how much.

Owns: which moments are kept, and the times between the chunks that carry tokens, in buckets: a stream may have
thousands, and each costs no more than to find its bucket. Must not know what a token is, or the clock; time is
monotonic seconds, passed in.
"""

from __future__ import annotations

from bisect import bisect_left

import msgspec

from extproc.usage import CHUNK_GAP_BOUNDS_SECONDS, Timing


class TokenClock(msgspec.Struct, gc=False):
    """When the tokens of one stream came. The first of either kind is told before the chunk it is in."""

    first_content_at: float | None = None
    first_reasoning_at: float | None = None
    first_chunk_at: float | None = None
    last_chunk_at: float = 0.0
    longest_gap_seconds: float | None = None
    gaps: list[int] | None = None
    passed_over_bytes: int = 0  # of chunks that are counted nowhere else

    def mark(self, now: float, *, content: bool, reasoning: bool) -> None:
        """Take note of tokens of either kind, or of both, of which the first counts."""
        if content and self.first_content_at is None:
            self.first_content_at = now
        if reasoning and self.first_reasoning_at is None:
            self.first_reasoning_at = now

    def tick(self, now: float) -> None:
        """Take note of a chunk that carries tokens."""
        gaps = self.gaps
        if gaps is not None:
            gap = now - self.last_chunk_at
            gaps[bisect_left(CHUNK_GAP_BOUNDS_SECONDS, gap)] += 1
            if self.longest_gap_seconds is None or gap > self.longest_gap_seconds:
                self.longest_gap_seconds = gap
        else:
            self.first_chunk_at = now
            self.gaps = [0] * (len(CHUNK_GAP_BOUNDS_SECONDS) + 1)
        self.last_chunk_at = now

    @property
    def first_token_at(self) -> float | None:
        """When the first token of either kind came."""
        known = [at for at in (self.first_content_at, self.first_reasoning_at) if at is not None]
        return min(known) if known else None


class Stopwatch(msgspec.Struct, gc=False):
    """When an exchange began, when it came to its other phases, and how many bytes were handed over since."""

    started_at: float
    request_end_seconds: float | None = None
    response_headers_seconds: float | None = None
    first_byte_seconds: float | None = None
    request_bytes: int | None = None
    response_bytes: int | None = None

    def since_start(self, moment: float | None) -> float | None:
        """Return when something happened, in seconds from the beginning on."""
        return None if moment is None else moment - self.started_at

    def end_request(self, now: float) -> None:
        """Take note of the end of the request."""
        self.request_end_seconds = now - self.started_at

    def begin_response(self, now: float) -> None:
        """Take note of the response headers."""
        self.response_headers_seconds = now - self.started_at

    def take_request(self, size_bytes: int) -> None:
        """Take note of a chunk of the request body."""
        self.request_bytes = (self.request_bytes or 0) + size_bytes

    def take_response(self, size_bytes: int, now: float) -> None:
        """Take note of a chunk of the response body."""
        self.response_bytes = (self.response_bytes or 0) + size_bytes
        if size_bytes and self.first_byte_seconds is None:
            self.first_byte_seconds = now - self.started_at

    def all_response_bytes(self, tokens: TokenClock | None) -> int | None:
        """Return the size of the response body, those chunks included that were passed over."""
        if tokens is None or self.response_bytes is None:
            return self.response_bytes
        return self.response_bytes + tokens.passed_over_bytes

    def timing(self, tokens: TokenClock | None) -> Timing:
        """Return what is known; `tokens` is the clock of a stream."""
        phases = (self.request_end_seconds, self.response_headers_seconds, self.first_byte_seconds)
        if tokens is None or tokens.first_chunk_at is None or tokens.gaps is None:
            return Timing(*phases)
        gap_count = sum(tokens.gaps)
        return Timing(
            *phases,
            first_content_seconds=self.since_start(tokens.first_content_at),
            first_reasoning_seconds=self.since_start(tokens.first_reasoning_at),
            last_token_seconds=tokens.last_chunk_at - self.started_at,
            longest_stall_seconds=tokens.longest_gap_seconds,
            output_chunks=gap_count + 1,
            chunk_gaps=tuple(tokens.gaps) if gap_count else (),
            chunk_gaps_sum_seconds=tokens.last_chunk_at - tokens.first_chunk_at,
        )
