"""Plans of configuration for Envoy, from settings."""

from __future__ import annotations

from typing import Any

from extproc.config.address import HostPort
from extproc.config.needs import find_needs
from extproc.config.settings import Settings
from extproc.envoyconfig.choices import Mode, TlsFlags
from extproc.envoyconfig.plan import Plan, find_reach
from extproc.envoyconfig.printing import DEFAULT_UPSTREAMS
from extproc.upstreams import parse_upstreams

COLLECTOR = {"exporters": {"otlp": [{"name": "a", "host": "localhost"}]}}
LISTEN_TLS = {"cert_file": "/cert.pem", "key_file": "/key.pem"}
MTLS = LISTEN_TLS | {"client_ca_file": "/clients.pem"}


def plan_for(
    settings: dict[str, Any] | None = None, mode: Mode = Mode.INSPECT, tls: TlsFlags | None = None, **changes: Any
) -> Plan:
    """Return the plan that the command makes of these settings without other flags."""
    loaded = Settings.model_validate(settings or {})
    reach = find_reach(loaded, None, tls or TlsFlags())
    known: dict[str, Any] = {
        "gateway": HostPort("127.0.0.1", 8080),
        "admin": HostPort("127.0.0.1", 9901),
        "upstreams": tuple(parse_upstreams(DEFAULT_UPSTREAMS)),
        "tls": reach.tls,
        "endpoints": reach.endpoints,
    }
    return Plan(settings=loaded, needs=find_needs(loaded), mode=mode, **known | changes)
