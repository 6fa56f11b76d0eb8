from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extproc.stopwatch import Stopwatch, TokenClock
from extproc.usage import CHUNK_GAP_BOUNDS_SECONDS, NO_TIMING, Timing


def ticked(*moments: float) -> TokenClock:
    clock = TokenClock()
    for moment in moments:
        clock.mark(moment, content=True, reasoning=False)
        clock.tick(moment)
    return clock


def test_where_nothing_happened_nothing_is_known() -> None:
    """A clock that never ticked says no more than none."""
    assert Stopwatch(5.0).timing(None) == Stopwatch(5.0).timing(TokenClock()) == NO_TIMING


def test_phases_are_counted_from_the_start() -> None:
    """The first byte is that of the first chunk that has any."""
    stopwatch = Stopwatch(5.0)
    stopwatch.end_request(5.5)
    stopwatch.begin_response(6.0)
    for size, now in ((0, 7.0), (3, 8.0), (4, 9.0)):
        stopwatch.take_response(size, now)
    assert stopwatch.timing(None) == Timing(0.5, 1.0, 3.0)


def test_bytes_are_counted_where_a_body_was_shown() -> None:
    """Also those that were passed over; none shown is not none sent."""
    stopwatch = Stopwatch(0.0)
    assert (stopwatch.request_bytes, stopwatch.all_response_bytes(None)) == (None, None)
    assert stopwatch.all_response_bytes(ticked(1.0)) is None
    for size in (0, 3, 4):
        stopwatch.take_request(size)
    stopwatch.take_response(5, 1.0)
    clock = ticked(1.0)
    clock.passed_over_bytes = 6
    told = (stopwatch.request_bytes, stopwatch.all_response_bytes(None), stopwatch.all_response_bytes(clock))
    assert told == (7, 5, 11)


def test_one_chunk_has_no_gaps() -> None:
    """There is no stall either."""
    assert Stopwatch(1.0).timing(ticked(3.0)) == Timing(
        first_content_seconds=2.0, last_token_seconds=2.0, output_chunks=1
    )


@pytest.mark.parametrize("index", range(len(CHUNK_GAP_BOUNDS_SECONDS)))
def test_a_gap_of_a_bound_is_in_the_bucket_below_it(index: int) -> None:
    """As in any histogram of OpenTelemetry or Prometheus."""
    bound = CHUNK_GAP_BOUNDS_SECONDS[index]
    for gap, bucket in ((bound, index), (bound * 1.001, index + 1)):
        counted = Stopwatch(0.0).timing(ticked(0.0, gap)).chunk_gaps
        assert [place for place, count in enumerate(counted) if count] == [bucket]


@given(st.lists(st.floats(0.0, 100.0), min_size=2, max_size=20).map(sorted))
def test_gaps_add_up(moments: Sequence[float]) -> None:
    """Each is in one bucket, and all of them together are the time from the first to the last."""
    told = Stopwatch(0.0).timing(ticked(*moments))
    gaps = [after - before for before, after in pairwise(moments)]
    assert (told.output_chunks, sum(told.chunk_gaps)) == (len(moments), len(gaps))
    assert len(told.chunk_gaps) == len(CHUNK_GAP_BOUNDS_SECONDS) + 1
    assert told.longest_stall_seconds == max(gaps)
    assert told.chunk_gaps_sum_seconds == pytest.approx(sum(gaps))
    assert (told.first_content_seconds, told.last_token_seconds) == (moments[0], moments[-1])


@pytest.mark.parametrize(
    ("marks", "expected"),
    [
        ([], (None, None, None)),
        ([(1.0, True, False), (2.0, True, False)], (1.0, None, 1.0)),
        ([(1.0, False, True), (2.0, True, False)], (2.0, 1.0, 1.0)),
        ([(1.0, True, False), (2.0, True, True)], (1.0, 2.0, 1.0)),
        ([(1.0, True, True)], (1.0, 1.0, 1.0)),
    ],
)
def test_the_first_of_either_kind_counts(
    marks: list[tuple[float, bool, bool]], expected: tuple[float | None, float | None, float | None]
) -> None:
    """And the first token is the first of either."""
    clock = TokenClock()
    for now, content, reasoning in marks:
        clock.mark(now, content=content, reasoning=reasoning)
    assert (clock.first_content_at, clock.first_reasoning_at, clock.first_token_at) == expected
