from __future__ import annotations

import threading
import time
import timeit
from collections.abc import Iterable
from typing import Any

import msgspec
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from prometheus_client import CollectorRegistry
from support.logged import Logged
from support.traced import record_with
from support.waiting import wait_for

from extproc.config.telemetry import Telemetry
from extproc.surroundings import Surroundings
from extproc.telemetry.background import stop_all
from extproc.telemetry.counts import Signal, TelemetryCounts
from extproc.telemetry.delivery import Delivery
from extproc.telemetry.otlp_spans import ProtobufEncoder
from extproc.telemetry.span import Span
from extproc.telemetry.span_export import Encoder, SpanExport, SpanSink, SpanWriter
from extproc.telemetry.spans import SpanBuilder
from extproc.usage import UsageRecord


class Gate:
    """A collector that takes nothing before it is opened."""

    def __init__(self, *, is_open: bool = True) -> None:
        self.opened = threading.Event()
        if is_open:
            self.opened.set()
        self.payloads: list[bytes] = []
        self.tries = 0

    def send(self, payload: bytes, timeout_seconds: float) -> int:
        self.tries += 1
        assert self.opened.wait(timeout_seconds)
        self.payloads.append(payload)
        return 0

    def close(self) -> None:
        """There is nothing to close."""

    @property
    def sizes(self) -> list[int]:
        """How many spans were in each payload."""
        return [len(self._spans(payload)) for payload in self.payloads]

    @property
    def names(self) -> list[str]:
        """The names of all spans."""
        return [span.name for payload in self.payloads for span in self._spans(payload)]

    @staticmethod
    def _spans(payload: bytes) -> list[Any]:
        return list(ExportTraceServiceRequest.FromString(payload).resource_spans[0].scope_spans[0].spans)


class Exporting:
    """A sink with exporters `a` and `b`, each to a gate of its own."""

    def __init__(self, *, is_open: bool = True, encoder: Encoder | None = None, **settings: Any) -> None:
        self.registry = CollectorRegistry()
        counts = TelemetryCounts(self.registry)
        parsed = Telemetry.model_validate(settings)
        builder = SpanBuilder(parsed)
        self.gates = {name: Gate(is_open=is_open) for name in ("a", "b")}
        self.exports = {}
        for name, gate in self.gates.items():
            own = counts.of(Signal.TRACES, name)
            self.exports[name] = SpanExport(
                SpanWriter(builder, encoder or ProtobufEncoder({}, "x", "1")),
                Delivery(name, Signal.TRACES, gate, own, 30),
                parsed.queue,
                own,
                counts.queue_of(name),
            )
        self.sink = SpanSink(parsed, builder, self.exports)

    def start(self) -> None:
        """Start the threads."""
        for export in self.exports.values():
            export.start()

    def stop(self, flush_seconds: float = 10.0) -> None:
        """Let them end."""
        stop_all(tuple(self.exports.values()), flush_seconds)

    def counts(self, exporter: str = "a") -> dict[str, float]:
        """Return what is not 0."""
        labels = {"signal": "traces", "exporter": exporter}
        found = {"exported": self.registry.get_sample_value("extproc_telemetry_exported_total", labels)}
        for reason in ("queue_full", "export_failed", "shutdown"):
            name = "extproc_telemetry_dropped_total"
            found[reason] = self.registry.get_sample_value(name, labels | {"reason": reason})
        return {name: value for name, value in found.items() if value}

    @property
    def queued(self) -> float | None:
        """The gauge of exporter `a`."""
        return self.registry.get_sample_value("extproc_telemetry_queue_spans", {"exporter": "a"})


@pytest.mark.parametrize(
    "record",
    [
        pytest.param(record_with(trace={"is_sampled": False}), id="not sampled"),
        pytest.param(record_with(around={"is_skipped": True}), id="its path is skipped"),
        pytest.param(record_with(is_llm=False), id="with no LLM"),
        pytest.param(msgspec.structs.replace(record_with(), surroundings=None), id="nothing is known of it"),
        pytest.param(msgspec.structs.replace(record_with(), surroundings=Surroundings()), id="it has no trace"),
    ],
)
def test_some_exchanges_have_no_spans(record: UsageRecord) -> None:
    """And leave nothing behind."""
    exporting = Exporting()
    exporting.start()
    exporting.sink.emit(record)
    exporting.stop()
    assert exporting.gates["a"].payloads == []
    assert exporting.counts() == {}


def test_batches_are_full_as_long_as_there_are_enough() -> None:
    """An exchange is not torn apart: five spans each, so two of them in twelve."""
    exporting = Exporting(queue={"max_batch_spans": 12, "delay_seconds": 3600})
    for _ in range(5):
        exporting.sink.emit(record_with())
    exporting.start()
    exporting.stop()
    assert exporting.gates["a"].sizes == [10, 10, 5]


def test_batches_stay_full_under_load() -> None:
    """What comes while one is on its way is not sent one by one."""
    exporting = Exporting(queue={"max_batch_spans": 50, "delay_seconds": 3600})
    exporting.start()
    for _ in range(95):
        exporting.sink.emit(record_with())
        time.sleep(0.0002)
    wait_for(lambda: exporting.counts().get("exported") == 450)
    assert set(exporting.gates["a"].sizes) == {50}
    exporting.stop()
    assert exporting.gates["a"].sizes[-1] == 25


def test_a_batch_waits_no_longer_than_it_may() -> None:
    """One exchange an hour is told as well."""
    exporting = Exporting(queue={"delay_seconds": 0.05})
    exporting.start()
    exporting.sink.emit(record_with())
    wait_for(lambda: exporting.counts() == {"exported": 5})
    exporting.stop()


def test_a_full_batch_does_not_wait() -> None:
    """Nor does it need a look at the clock."""
    exporting = Exporting(queue={"max_batch_spans": 10, "delay_seconds": 3600})
    exporting.start()
    exporting.sink.emit(record_with())
    exporting.sink.emit(record_with())
    wait_for(lambda: exporting.counts() == {"exported": 10})
    exporting.stop()


def test_an_exchange_that_is_more_than_a_batch_is_one() -> None:
    """And does not wait forever for room."""
    exporting = Exporting(queue={"max_batch_spans": 1})
    exporting.sink.emit(record_with())
    exporting.sink.emit(record_with())
    exporting.start()
    exporting.stop()
    assert exporting.gates["a"].sizes == [5, 5]


def test_a_full_queue_drops_what_comes_last() -> None:
    """The oldest tell how it began; and the count is exact, of spans and not of exchanges."""
    exporting = Exporting(is_open=False, queue={"max_spans": 20, "max_batch_spans": 10, "delay_seconds": 3600})
    exporting.start()
    for number in range(2):
        exporting.sink.emit(record_with(request_model=f"m{number}"))
    wait_for(lambda: exporting.gates["a"].tries == 1)  # a batch is on its way and no longer in the queue
    for number in range(2, 9):
        exporting.sink.emit(record_with(request_model=f"m{number}"))
    assert exporting.counts() == {"queue_full": 15}
    exporting.gates["a"].opened.set()
    wait_for(lambda: exporting.counts() == {"queue_full": 15, "exported": 30})
    assert [name for name in exporting.gates["a"].names if name.startswith("chat")] == [f"chat m{n}" for n in range(6)]
    exporting.gates["b"].opened.set()
    exporting.stop()


def test_the_gauge_tells_what_waits() -> None:
    """Not what is on its way, and nothing once all is done."""
    exporting = Exporting(is_open=False, queue={"max_batch_spans": 5, "delay_seconds": 0.01})
    for _ in range(3):
        exporting.sink.emit(record_with())
    exporting.start()
    wait_for(lambda: exporting.queued == 15)
    exporting.gates["a"].opened.set()
    exporting.gates["b"].opened.set()
    wait_for(lambda: exporting.queued == 0)
    exporting.stop()
    assert exporting.queued == 0


def test_the_gauge_grows_while_a_collector_hangs() -> None:
    """That is when somebody looks at it."""
    exporting = Exporting(is_open=False, queue={"max_batch_spans": 5, "delay_seconds": 0.01})
    exporting.start()
    exporting.sink.emit(record_with())
    wait_for(lambda: exporting.gates["a"].tries)
    for _ in range(4):
        exporting.sink.emit(record_with())
    assert exporting.queued == 20
    for gate in exporting.gates.values():
        gate.opened.set()
    exporting.stop()
    assert exporting.queued == 0


def test_a_stop_sends_what_waits() -> None:
    """Within its bound that is all of it, whatever the delay."""
    exporting = Exporting(queue={"delay_seconds": 3600})
    exporting.start()
    for _ in range(100):
        exporting.sink.emit(record_with())
    exporting.stop()
    assert exporting.counts() == {"exported": 500}


def test_what_a_stop_could_not_send_is_counted() -> None:
    """In the queue and on its way alike, and what comes after it as well."""
    exporting = Exporting(is_open=False, queue={"max_batch_spans": 5})
    exporting.start()
    for _ in range(4):
        exporting.sink.emit(record_with())
    wait_for(lambda: exporting.gates["a"].tries == 1)
    exporting.stop(0)
    assert sum(exporting.counts().values()) == 20
    assert "exported" not in exporting.counts()
    before = exporting.counts().get("shutdown", 0)
    exporting.sink.emit(record_with())
    assert exporting.counts()["shutdown"] == before + 5
    for gate in exporting.gates.values():
        gate.opened.set()  # or its thread would tell another test that it waited in vain


def test_what_was_never_started_can_be_stopped() -> None:
    """Something else may have failed before."""
    exporting = Exporting()
    exporting.sink.emit(record_with())
    exporting.stop()
    assert exporting.counts() == {"shutdown": 5}


def test_overrides_choose_exporters() -> None:
    """By name; one that only has metrics is none for traces."""
    overrides: list[dict[str, Any]] = [
        {"exporters_override": {"trace_exporters": ["b", "metrics-only"]}},
        {"exporters_override": {"trace_exporters": []}},
        {"exporters_override": {}},
    ]
    exporting = Exporting(overrides=overrides)
    exporting.start()
    for rule in (None, 0, 1, 2):
        exporting.sink.emit(record_with(around={"rule": rule}, request_model=f"m{rule}"))
    exporting.stop()
    calls = {
        name: [found for found in gate.names if found.startswith("chat")] for name, gate in exporting.gates.items()
    }
    assert calls == {"a": ["chat mNone", "chat m2"], "b": ["chat mNone", "chat m0", "chat m2"]}


def test_without_layers_nothing_is_queued() -> None:
    """All may be switched off for some exchanges."""
    off = {"disable_traces": True}
    exporting = Exporting(overrides=[{"global": off, "proxy": off, "backend": off}])
    exporting.sink.emit(record_with(around={"rule": 0}))
    exporting.stop()
    assert exporting.counts() == {}


class Faulty:
    """An encoder that fails the first time, with a secret."""

    def __init__(self) -> None:
        self._inner = ProtobufEncoder({}, "x", "1")
        self._failed: set[int] = set()

    def encode(self, spans: Iterable[Span]) -> bytes:
        if threading.get_ident() not in self._failed:
            self._failed.add(threading.get_ident())
            raise LookupError("sk-1")
        return self._inner.encode(spans)


class Poisoned(Encoder):
    """Cannot encode the spans of one exchange, whoever comes with it."""

    def __init__(self) -> None:
        self._inner = ProtobufEncoder({}, "x", "1")

    def encode(self, spans: Iterable[Span]) -> bytes:
        made = list(spans)
        if any(span.attributes.get("http.route") == "poison" for span in made):
            raise LookupError("sk-1")
        return self._inner.encode(made)


def test_an_exchange_that_can_not_be_encoded_is_lost_alone(logged: Logged) -> None:
    """Those that were to go with it go without it."""
    exporting = Exporting(encoder=Poisoned(), queue={"max_batch_spans": 100})
    for number in range(7):
        exporting.sink.emit(record_with(around={"route": "poison" if number == 2 else "chat"}))
    exporting.start()
    exporting.stop()
    assert exporting.counts() == {"export_failed": 5, "exported": 30}
    assert "sk-1" not in str(logged)


def test_what_can_not_be_encoded_costs_a_batch(logged: Logged) -> None:
    """And not the thread; the text of what it was is not repeated."""
    exporting = Exporting(encoder=Faulty(), queue={"max_batch_spans": 5})
    for _ in range(3):
        exporting.sink.emit(record_with())
    exporting.start()
    exporting.stop()
    assert exporting.counts() == {"export_failed": 5, "exported": 10}
    assert "LookupError" in str(logged)
    assert "sk-1" not in str(logged)


def test_times_are_those_of_the_wall() -> None:
    """The record's are of a clock that began somewhere."""
    exporting = Exporting()
    exporting.start()
    exporting.sink.emit(record_with(started_at_seconds=time.monotonic()))
    exporting.stop()
    [payload] = exporting.gates["a"].payloads
    assert abs(exporting.gates["a"]._spans(payload)[0].start_time_unix_nano - time.time_ns()) < 60e9


def test_the_traffic_path_hardly_notices() -> None:
    """Ten times what is aimed at, so that a busy machine is no failure: 3 us without a sample, 5 us with one."""
    exporting = Exporting(queue={"max_spans": 10_000_000, "delay_seconds": 3600})
    exporting.exports.pop("b")
    sink = SpanSink(Telemetry(), SpanBuilder(Telemetry()), {"a": exporting.exports["a"]})
    for record, bound_seconds in ((record_with(trace={"is_sampled": False}), 30e-6), (record_with(), 50e-6)):
        best = min(timeit.repeat(lambda record=record: sink.emit(record), number=200, repeat=10)) / 200  # type: ignore[misc]
        assert best < bound_seconds
