"""What `extproc envoy-config` lets choose.

Owns: the words. The command line imports them before anything of Envoy's is loaded.
"""

from __future__ import annotations

import enum


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
