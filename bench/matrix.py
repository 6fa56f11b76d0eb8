"""Every subject under every workload, in rounds: A B C, then A B C again, so that the machine's noise meets all alike.

Owns: the order, and which ratios are of interest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from bench.engines import ENGINES
from bench.figures import Ratio, Round
from bench.measure import Sample, Workload, measure, measure_idle, warm_up
from bench.subjects import BARE, Running, Subject, Upstream, Used

_IDLE_SECONDS = 3.0

_ZERO, _ZERO_FLOOR = "zero-body/completion_queue", "zero-body-floor/completion_queue"
_BODY, _PORTABLE = "sidecar/completion_queue", "sidecar/aio"


def _ratios() -> Iterator[Ratio]:
    for engine in ENGINES:
        sidecar, floor = f"sidecar/{engine}", f"floor/{engine}"
        yield Ratio(f"{sidecar} over its floor: JSON exchange", (sidecar, "json_cpu"), (floor, "json_cpu"))
        yield Ratio(f"{sidecar} over its floor: SSE chunk", (sidecar, "chunk_cpu"), (floor, "chunk_cpu"))
        yield Ratio(f"{sidecar} over its floor: 3 MB", (sidecar, "embeddings_cpu"), (floor, "embeddings_cpu"))
    for what, figure in (("JSON exchange", "json_cpu"), ("SSE chunk", "chunk_cpu")):
        yield Ratio(f"completion_queue over aio: {what}", (_BODY, figure), (_PORTABLE, figure))
    yield Ratio("zero-body over its floor: JSON exchange", (_ZERO, "json_cpu"), (_ZERO_FLOOR, "json_cpu"))
    for what, figure in (("JSON exchange", "json_cpu"), ("512 chunks", "sse_512_cpu")):
        yield Ratio(f"zero-body over body: {what}", (_ZERO, figure), (_BODY, figure))
    yield Ratio("zero-body: 512 chunks over 8 chunks", (_ZERO, "sse_512_cpu"), (_ZERO, "sse_8_cpu"))
    for subject in (_PORTABLE, _BODY, _ZERO):
        for what, figure in (("JSON exchange", "json_total_cpu"), ("512 chunks", "sse_512_total_cpu")):
            yield Ratio(f"{subject} and Envoy over Envoy alone: {what}", (subject, figure), (BARE.name, figure))


RATIOS = tuple(_ratios())


@dataclass(frozen=True, slots=True)
class Plan:
    """What is measured, how often and for how long."""

    subjects: Sequence[Subject]
    workloads: Sequence[Workload]
    rounds: int
    seconds: float


def run_matrix(plan: Plan, upstream: Upstream, on_progress: Callable[[str], None]) -> list[Round]:
    """Measure. All subjects are up all the time; those whose turn it is not are idle."""
    with ExitStack() as stack:
        running = [stack.enter_context(Running(subject, upstream)) for subject in plan.subjects]
        for each in running:
            on_progress(f"warming up {each.subject.name}")
            warm_up(each)
        on_progress("doing nothing")
        idle = measure_idle(running, _IDLE_SECONDS)
        return [_run_round(number, plan, running, idle, on_progress) for number in range(plan.rounds)]


def _run_round(
    number: int,
    plan: Plan,
    running: Sequence[Running],
    idle: Mapping[str, Used],
    on_progress: Callable[[str], None],
) -> Round:
    # Each round starts with another subject: none always follows the same one.
    turn = number % len(running)
    in_order = [*running[turn:], *running[:turn]]
    samples: dict[str, dict[str, Sample]] = {each.subject.name: {} for each in running}
    for workload in plan.workloads:
        for each in in_order:
            on_progress(f"round {number + 1} of {plan.rounds}: {workload.name}, {each.subject.name}")
            samples[each.subject.name][workload.name] = measure(each, workload, plan.seconds, idle[each.subject.name])
    return samples
