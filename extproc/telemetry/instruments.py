"""The metrics of this package as OpenTelemetry and KrakenD know them: name, kind, unit, buckets, and Prometheus's name.

Owns: the tables, literals that tests/telemetry/test_instruments.py pins. KrakenD's own metrics have no unit, so that
their names in Prometheus are the ones its dashboards ask for. Must not know how anything is counted.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final, Literal, TypeAlias

from extproc.config.telemetry import Telemetry
from extproc.telemetry import names
from extproc.telemetry.names import Vocabulary
from extproc.usage import CHUNK_GAP_BOUNDS_SECONDS

Kind: TypeAlias = Literal["counter", "histogram"]

_NO_LABEL_CHARACTER = re.compile(r"[^a-zA-Z0-9_]")

# Of units, those with a place in a name: https://opentelemetry.io/docs/specs/otel/compatibility/prometheus_and_openmetrics/
_UNIT_SUFFIXES = MappingProxyType({"s": "_seconds", "By": "_bytes"})


# Labels that Prometheus makes something of, or that views do.
_TAKEN_LABEL = re.compile(r"(?:[0-9]|__).*|le|quantile|extproc_.*|")


def label_of(attribute: str) -> str:
    """Return the label by which an attribute goes in Prometheus."""
    label = _NO_LABEL_CHARACTER.sub("_", attribute)
    return f"key_{label}" if _TAKEN_LABEL.fullmatch(label) else label


@dataclass(frozen=True, slots=True)
class Instrument:
    """A metric. `bounds` are the upper bounds of a histogram's buckets, without the last, which has none."""

    name: str
    kind: Kind
    unit: str
    help: str
    bounds: tuple[float, ...] = ()

    @property
    def family(self) -> str:
        """Prometheus's name of the family: of a counter without `_total`."""
        return _NO_LABEL_CHARACTER.sub("_", self.name) + _UNIT_SUFFIXES.get(self.unit, "")


_TOKENS: Final = (1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216, 67108864)
_DURATIONS: Final = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
_FIRSTS: Final = (0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
_GAPS: Final = CHUNK_GAP_BOUNDS_SECONDS

TIME_BUCKETS_SECONDS: Final = (0.01, 0.02, 0.05, 0.075, 0.1, 0.125, 0.15, 0.175, 0.2, 0.25, 0.3, 0.35, 0.5, 0.75, 1.0,
                               1.5, 2.0, 3.5, 5.0, 10.0)  # fmt: skip
_KIB: Final = 1024
SIZE_BUCKETS_BYTES: Final = (128, 256, 512, _KIB, 4 * _KIB, 8 * _KIB, 16 * _KIB, 32 * _KIB, 64 * _KIB, 256 * _KIB,
                             512 * _KIB, 1024 * _KIB, 4096 * _KIB, 16384 * _KIB, 65536 * _KIB)  # fmt: skip


def _histogram(name: str, unit: str, bounds: tuple[float, ...], help_: str) -> Instrument:
    return Instrument(name, "histogram", unit, help_, bounds)


def _counter(name: str, unit: str, help_: str) -> Instrument:
    return Instrument(name, "counter", unit, help_)


# Of an LLM call.
TOKEN_USAGE = _histogram("gen_ai.client.token.usage", "{token}", _TOKENS, "Number of input and output tokens used")
OPERATION_DURATION = _histogram("gen_ai.client.operation.duration", "s", _DURATIONS, "Duration of an LLM call")
TIME_TO_FIRST_CHUNK = _histogram(
    "gen_ai.client.operation.time_to_first_chunk", "s", _FIRSTS, "From the request to the first byte of a stream"
)
TIME_PER_OUTPUT_CHUNK = _histogram(
    "gen_ai.client.operation.time_per_output_chunk", "s", _GAPS, "Between two chunks of a stream that carry tokens"
)
SERVER_TIME_TO_FIRST_TOKEN = _histogram(
    "gen_ai.server.time_to_first_token", "s", _FIRSTS, "From the request to the first token of a stream"
)
SERVER_TIME_PER_OUTPUT_TOKEN = _histogram(
    "gen_ai.server.time_per_output_token", "s", _GAPS, "Time for each token of a stream after the first"
)
INFERENCE_INPUT_TOKENS = _counter(
    "gen_ai.client.inference.usage.input_tokens", "{token}", "Input tokens used, cached ones included"
)
INFERENCE_OUTPUT_TOKENS = _counter(
    "gen_ai.client.inference.usage.output_tokens", "{token}", "Output tokens used, those of reasoning included"
)
INFERENCE_CACHE_READ = _counter(
    "gen_ai.client.inference.usage.cache_read.input_tokens", "{token}", "Input tokens read from a cache"
)
INFERENCE_CACHE_WRITE = _counter(
    "gen_ai.client.inference.usage.cache_write.input_tokens", "{token}", "Input tokens written to a cache"
)
INFERENCE_REASONING = _counter(
    "gen_ai.client.inference.usage.reasoning.output_tokens", "{token}", "Output tokens of reasoning"
)
INFERENCE_INPUT_SIZE = _histogram(
    "gen_ai.client.inference.operation.input_tokens", "{token}", _TOKENS, "Input tokens of a call"
)
INFERENCE_OUTPUT_SIZE = _histogram(
    "gen_ai.client.inference.operation.output_tokens", "{token}", _TOKENS, "Output tokens of a call"
)

# Of a call as well, and in no vocabulary: the conventions have no name for money.
COST = _counter("extproc.cost_usd", "{USD}", "What calls with a known price cost, in US dollars")

_LEGACY = (TOKEN_USAGE, OPERATION_DURATION, SERVER_TIME_TO_FIRST_TOKEN, SERVER_TIME_PER_OUTPUT_TOKEN)
_CHUNKS = (TIME_TO_FIRST_CHUNK, TIME_PER_OUTPUT_CHUNK)
_INFERENCE = (INFERENCE_INPUT_TOKENS, INFERENCE_OUTPUT_TOKENS, INFERENCE_CACHE_READ, INFERENCE_CACHE_WRITE,
              INFERENCE_REASONING, INFERENCE_INPUT_SIZE, INFERENCE_OUTPUT_SIZE)  # fmt: skip
_VOCABULARIES = MappingProxyType(
    {
        "legacy": _LEGACY,
        "1.41": (*_LEGACY, *_CHUNKS),
        "latest": (*_LEGACY[1:], *_CHUNKS, *_INFERENCE),
    }
)


def gen_ai_instruments(vocabularies: Iterable[Vocabulary]) -> tuple[Instrument, ...]:
    """Return the metrics of an LLM call in all these vocabularies together."""
    return tuple(dict.fromkeys(each for vocabulary in vocabularies for each in _VOCABULARIES[vocabulary]))


_TIME, _SIZE = TIME_BUCKETS_SECONDS, SIZE_BUCKETS_BYTES


@dataclass(frozen=True, slots=True)
class LayerInstruments:
    """The metrics of KrakenD's layers in one semantic convention. A request's size is a counter in the older one."""

    server_duration: Instrument
    server_response_size: Instrument
    proxy_duration: Instrument
    backend_duration: Instrument
    client_duration: Instrument
    client_started: Instrument
    client_failed: Instrument
    client_canceled: Instrument
    client_timedout: Instrument
    client_request_size: Instrument
    client_response_size: Instrument
    client_no_content_length: Instrument
    read_size: Instrument
    read_size_histogram: Instrument
    read_time: Instrument
    read_time_histogram: Instrument
    read_errors: Instrument


_OLD = LayerInstruments(
    server_duration=_histogram("http.server.duration", "", _TIME, "Duration of an exchange, in seconds"),
    server_response_size=_histogram("http.server.response.size", "", _SIZE, "Size of an answer, in bytes"),
    proxy_duration=_histogram(
        "krakend.proxy.duration", "", _TIME, "Time this sidecar took for an exchange, in seconds"
    ),
    backend_duration=_histogram("krakend.backend.duration", "", _TIME, "Duration of a call to an LLM, in seconds"),
    client_duration=_histogram(
        "http.client.duration", "", _TIME, "From a request to the headers of its answer, in seconds"
    ),
    client_started=_counter("http.client.request.started.count", "", "Requests to LLMs"),
    client_failed=_counter(
        "http.client.request.failed.count", "", "Requests to LLMs that failed, those that timed out included"
    ),
    client_canceled=_counter(
        "http.client.request.canceled.count", "", "Requests to LLMs that were given up, which is no failure"
    ),
    client_timedout=_counter("http.client.request.timedout.count", "", "Requests to LLMs that timed out"),
    client_request_size=_counter("http.client.request.size", "", "Bytes of the bodies of requests"),
    client_response_size=_histogram("http.client.response.size", "", _SIZE, "Size of an answer, in bytes"),
    client_no_content_length=_counter(
        "http.client.response.no-content-length", "", "Answers whose length was not told before"
    ),
    read_size=_counter("http.client.response.read.size", "", "Bytes of answers read"),
    read_size_histogram=_histogram(
        "http.client.response.read.size-hist", "", _SIZE, "Size of an answer as it was read, in bytes"
    ),
    read_time=_counter("http.client.response.read.time", "s", "Time in which bodies of answers came in"),
    read_time_histogram=_histogram(
        "http.client.response.read.time-hist", "s", _TIME, "Time in which the body of an answer came in"
    ),
    read_errors=_counter("http.client.response.read.errors", "", "Answers that stopped in the middle"),
)
_V1_27 = replace(
    _OLD,
    server_duration=_histogram("http.server.request.duration", "s", _TIME, "Duration of HTTP server requests"),
    server_response_size=_histogram("http.server.response.body.size", "By", _SIZE, "Size of HTTP server responses"),
    client_duration=_histogram("http.client.request.duration", "s", _TIME, "Duration of HTTP client requests"),
    client_request_size=_histogram("http.client.request.body.size", "By", _SIZE, "Size of HTTP client requests"),
    client_response_size=_histogram("http.client.response.body.size", "By", _SIZE, "Size of HTTP client responses"),
)

# By `semantic_convention`.
LAYERS = MappingProxyType({"": _OLD, "1.27": _V1_27})

_ALL_LAYERS = [getattr(layers, field) for layers in LAYERS.values() for field in LayerInstruments.__slots__]

# Every metric of this package, by Prometheus's name of the family.
INSTRUMENTS = MappingProxyType(
    {each.family: each for each in (*gen_ai_instruments(("legacy", "1.41", "latest")), COST, *_ALL_LAYERS)}
)


def rebucketed(instrument: Instrument, times: tuple[float, ...], sizes: tuple[float, ...]) -> Instrument:
    """Return a layer's metric with a deployment's own buckets, where it has some."""
    own = {_TIME: times, _SIZE: sizes}.get(instrument.bounds)
    return replace(instrument, bounds=tuple(sorted(set(own)))) if own else instrument


def attribute_keys(telemetry: Telemetry) -> Mapping[str, str]:
    """Return what OpenTelemetry calls the labels of this package's families, which do not show where the dots were."""
    layers, rules = telemetry.layers, telemetry.overrides
    servers = [layers.global_, *(rule.global_ for rule in rules if rule.global_)]
    proxies = [layers.proxy, *(rule.proxy for rule in rules if rule.proxy)]
    backends = [layers.backend, *(rule.backend for rule in rules if rule.backend)]
    said = [
        *(layer.metrics_static_attributes for layer in servers),
        *(layer.metrics_static_attributes for layer in proxies),
        *(layer.metrics.static_attributes for layer in backends),
    ]
    static = [attribute.key for attributes in said for attribute in attributes]
    custom = [label.name for label in telemetry.custom_labels]
    return {label_of(key): key for key in (*static, *custom, *names.METRIC_ATTRIBUTES)}
