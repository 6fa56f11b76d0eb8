"""What the settings need of Envoy: headers, attributes, other filters' metadata, and leave to change a header.

Owns: which of Envoy's switches have to be set so that what an operator asked for can be had. Who writes Envoy's
configuration and who looks at it ask here, so that both mean the same. Must not know how Envoy's configuration says it,
nor body modes: those are the operator's choice.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from extproc.config.settings import Settings
from extproc.config.telemetry import Layers, Telemetry
from extproc.headers import REQUEST_HEADERS, REQUEST_ID_HEADER, RESPONSE_HEADERS
from extproc.semconv import RATELIMIT_NAMESPACE, REQUEST_INFO_NAMESPACE, TOKEN_USAGE_NAMESPACE
from extproc.telemetry.rules import layers_of_rules
from extproc.trace_context import B3, PROPAGATORS, TRACEPARENT

# What telemetry reads of every request besides.
_PSEUDO_HEADERS = frozenset({":method", ":scheme", ":authority", ":path"})

_REQUEST_ATTRIBUTES = ("xds.route_name",)
_CONNECTION_ATTRIBUTES = ("upstream.address", "upstream.tls_version")

# What propagators there are a header to write for.
_WRITTEN: Final = {"tracecontext": TRACEPARENT, "b3": B3}

# What changes with a body's length, and so that an answer can be read: extproc/wire/edits.py.
_EDITED: Final = ("accept-encoding", "content-length")

# Where Envoy's AI Protocol Manager tells what it has read, and where json_to_metadata may; typed and untyped are two
# worlds to Envoy. Needed where no body comes here.
ZERO_BODY_TYPED_NAMESPACES: Final = (TOKEN_USAGE_NAMESPACE,)
ZERO_BODY_UNTYPED_NAMESPACES: Final = (REQUEST_INFO_NAMESPACE,)


@dataclass(frozen=True, slots=True)
class Needs:
    """What has to be set in Envoy's ext_proc filter. All of it is sorted, but for namespaces.

    `receiving_namespaces` are for `metadata_options.receiving_namespaces.untyped`, `forwarding_namespaces` for
    `metadata_options.forwarding_namespaces.untyped`. `request_headers` and `response_headers` are those that are read;
    `label_headers` those of the former that custom labels come from; with `all_headers` telemetry reports whatever
    there is, but for `skipped_headers`. `mutated_headers` are request headers that are written, `edited_headers` those
    of either direction that are written with a body that is edited: only in modes in which there is one.
    """

    receiving_namespaces: tuple[str, ...]
    forwarding_namespaces: tuple[str, ...]
    request_headers: tuple[str, ...]
    response_headers: tuple[str, ...]
    label_headers: tuple[str, ...]
    all_headers: bool
    skipped_headers: tuple[str, ...]
    request_attributes: tuple[str, ...]
    response_attributes: tuple[str, ...]
    mutated_headers: tuple[str, ...]
    edited_headers: tuple[str, ...]

    @property
    def header_mutation(self) -> bool:
        """Whether headers of requests are changed."""
        return bool(self.mutated_headers)


def find_needs(settings: Settings) -> Needs:
    """Return what these settings need of Envoy."""
    telemetry = settings.telemetry
    return Needs(
        receiving_namespaces=(*settings.metadata_namespaces, RATELIMIT_NAMESPACE),
        forwarding_namespaces=() if telemetry is None else _label_namespaces(telemetry),
        request_headers=tuple(sorted(_request_headers(settings))),
        response_headers=tuple(sorted(RESPONSE_HEADERS)),
        label_headers=() if telemetry is None else _label_headers(telemetry),
        all_headers=telemetry is not None and _reports_headers(telemetry),
        skipped_headers=() if telemetry is None else _skipped_headers(telemetry),
        request_attributes=() if telemetry is None else _REQUEST_ATTRIBUTES,
        response_attributes=_CONNECTION_ATTRIBUTES if telemetry is not None and _tells_connection(telemetry) else (),
        mutated_headers=() if telemetry is None else _mutated_headers(telemetry),
        edited_headers=() if settings.usage.inject_include_usage is False else _EDITED,
    )


def _label_namespaces(telemetry: Telemetry) -> tuple[str, ...]:
    """Return the namespaces that custom labels are read from, each once."""
    labels = (label for label in telemetry.custom_labels if label.metadataKey is not None)
    return tuple(dict.fromkeys(label.metadataNamespace for label in labels))


def _request_headers(settings: Settings) -> frozenset[str]:
    """Return the request headers that are read, whoever wants them."""
    named = frozenset({REQUEST_ID_HEADER}) if settings.usage_log is not None else frozenset[str]()
    surveyed = _surveyed_headers(settings.telemetry) if settings.telemetry is not None else frozenset[str]()
    return REQUEST_HEADERS | named | surveyed


def _surveyed_headers(telemetry: Telemetry) -> frozenset[str]:
    has_trace = telemetry.exporters.send_traces or telemetry.exemplars
    follows = has_trace and not telemetry.layers.global_.disable_propagation
    traced = (PROPAGATORS[name] for name in telemetry.propagators if follows)
    return _PSEUDO_HEADERS | set(_label_headers(telemetry)) | frozenset[str]().union(*traced)


def _label_headers(telemetry: Telemetry) -> tuple[str, ...]:
    return tuple(sorted({label.header for label in telemetry.custom_labels if label.header is not None}))


def _reports_headers(telemetry: Telemetry) -> bool:
    return telemetry.exporters.send_traces and bool(_skipped_by_layers(telemetry))


def _skipped_headers(telemetry: Telemetry) -> tuple[str, ...]:
    """Return the headers that no layer reports of those that all others are reported beside."""
    skipped = _skipped_by_layers(telemetry) if _reports_headers(telemetry) else []
    return tuple(sorted(frozenset.intersection(*skipped))) if skipped else ()


def _skipped_by_layers(telemetry: Telemetry) -> list[frozenset[str]]:
    """Return, of each layer that reports headers, which it leaves out."""
    return [
        frozenset(map(str.lower, layer.skip_headers))
        for layers in layers_of_rules(telemetry).values()
        for layer in (layers.global_, layers.proxy, layers.backend.traces)
        if layer.report_headers
    ]


def _tells_connection(telemetry: Telemetry) -> bool:
    """Say whether a layer tells where the call went."""
    return any(map(_has_connection, layers_of_rules(telemetry).values()))


def _has_connection(layers: Layers) -> bool:
    metrics, traces = layers.backend.metrics, layers.backend.traces
    in_metrics = not layers.backend.disable_metrics and not metrics.disable_stage and metrics.detailed_connection
    in_traces = not layers.backend.disable_traces and not traces.disable_stage and traces.detailed_connection
    return in_metrics or in_traces


def _mutated_headers(telemetry: Telemetry) -> tuple[str, ...]:
    """Return the headers by which the upstream is told of our span, where there is one to tell of."""
    backend = telemetry.layers.backend
    has_call = not backend.disable_traces and not backend.traces.disable_stage
    if not (telemetry.inject_context and telemetry.exporters.send_traces and has_call):
        return ()
    return tuple(sorted(_WRITTEN[name] for name in telemetry.propagators if name in _WRITTEN))
