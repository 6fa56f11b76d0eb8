"""What `extproc envoy-config` lets choose.

Owns: the words, and the defaults of what only whoever runs Envoy knows. The command line imports them before anything
of Envoy's is loaded.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass, field

# Debian, Ubuntu, Alpine and Envoy's own images have it here.
DEFAULT_TRUST_STORE = "/etc/ssl/certs/ca-certificates.crt"


class Target(enum.StrEnum):
    """What is configured."""

    ENVOY = "envoy"
    ENVOY_GATEWAY = "envoy-gateway"
    ISTIO = "istio"
    KGATEWAY = "kgateway"


class Mode(enum.StrEnum):
    """How traffic is shown to the sidecar."""

    INSPECT = "inspect"
    ZERO_BODY = "zero-body"
    OBSERVE = "observe"
    FULL_DUPLEX = "full-duplex"


class Part(enum.StrEnum):
    """What of a plain Envoy's configuration is printed."""

    BOOTSTRAP = "bootstrap"
    FILTER = "filter"
    CLUSTER = "cluster"
    ACCESS_LOG = "access-log"
    RATE_LIMIT = "rate-limit"
    ALL = "all"


class Format(enum.StrEnum):
    """How it is written."""

    YAML = "yaml"
    JSON = "json"


@dataclass(frozen=True, slots=True)
class TlsFlags:
    """What was said of TLS; None is what was not."""

    ca_file: str | None = None
    server_name: str | None = None
    cert_file: str | None = None
    key_file: str | None = None


@dataclass(frozen=True, slots=True)
class Wish:
    """What whoever runs Envoy says beside the sidecar's settings, as flags have it."""

    target: Target = Target.ENVOY
    mode: Mode = Mode.INSPECT
    parts: frozenset[Part] = frozenset()
    format: Format = Format.YAML
    upstreams: Sequence[str] = ()
    trust_store: str = DEFAULT_TRUST_STORE
    gateway: str = "0.0.0.0:8080"
    envoy_admin: str = "127.0.0.1:9901"
    sidecar: str | None = None
    tls: TlsFlags = field(default_factory=TlsFlags)
    message_timeout_seconds: float = 2.0
    fail_open: bool = True
    rate_limit: str | None = None
    rate_limit_header: str | None = None
    rate_limit_claim: str | None = None
    rate_limit_domain: str = "ai-gateway"
    rate_limit_denies: bool = False
    name: str = "extproc"
    namespace: str = "default"
    attach: str = "Gateway/ai-gateway"
