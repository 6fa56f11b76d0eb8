"""The forms that values of telemetry have: names of headers and labels, hosts, endpoints, buckets.

Owns: what is allowed, and what is said of a value that is not. What may be a credential is never said again: the value
of a header, and a URL that has a user or a query. Knows nothing of where values come from, or of what they are for.
"""

from __future__ import annotations

import ipaddress
import math
import re
from collections.abc import Mapping
from typing import TypeVar
from urllib.parse import urlsplit

from extproc.credentials import is_secret_name
from extproc.errors import SettingsError

_Word = TypeVar("_Word", bound=str)

# https://www.rfc-editor.org/rfc/rfc9110#name-tokens
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", re.ASCII)
# What HTTP and gRPC metadata both carry: https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md
_HEADER_VALUE = re.compile(r"[\x20-\x7e]*", re.ASCII)
# https://prometheus.io/docs/concepts/data_model/#metric-names-and-labels
_LABEL_NAME = re.compile(r"(?!__)[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_HOST_NAME = re.compile(r"[A-Za-z0-9._-]+", re.ASCII)

# Labels that keep samples and groups of exchanges apart, and so can be nobody else's.
_TAKEN_EVERYWHERE = frozenset({"le", "quantile", "extproc_group"})
# What beside these the metrics have of their own that custom labels are added to.
RESERVED_LABELS = _TAKEN_EVERYWHERE | {
    "llm", "model", "gen_ai_operation_name", "gen_ai_provider_name", "gen_ai_system", "gen_ai_request_model",
    "gen_ai_response_model", "gen_ai_token_type", "gen_ai_token_modality", "error_type", "usage_source", "failure",
    "key_extproc_usage_source",
}  # fmt: skip
# As pydantic has it.
_TRUE = frozenset({"true", "t", "yes", "y", "on", "1"})
_NO_LABEL_CHARACTER = re.compile(r"[^a-zA-Z0-9_]")


def checked_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Return headers as they may be sent; raise SettingsError, which repeats no value."""
    for name, value in headers.items():
        if not _HEADER_NAME.fullmatch(name):
            raise SettingsError("the name of a header has letters, digits and !#$%&'*+-.^_`|~, and one here has others")
        if not _HEADER_VALUE.fullmatch(value) or value != value.strip():
            raise SettingsError(f"the value of {name} has to be printable ASCII, without white space around it")
    return dict(headers)


def checked_header_name(name: str) -> str:
    """Return the name of a header as Envoy tells it, in lower case; raise SettingsError for what is none."""
    if not _HEADER_NAME.fullmatch(name):
        raise SettingsError(f"{name!r} is no name of a header: use letters, digits and !#$%&'*+-.^_`|~")
    if is_secret_name(name.lower()):
        raise SettingsError(f"{name!r} may hold a credential, and those are not reported: use another header")
    return name.lower()


def checked_label_name(name: str) -> str:
    """Return the name of a label; raise SettingsError for one that Prometheus refuses, or that is taken."""
    if not _LABEL_NAME.fullmatch(name):
        raise SettingsError(
            f"{name!r} is no name of a label: use letters, digits and _, no digit first, and no __ at the start"
        )
    if name in RESERVED_LABELS:
        raise SettingsError(f"{name!r} is taken: metrics have a label of their own by this name")
    return name


def checked_metric_key(key: str) -> str:
    """Return the key of an attribute of metrics; raise SettingsError for one that is no label, or always taken."""
    label = _NO_LABEL_CHARACTER.sub("_", key)
    if label.startswith("__") or label in _TAKEN_EVERYWHERE:
        raise SettingsError(f"{key!r} cannot be a label of metrics: in Prometheus {label} has a meaning of its own")
    return key


def checked_host(host: str) -> str:
    """Return a host name or an address, without brackets; raise SettingsError for anything else."""
    address = host.removeprefix("[").removesuffix("]")
    if not _is_host(address):
        shown = "this" if "@" in host or "?" in host else repr(host)
        raise SettingsError(f"{shown} is no host: use a name or an address, without scheme and port")
    return address


def checked_endpoint(url: str) -> str:
    """Return the complete http or https URL of a collector; raise SettingsError for what is none."""
    has_secrets = "@" in url or "?" in url or "#" in url
    shown = "this" if has_secrets else repr(url)
    if not url.startswith(("http://", "https://")):
        raise SettingsError(f"{shown} is no http or https URL")
    try:
        parts = urlsplit(url)
        port, host = parts.port, parts.hostname
    except ValueError:
        raise SettingsError(f"{shown} is no http or https URL") from None
    if not host or port == 0 or not _is_host(host):
        raise SettingsError(f"{shown} names no host, or a port that is none")
    if has_secrets:
        raise SettingsError("an endpoint has no user, query or fragment; credentials go into headers")
    return url


def checked_number(value: object) -> object:
    """Return a value that stands where a number should; raise SettingsError for a truth value, which Python counts."""
    if isinstance(value, bool):
        raise SettingsError(f"a number is expected, not {value}")
    return value


def checked_buckets(bounds: tuple[float, ...]) -> tuple[float, ...]:
    """Return upper bounds of buckets; raise SettingsError unless they grow, from above 0."""
    pairs = zip((0.0, *bounds), bounds, strict=False)
    if not all(math.isfinite(bound) and before < bound for before, bound in pairs):
        raise SettingsError("bounds are above 0 and grow from each to the next")
    return bounds


def checked_some(words: tuple[_Word, ...]) -> tuple[_Word, ...]:
    """Return words; raise SettingsError if there is none, or one stands there twice."""
    if not words:
        raise SettingsError("one is needed at least")
    return checked_different(words)


def checked_different(words: tuple[_Word, ...]) -> tuple[_Word, ...]:
    """Return words; raise SettingsError if one stands there twice."""
    for word in words:
        if words.count(word) > 1:
            raise SettingsError(f"{word!r} is there twice")
    return words


def is_true(value: object) -> bool:
    """Return whether a value is what the schema reads as true, in whichever form it was given."""
    return str(value).lower() in _TRUE


def _is_host(text: str) -> bool:
    if ":" not in text:
        return _HOST_NAME.fullmatch(text) is not None
    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        return False
    return True
