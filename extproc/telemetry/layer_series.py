"""What each of KrakenD's layers counts of an exchange, and which of them a rule has.

Owns: the figures, labels and switches of the layers. Must not know how exchanges with the same labels are found again.
https://www.krakend.io/docs/telemetry/opentelemetry-layers-metrics/
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from extproc.config.telemetry import Layers, Telemetry
from extproc.sinks.exemplars import Witness
from extproc.surroundings import Surroundings
from extproc.telemetry import names
from extproc.telemetry.groups import EVERYWHERE, groups_of_rules
from extproc.telemetry.instruments import LAYERS, Instrument, LayerInstruments, rebucketed
from extproc.telemetry.layer_labels import Facts, LayerLabels
from extproc.telemetry.rules import layers_of_rules
from extproc.telemetry.series import Histogram, LabelValues
from extproc.telemetry.store import CounterFamily, Families, HistogramFamily
from extproc.usage import Completion, UsageRecord

TIMEOUT_STATUSES = frozenset((408, 504))

_SERVER = (names.HTTP_REQUEST_METHOD, names.URL_SCHEME, names.HTTP_ROUTE, names.HTTP_RESPONSE_STATUS_CODE)
_STAGE = (names.KRAKEND_ERROR, names.KRAKEND_CANCELED, names.KRAKEND_COMPLETE, names.KRAKEND_ROUTE,
          names.KRAKEND_METHOD)  # fmt: skip
_CLIENT = (names.HTTP_REQUEST_METHOD, names.HTTP_ROUTE, names.HTTP_RESPONSE_STATUS_CODE, names.KRAKEND_ROUTE,
           names.KRAKEND_METHOD)  # fmt: skip
_CONNECTION = (names.SERVER_ADDRESS, names.SERVER_PORT)


class Layer(Protocol):
    """The series that one layer has for exchanges with the same labels."""

    def count(self, record: UsageRecord, around: Surroundings, witness: Witness | None) -> None:
        """Count one of these exchanges."""
        ...


class _Server:
    """The exchange as the client downstream sees it."""

    __slots__ = ("_duration", "_size")

    def __init__(self, duration: HistogramFamily, size: HistogramFamily, labels: LabelValues) -> None:
        self._duration, self._size = duration.series(labels), size.series(labels)

    def count(self, record: UsageRecord, around: Surroundings, witness: Witness | None) -> None:  # noqa: ARG002
        self._duration.observe(record.duration_seconds, witness)
        if record.response_body_bytes is not None:
            self._size.observe(record.response_body_bytes)


class _Proxy:
    """The time this sidecar takes."""

    __slots__ = ("_duration",)

    def __init__(self, duration: HistogramFamily, labels: LabelValues) -> None:
        self._duration: Histogram = duration.series(labels)

    def count(self, record: UsageRecord, around: Surroundings, witness: Witness | None) -> None:  # noqa: ARG002
        self._duration.observe(around.processing_seconds, witness)


class _Stage:
    """The call to the LLM as a whole."""

    __slots__ = ("_duration",)

    def __init__(self, duration: HistogramFamily, labels: LabelValues) -> None:
        self._duration: Histogram = duration.series(labels)

    def count(self, record: UsageRecord, around: Surroundings, witness: Witness | None) -> None:  # noqa: ARG002
        self._duration.observe(record.duration_seconds, witness)


class _RoundTripFamilies:
    """Those of the request to the LLM, up to the headers of its answer, and of the sizes of both."""

    def __init__(
        self, families: Families, known: LayerInstruments, telemetry: Telemetry, labels: Sequence[str]
    ) -> None:
        self.duration = _histogram(families, known.client_duration, telemetry, labels)
        self.started = families.counter(known.client_started, labels)
        self.failed = families.counter(known.client_failed, labels)
        self.canceled = families.counter(known.client_canceled, labels)
        self.timedout = families.counter(known.client_timedout, labels)
        self.request_size: CounterFamily | HistogramFamily
        if known.client_request_size.kind == "counter":
            self.request_size = families.counter(known.client_request_size, labels)
        else:
            self.request_size = _histogram(families, known.client_request_size, telemetry, labels)
        self.response_size = _histogram(families, known.client_response_size, telemetry, labels)
        self.no_length = families.counter(known.client_no_content_length, labels)


class _RoundTrip:
    __slots__ = ("_add_request", "_canceled", "_duration", "_failed", "_no_length", "_response_size", "_started",
                 "_timedout")  # fmt: skip

    def __init__(self, families: _RoundTripFamilies, labels: LabelValues) -> None:
        self._duration = families.duration.series(labels)
        self._started = families.started.series(labels)
        self._failed = families.failed.series(labels)
        self._canceled = families.canceled.series(labels)
        self._timedout = families.timedout.series(labels)
        self._add_request: Callable[[float], None] = (
            families.request_size.series(labels).add
            if isinstance(families.request_size, CounterFamily)
            else families.request_size.series(labels).observe
        )
        self._response_size = families.response_size.series(labels)
        self._no_length = families.no_length.series(labels)

    def count(self, record: UsageRecord, around: Surroundings, witness: Witness | None) -> None:  # noqa: ARG002
        self._started.add(1)
        headers_seconds = record.timing.response_headers_seconds
        self._duration.observe(record.duration_seconds if headers_seconds is None else headers_seconds, witness)
        if record.request_body_bytes is not None:
            self._add_request(record.request_body_bytes)
        if record.response_body_bytes is not None:
            self._response_size.observe(record.response_body_bytes)
        if record.streaming:
            self._no_length.add(1)
        if record.completion is Completion.CANCELLED:
            self._canceled.add(1)
        elif record.completion.is_failure:
            self._failed.add(1)
            if record.status_code in TIMEOUT_STATUSES:
                self._timedout.add(1)


class _ReadingFamilies:
    """Those of the body of the answer."""

    def __init__(
        self, families: Families, known: LayerInstruments, telemetry: Telemetry, labels: Sequence[str]
    ) -> None:
        self.size = families.counter(known.read_size, labels)
        self.size_histogram = _histogram(families, known.read_size_histogram, telemetry, labels)
        self.time = families.counter(known.read_time, labels)
        self.time_histogram = _histogram(families, known.read_time_histogram, telemetry, labels)
        self.errors = families.counter(known.read_errors, labels)


class _Reading:
    __slots__ = ("_errors", "_size", "_size_histogram", "_time", "_time_histogram")

    def __init__(self, families: _ReadingFamilies, labels: LabelValues) -> None:
        self._size = families.size.series(labels)
        self._size_histogram = families.size_histogram.series(labels)
        self._time = families.time.series(labels)
        self._time_histogram = families.time_histogram.series(labels)
        self._errors = families.errors.series(labels)

    def count(self, record: UsageRecord, around: Surroundings, witness: Witness | None) -> None:  # noqa: ARG002
        size_bytes = record.response_body_bytes
        if size_bytes is not None:
            self._size.add(size_bytes)
            self._size_histogram.observe(size_bytes)
        headers_seconds = record.timing.response_headers_seconds
        if headers_seconds is not None:
            seconds = max(record.duration_seconds - headers_seconds, 0.0)
            self._time.add(seconds)
            self._time_histogram.observe(seconds, witness)
        if record.completion is Completion.TRUNCATED:
            self._errors.add(1)


class RuleLayers:
    """The layers that the exchanges of a rule are counted in."""

    def __init__(self, makers: Sequence[Callable[[Facts], Layer]]) -> None:
        self._makers = makers

    def make(self, facts: Facts) -> tuple[Layer, ...]:
        """Return the series of exchanges with these labels."""
        return tuple(make(facts) for make in self._makers)


def build_layers(families: Families, telemetry: Telemetry) -> Mapping[int | None, RuleLayers]:
    """Return the layers of each rule, by the index of the override; None: what stands where no override does."""
    by_rule, groups = layers_of_rules(telemetry), groups_of_rules(telemetry)
    all_, grouped = by_rule.values(), bool(groups)
    has_connection = any(each.backend.metrics.detailed_connection for each in all_)
    server = LayerLabels(_SERVER, [each.global_.metrics_static_attributes for each in all_], grouped=grouped)
    proxy = LayerLabels(_STAGE, [each.proxy.metrics_static_attributes for each in all_], grouped=grouped)
    backend = [each.backend.metrics.static_attributes for each in all_]
    stage = LayerLabels(_STAGE, backend, grouped=grouped)
    client = LayerLabels(_CLIENT + (_CONNECTION if has_connection else ()), backend, grouped=grouped)
    return {
        rule: RuleLayers(
            _makers(
                families,
                telemetry,
                layers,
                groups.get(rule, EVERYWHERE),
                server=server,
                proxy=proxy,
                stage=stage,
                client=client,
            )
        )
        for rule, layers in by_rule.items()
    }


def _makers(  # noqa: PLR0913 - the labels of four layers
    families: Families,
    telemetry: Telemetry,
    wanted: Layers,
    group: str,
    *,
    server: LayerLabels,
    proxy: LayerLabels,
    stage: LayerLabels,
    client: LayerLabels,
) -> list[Callable[[Facts], Layer]]:
    """Return what makes the series of each layer that is not switched off."""
    known = LAYERS[wanted.global_.semantic_convention]
    makers: list[Callable[[Facts], Layer]] = []
    if not wanted.global_.disable_metrics:
        duration = _histogram(families, known.server_duration, telemetry, server.names)
        size = _histogram(families, known.server_response_size, telemetry, server.names)
        of = server.values(wanted.global_.metrics_static_attributes, group)
        makers.append(lambda facts: _Server(duration, size, of(facts)))
    if not wanted.proxy.disable_metrics:
        taken = _histogram(families, known.proxy_duration, telemetry, proxy.names)
        of_proxy = proxy.values(wanted.proxy.metrics_static_attributes, group)
        makers.append(lambda facts: _Proxy(taken, of_proxy(facts)))
    metrics = wanted.backend.metrics
    if wanted.backend.disable_metrics:
        return makers
    of_stage = stage.values(metrics.static_attributes, group)
    if not metrics.disable_stage:
        whole = _histogram(families, known.backend_duration, telemetry, stage.names)
        makers.append(lambda facts: _Stage(whole, of_stage(facts)))
    of_client = client.values(metrics.static_attributes, group)

    def shown(facts: Facts) -> LabelValues:
        hidden = () if metrics.detailed_connection else _CONNECTION
        return of_client(Facts({name: value for name, value in facts.values.items() if name not in hidden}))

    if metrics.round_trip:
        round_trip = _RoundTripFamilies(families, known, telemetry, client.names)
        makers.append(lambda facts: _RoundTrip(round_trip, shown(facts)))
    if metrics.read_payload:
        reading = _ReadingFamilies(families, known, telemetry, client.names)
        makers.append(lambda facts: _Reading(reading, shown(facts)))
    return makers


def _histogram(
    families: Families, instrument: Instrument, telemetry: Telemetry, label_names: Sequence[str]
) -> HistogramFamily:
    own = telemetry.histograms
    return families.histogram(rebucketed(instrument, own.time_buckets, own.size_buckets), label_names)
