"""Prometheus: how this process fares (`extproc_*`).

Owns: metric names and labels. What exchanges used is counted in sinks/tokens.py. The registry is passed in; nothing
here touches the default one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Info

from extproc.errors import Bound, Reason, Stage
from extproc.sinks.labels import UNKNOWN, BoundedLabels, LabelChoices, LabelLosses, LabelPlaces
from extproc.usage import NativeCheck, UsageRecord


class DroppedLabels:
    """Bounds labels, and counts the values that were lost. A registry has one, for all of its metrics."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._dropped = Counter(
            "extproc_label_values_dropped",
            "Exchanges counted under the label value 'other' because there were too many values",
            ["label"],
            registry=registry,
        )
        self._cut = Counter(
            "extproc_label_values_cut",
            "Exchanges counted under a label value of which the end is missing because it was too long",
            ["label"],
            registry=registry,
        )
        # What was found of the families above, by their label.
        self._droppers: dict[str, Counter] = {}
        self._cutters: dict[str, Counter] = {}
        self._choices = LabelChoices()
        self._places: dict[str, LabelPlaces] = {}
        self._bounded: dict[tuple[tuple[str, ...], str], BoundedLabels] = {}

    def choose(self, choices: LabelChoices) -> None:
        """Have what is bounded from now on bounded so."""
        self._choices = choices

    def bound(self, names: Sequence[str], max_values: int, *, absent: str = UNKNOWN) -> BoundedLabels:
        """Return what bounds these labels: as long as series stay, so do the places that they take.

        Whoever asks again, with other settings, finds those of before; what was chosen last holds from then on.
        `max_values` is of each label that nothing else is said of, and of their combinations unless a label has more.
        """
        places, most = {}, max_values
        for name in names:
            for counter in (self._dropped, self._cut):
                counter.labels(name)  # at 0: a count that appears with its first loss has no increase
            choice = self._choices.of(name)
            places[name] = self._places.setdefault(name, LabelPlaces(name))
            places[name].configure(choice, choice.max_values or max_values)
            most = max(most, choice.max_values or 0)
        key = (tuple(names), absent)
        if key not in self._bounded:
            self._bounded[key] = BoundedLabels(most, LabelLosses(self.count, self._count_cut), places, absent=absent)
        self._bounded[key].configure(most)
        return self._bounded[key]

    def count(self, name: str) -> None:
        """Count one that found no place."""
        _child(self._dropped, self._droppers, name).inc()

    def _count_cut(self, name: str) -> None:
        _child(self._cut, self._cutters, name).inc()


class ServerMetrics:
    """Counts how this process fares: streams, messages, endings, and what could not be read."""

    name = "prometheus-server"

    def __init__(self, registry: CollectorRegistry, *, version: str) -> None:
        Info("extproc_build", "What is running", registry=registry).info({"version": version})
        self._streams = Gauge(
            "extproc_streams_active", "gRPC streams open now", registry=registry, multiprocess_mode="livesum"
        )
        self._messages = Counter(
            "extproc_messages", "ext_proc messages received, by phase", ["phase"], registry=registry
        )
        self._empty = Counter(
            "extproc_streams_without_message",
            "gRPC streams given up before a message was read: exchanges that went on unmetered",
            registry=registry,
        )
        self._exchanges = Counter(
            "extproc_exchanges", "LLM exchanges settled, by how they ended", ["completion"], registry=registry
        )
        self._skipped = Counter("extproc_exchanges_skipped", "Exchanges that were not with an LLM", registry=registry)
        self._errors = Counter(
            "extproc_extraction_errors",
            "Exchanges of which something could not be read, by where and why",
            ["stage", "reason"],
            registry=registry,
        )
        self._bounds = Counter(
            "extproc_bounds_hit",
            "Exchanges, or messages of them, that met a bound and went on unread, by the name of its setting",
            ["bound"],
            registry=registry,
        )
        for bound in Bound:
            self._bounds.labels(bound.value)
        self._charge_errors = Counter(
            "extproc_charge_errors",
            "Exchanges whose charge is not what its rule says: that failed, was negative, or more than Envoy takes",
            ["key"],
            registry=registry,
        )
        # What was found of the families above, by their label.
        self._phases: dict[str, Counter] = {}
        self._endings: dict[str, Counter] = {}
        self._native = Counter(
            "extproc_native_usage",
            "Exchanges whose usage Envoy had read itself, by how that compares with what was read here",
            ["outcome"],
            registry=registry,
        )
        for outcome in NativeCheck:
            self._native.labels(outcome.value)
        self._include_usage = Counter(
            "extproc_include_usage",
            "Streams whose client did not ask for usage, by what became of asking in its place",
            ["outcome"],
            registry=registry,
        )
        self._sink_errors = Counter("extproc_sink_errors", "Records a sink failed to take", ["sink"], registry=registry)

    def emit(self, record: UsageRecord) -> None:
        """Count how one exchange ended."""
        if record.is_llm:
            _child(self._exchanges, self._endings, record.completion.value).inc()
        else:
            self._skipped.inc()
        if record.native_check is not None:
            self._native.labels(record.native_check.value).inc()
        if record.include_usage is not None:
            self._include_usage.labels(record.include_usage).inc()
        for error in record.extraction_errors:
            self._errors.labels(error.stage.value, error.reason.value).inc()
        for bound in record.bounds_hit:
            self.bound_hit(bound)
        for key in record.charge_errors:
            self._charge_errors.labels(key).inc()

    def expect_charges(self, keys: Iterable[str]) -> None:
        """Show the charges that may fail at 0: a count that appears with its first failure has no increase."""
        for key in keys:
            self._charge_errors.labels(key)

    def stream_opened(self) -> None:
        """Count a gRPC stream in."""
        self._streams.inc()

    def stream_closed(self, messages: Mapping[str, int]) -> None:
        """Count a gRPC stream out, with the messages it carried by phase."""
        self._streams.dec()
        if not messages:
            self._empty.inc()
        for phase, count in messages.items():
            _child(self._messages, self._phases, phase).inc(count)

    def message_failed(self, stage: Stage, reason: Reason) -> None:
        """Count a message that could not be processed."""
        self._errors.labels(stage.value, reason.value).inc()

    def bound_hit(self, bound: Bound) -> None:
        """Count a bound that was met."""
        self._bounds.labels(bound.value).inc()

    def sink_failed(self, sink: str) -> None:
        """Count a record that a sink failed to take."""
        self._sink_errors.labels(sink).inc()


def _child(family: Counter, found: dict[str, Counter], label: str) -> Counter:
    """Return the counter of a label; the first time it is looked up by the library, which takes ten times as long."""
    counter = found.get(label)
    if counter is None:
        counter = found[label] = family.labels(label)
    return counter
