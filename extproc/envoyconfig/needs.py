"""What the settings of the sidecar need of the ext_proc filter before it.

Owns: which namespaces, headers and attributes have to go from Envoy to the sidecar and back, so that what is set can
work. The sidecar's own survey says what it reads; nothing of it is told twice. Must not know how Envoy spells it.
"""

from __future__ import annotations

from dataclasses import dataclass

from extproc.config.settings import Settings
from extproc.config.telemetry import Telemetry
from extproc.headers import REQUEST_HEADERS, RESPONSE_HEADERS
from extproc.semconv import RATELIMIT_NAMESPACE
from extproc.surveying import build_surveyor

# https://www.envoyproxy.io/docs/envoy/latest/intro/arch_overview/advanced/attributes
_REQUEST_ATTRIBUTES = ("xds.route_name",)
_RESPONSE_ATTRIBUTES = ("upstream.address", "upstream.tls_version")


@dataclass(frozen=True, slots=True)
class Needs:
    """What has to be forwarded to the sidecar, and kept of what it answers.

    `receiving` are the namespaces it writes, `forwarding` those of other filters that it reads. Of headers it reads
    `request_headers` and `response_headers`; with `reports_headers` a deployment wants to see them all, credentials and
    `skipped_headers` apart. `injected` are the headers it sets for upstreams.
    """

    receiving: tuple[str, ...]
    forwarding: tuple[str, ...] = ()
    request_headers: tuple[str, ...] = ()
    response_headers: tuple[str, ...] = ()
    reports_headers: bool = False
    skipped_headers: tuple[str, ...] = ()
    request_attributes: tuple[str, ...] = ()
    response_attributes: tuple[str, ...] = ()
    injected: tuple[str, ...] = ()


def find_needs(settings: Settings) -> Needs:
    """Return what these settings need."""
    receiving = (*settings.metadata_namespaces, RATELIMIT_NAMESPACE)
    response_headers = _in_order(RESPONSE_HEADERS)
    if settings.telemetry is None:
        return Needs(receiving, (), _in_order(REQUEST_HEADERS), response_headers)
    surveyor = build_surveyor(settings.telemetry)
    namespaces = dict.fromkeys(source.namespace for _, source in surveyor.metadata_labels)
    is_reported = surveyor.is_reported
    skipped = () if is_reported is None else _skipped(settings.telemetry)
    return Needs(
        receiving,
        tuple(namespaces),
        _in_order(REQUEST_HEADERS | surveyor.request_headers),
        response_headers,
        is_reported is not None,
        tuple(name for name in skipped if is_reported is not None and not is_reported(name)),
        _REQUEST_ATTRIBUTES,
        _RESPONSE_ATTRIBUTES,
        tuple(surveyor.inject or ()),
    )


def _skipped(telemetry: Telemetry) -> tuple[str, ...]:
    """Return the headers that any layer leaves out; whether all do is for the survey to say."""
    layers = (telemetry.layers.global_, telemetry.layers.proxy, telemetry.layers.backend.traces)
    return tuple(dict.fromkeys(name.lower() for layer in layers for name in layer.skip_headers))


def _in_order(names: frozenset[str]) -> tuple[str, ...]:
    """Return Envoy's own headers first, as people list them."""
    return tuple(sorted(names, key=lambda name: (not name.startswith(":"), name)))
