"""The exchanges of the last minutes, for a page that somebody looks at: counts by step, and the last ones one by one.

Owns: what is remembered of them, and that it stays small whatever clients send: so many steps, models in a step, and
exchanges. Nothing of it survives the process; what is to be billed is counted by sinks/tokens.py. Must not know who
looks.
"""

from __future__ import annotations

import threading
import time
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

import msgspec

from extproc.sinks.labels import LLM_AND_MODEL, OTHER, BoundedLabels, LabelChoices, LabelLosses, LabelPlaces
from extproc.usage import Completion, TokenUsage, UsageRecord, UsageSource

STEP_SECONDS: Final = 10
STEPS: Final = 90
MAX_MODELS_IN_A_STEP: Final = 25
MAX_EXCHANGES: Final = 50

# Where buckets of times end: each at 2**(1/4) times the end of the one before, from a tenth of a millisecond, which a
# token of a fast model takes, to four hours.
_BUCKETS_IN_A_DOUBLING: Final = 4
_LEAST_SECONDS: Final = 0.0001
_BOUNDS_SECONDS: Final = tuple(_LEAST_SECONDS * 2 ** (bucket / _BUCKETS_IN_A_DOUBLING) for bucket in range(110))


class Times(msgspec.Struct, array_like=True):
    """How often something took how long: counts by bucket, of which few are taken."""

    counts: dict[int, int] = msgspec.field(default_factory=dict)

    def observe(self, seconds: float) -> None:
        """Count one."""
        counts, bucket = self.counts, bisect_left(_BOUNDS_SECONDS, seconds)
        counts[bucket] = counts.get(bucket, 0) + 1

    def add(self, other: Times) -> None:
        """Count what another has counted."""
        counts = self.counts
        for bucket, count in other.counts.items():
            counts[bucket] = counts.get(bucket, 0) + count

    def quantile(self, share: float) -> float | None:
        """Return how long it took at most in so many cases, in seconds, to within 9 %; None if there was none."""
        rank = share * sum(self.counts.values())
        for bucket in sorted(self.counts):
            rank -= self.counts[bucket]
            if rank <= 0:
                return _LEAST_SECONDS * 2 ** ((bucket - 0.5) / _BUCKETS_IN_A_DOUBLING)
        return None


class Tally(msgspec.Struct, array_like=True):
    """What some exchanges were, together. `errors` are failures as a client sees them; to be given up is none."""

    requests: int = 0
    errors: int = 0
    cancelled: int = 0
    streamed: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    reasoning_tokens: int = 0
    cost_usd_micros: int = 0
    priced: int = 0  # exchanges whose cost is known
    unpriced: int = 0
    not_reported: int = 0  # of the exchanges that were no errors, those whose provider did not say all that they used
    durations: Times = msgspec.field(default_factory=Times)
    first_tokens: Times = msgspec.field(default_factory=Times)
    per_tokens: Times = msgspec.field(default_factory=Times)

    @property
    def tokens(self) -> int:
        """Prompt and completion."""
        return self.prompt_tokens + self.completion_tokens

    def count(self, record: UsageRecord) -> None:
        """Count an exchange."""
        self.requests += 1
        self.streamed += record.streaming
        completion = record.completion
        if completion is not Completion.COMPLETE:
            self.errors += completion.is_failure
            self.cancelled += completion is Completion.CANCELLED
        if record.usage is not None:
            self._count_tokens(record.usage)
        if record.usage_source is not UsageSource.REPORTED and not completion.is_failure:
            self.not_reported += 1
        if record.cost is not None:
            self.cost_usd_micros += record.cost.usd_micros
            self.priced += 1
        self.unpriced += record.is_unpriced
        self.durations.observe(record.duration_seconds)
        if record.time_to_first_token_seconds is not None:
            self.first_tokens.observe(record.time_to_first_token_seconds)
            per_token_seconds = record.time_per_output_token_seconds
            if per_token_seconds is not None:
                self.per_tokens.observe(per_token_seconds)

    def add(self, other: Tally) -> None:
        """Count what another has counted."""
        self.requests += other.requests
        self.errors += other.errors
        self.cancelled += other.cancelled
        self.streamed += other.streamed
        self.prompt_tokens += other.prompt_tokens
        self.completion_tokens += other.completion_tokens
        self.cached_tokens += other.cached_tokens
        self.reasoning_tokens += other.reasoning_tokens
        self.cost_usd_micros += other.cost_usd_micros
        self.priced += other.priced
        self.unpriced += other.unpriced
        self.not_reported += other.not_reported
        self.durations.add(other.durations)
        self.first_tokens.add(other.first_tokens)
        self.per_tokens.add(other.per_tokens)

    def _count_tokens(self, usage: TokenUsage) -> None:
        self.prompt_tokens += usage.prompt_tokens or 0
        self.completion_tokens += usage.completion_tokens or 0
        self.cached_tokens += usage.cached_tokens or 0
        self.reasoning_tokens += usage.reasoning_tokens or 0


class RecentExchange(msgspec.Struct, frozen=True):
    """One exchange, as it is shown: names, counts, times, and how it ended. `None` is not known, which is not 0."""

    time: float  # seconds since 1970, when it was over
    provider: str
    model: str
    provider_model: str | None
    operation: str | None
    streaming: bool
    completion: str
    status: int | None
    prompt_tokens: int | None
    completion_tokens: int | None
    cached_tokens: int | None
    cost_usd_micros: int | None
    duration_seconds: float
    first_token_seconds: float | None
    usage_source: str
    finish_reason: str | None
    error_type: str | None


class ModelOf(NamedTuple):
    """A model, and who serves it; by the rules for labels."""

    provider: str
    model: str


OTHERS: Final = ModelOf(OTHER, OTHER)


class Cell(msgspec.Struct, array_like=True, frozen=True):
    """What happened with a model in a step: seconds since 1970, by STEP_SECONDS."""

    step: int
    provider: str
    model: str
    tally: Tally


class Snapshot(msgspec.Struct, array_like=True, frozen=True):
    """What a process remembers, the newest exchange first, and when that was, in seconds since 1970."""

    taken_at: float
    cells: list[Cell]
    exchanges: list[RecentExchange]


class RecentExchanges:
    """A sink that remembers. Any thread may look."""

    name = "recent"

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._places = {name: LabelPlaces(name) for name in LLM_AND_MODEL}
        # What is lost is counted where the same names are labels of metrics.
        self._labels = BoundedLabels(0, LabelLosses(lambda _: None), self._places)
        self._step = 0
        self._tallies: dict[ModelOf, Tally] = {}  # of the step that is under way
        self._closed: dict[int, list[Cell]] = {}  # of those before it, in which nothing changes any more
        self._exchanges: deque[tuple[float, ModelOf, UsageRecord]] = deque(maxlen=MAX_EXCHANGES)

    def configure(self, choices: LabelChoices, max_label_values: int) -> None:
        """Name models by these rules from now on, as the labels of metrics do."""
        with self._lock:
            for name, places in self._places.items():
                choice = choices.of(name)
                places.configure(choice, choice.max_values or max_label_values)
            self._labels.configure(max_label_values)

    def forget(self) -> None:
        """Be as if nothing had happened yet."""
        with self._lock:
            self._tallies, self._closed = {}, {}
            self._exchanges.clear()

    def emit(self, record: UsageRecord) -> None:
        """Remember an exchange."""
        if not record.is_llm:
            return
        with self._lock:
            now = self._clock()
            name = ModelOf(*self._labels.values(record.provider, record.model, is_proven=record.usage is not None))
            self._go_on(int(now // STEP_SECONDS))
            self._find(name).count(record)
            self._exchanges.append((now, name, record))

    def snapshot(self) -> Snapshot:
        """Return what is remembered now."""
        with self._lock:
            now = self._clock()  # here: whoever looks must not come with a time that is over for those who emit
            self._go_on(int(now // STEP_SECONDS))
            now_cells = [Cell(self._step * STEP_SECONDS, *name, _copy(tally)) for name, tally in self._tallies.items()]
            cells = [cell for closed in self._closed.values() for cell in closed] + now_cells
            exchanges = tuple(self._exchanges)
        return Snapshot(now, cells, [_told(*exchange) for exchange in reversed(exchanges)])

    def _find(self, name: ModelOf) -> Tally:
        tally = self._tallies.get(name)
        if tally is None:
            if len(self._tallies) >= MAX_MODELS_IN_A_STEP:
                name = OTHERS
            tally = self._tallies.setdefault(name, Tally())
        return tally

    def _go_on(self, step: int) -> None:
        """Be in this step, and forget those that are too long ago.

        A clock may have been put back: by little, and the step goes on; by more, and that is forgotten which is yet to
        come. What has happened in the step that is now again, still has.
        """
        if self._step - 1 <= step <= self._step:
            return
        at = self._step * STEP_SECONDS
        self._closed[self._step] = [Cell(at, *name, tally) for name, tally in self._tallies.items()]
        again = self._closed.pop(step, ())
        self._step, self._tallies = step, {ModelOf(cell.provider, cell.model): _copy(cell.tally) for cell in again}
        for known in [known for known in self._closed if not step - STEPS < known < step]:
            del self._closed[known]


def merge(cells: Iterable[Cell]) -> dict[int, dict[ModelOf, Tally]]:
    """Return what happened in each step, of several processes together. It is to be read: some of it is theirs."""
    steps: dict[int, dict[ModelOf, list[Tally]]] = {}
    for cell in cells:
        steps.setdefault(cell.step, {}).setdefault(ModelOf(cell.provider, cell.model), []).append(cell.tally)
    return {
        step: {name: tallies[0] if len(tallies) == 1 else add_up(tallies) for name, tallies in models.items()}
        for step, models in steps.items()
    }


def add_up(tallies: Iterable[Tally]) -> Tally:
    """Return what several have counted."""
    total = Tally()
    for tally in tallies:
        total.add(tally)
    return total


def _copy(tally: Tally) -> Tally:
    return add_up((tally,))


def _told(ended_at: float, name: ModelOf, record: UsageRecord) -> RecentExchange:
    usage = record.usage or TokenUsage()
    is_named = OTHER not in name  # what a rule hides, or has no place, is not told here either
    return RecentExchange(
        time=ended_at,
        provider=name.provider,
        model=name.model,
        provider_model=record.response_model if is_named and name.model == record.request_model else None,
        operation=record.operation,
        streaming=record.streaming,
        completion=record.completion.value,
        status=record.status_code,
        prompt_tokens=usage.prompt_tokens,
        completion_tokens=usage.completion_tokens,
        cached_tokens=usage.cached_tokens,
        cost_usd_micros=None if record.cost is None else record.cost.usd_micros,
        duration_seconds=record.duration_seconds,
        first_token_seconds=record.time_to_first_token_seconds,
        usage_source=record.usage_source.value,
        finish_reason=record.finish_reason,
        error_type=record.error_type,
    )
