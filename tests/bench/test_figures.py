from __future__ import annotations

import pytest

from bench.figures import (
    Ratio,
    Round,
    Spread,
    added_latency,
    figures_of,
    ratios_of,
    read_figure,
    spread,
)
from bench.load import LoadReport, Times
from bench.measure import Sample

NO_TIMES = Times(0, 0, 0, 0, 0)


def sample(
    exchanges: int, sidecar_cpu_seconds: float, messages: int = 0, envoy_cpu_seconds: float = 0, p50_seconds: float = 0
) -> Sample:
    times = Times(1, p50_seconds, 0, p50_seconds, 0)
    report = LoadReport(exchanges, 2.0, 0, 0, 0, {}, NO_TIMES, NO_TIMES, times)
    return Sample(report, sidecar_cpu_seconds, envoy_cpu_seconds, messages)


def test_a_spread_is_the_median_and_the_range_of_what_there_is() -> None:
    """A round that could not be measured is none."""
    assert spread([3.0, None, 1.0, 2.0]) == Spread(2.0, 1.0, 3.0, 3)
    assert spread([None]) is None


def test_a_cost_is_that_of_one_exchange() -> None:
    """In the unit it is shown in."""
    assert read_figure("json_cpu", {"json": sample(1000, 0.5)}) == pytest.approx(500)
    assert read_figure("json_rate", {"json": sample(1000, 0.5)}) == 500


def test_the_cost_of_a_chunk_is_a_slope_over_messages() -> None:
    """Not over chunks: some come in one message. What an exchange costs by itself is not in it."""
    samples = {"sse-8": sample(100, 0.1, messages=1200), "sse-512": sample(10, 0.26, messages=2620)}
    # 26 ms less 1 ms, for 262 less 12 messages
    assert read_figure("chunk_cpu", samples) == pytest.approx(100)


def test_a_stream_whose_length_makes_no_message_has_no_cost_of_a_chunk() -> None:
    """As in the mode in which Envoy reads the bodies."""
    samples = {"sse-8": sample(100, 0.1, messages=200), "sse-512": sample(10, 0.01, messages=20)}
    assert read_figure("chunk_cpu", samples) is None


def test_what_was_not_measured_has_no_figure() -> None:
    """Neither for want of the workload, nor of an exchange, nor of the subject."""
    assert read_figure("json_cpu", {}) is None
    assert read_figure("json_cpu", {"json": sample(0, 0.5)}) is None
    assert read_figure("json_cpu", None) is None
    assert "json_cpu" not in figures_of([{"floor/aio": {}}], "floor/aio")


def test_a_ratio_is_taken_within_a_round() -> None:
    """A round in which the machine was slow is slow on both sides. The ratio of medians would be 4."""
    rounds: list[Round] = [
        {"over": {"json": sample(1, over)}, "under": {"json": sample(1, under)}}
        for over, under in ((2, 1), (60, 30), (4, 2), (8, 1), (9, 3))
    ]
    title = "over / under"
    ratios = ratios_of(rounds, [Ratio(title, ("over", "json_cpu"), ("under", "json_cpu"))])
    assert ratios == {title: Spread(2, 2, 8, 5)}


def test_a_ratio_needs_both_its_sides() -> None:
    """And one below that is not nothing."""
    ratio = Ratio("r", ("over", "json_cpu"), ("under", "json_cpu"))
    assert ratios_of([{"over": {"json": sample(1, 1)}}], [ratio]) == {}
    assert ratios_of([{"over": {"json": sample(1, 1)}, "under": {"json": sample(1, 0)}}], [ratio]) == {}


def test_added_latency_is_what_is_above_bare_envoy() -> None:
    """In milliseconds."""
    rounds: list[Round] = [
        {
            "bare": {"paced-1": sample(1, 0, p50_seconds=0.0001)},
            "sidecar": {"paced-1": sample(1, 0, p50_seconds=0.0004)},
        }
    ]
    added = added_latency(rounds, "sidecar", "bare")
    assert added["paced_1_p50"].median == pytest.approx(0.3)
    assert "paced_64_p50" not in added
