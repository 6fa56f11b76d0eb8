"""Every code that a finding can have. docs/doctor.md says what each means; a test holds both to what is found.

Owns: that a code which is to be left out is one.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from extproc.config.problems import nearest
from extproc.errors import SettingsError

CODES: Final = (
    "access-log-without-metadata", "address-differs", "all-headers-forwarded", "answers-never-end",
    "attributes-not-sent", "bounds-hit", "buffer-too-small", "certificate-expires", "check-failed",
    "circuit-breaker-low", "circuit-breaker-overflow", "client-certificate-missing", "cluster-missing",
    "cluster-not-http2", "cluster-unhealthy", "cluster-unreachable", "cluster-without-endpoints",
    "compressed-before-reading", "compressed-unread", "details-not-forwarded", "edit-refused",
    "envoy-misconfigured", "envoy-too-old", "envoy-unreachable", "envoy-untried", "extraction-errors",
    "failure-mode-closed", "filter-absent", "filter-after-router", "filter-disabled", "filter-disabled-elsewhere",
    "filter-twice", "filter-unknown", "filter-upstream", "headers-not-forwarded", "label-headers-not-forwarded",
    "label-values-cut", "label-values-dropped", "message-timeout-short", "messages-timing-out",
    "metadata-key-misspelt", "metadata-namespace-misspelt", "model-unknown", "model-unpriced", "mutation-refused",
    "mutations-rejected", "namespaces-not-forwarded", "namespaces-not-received", "namespaces-unused",
    "needs-unknown", "no-envoy-grpc", "no-streams", "observability-mode", "observability-mode-metrics-only",
    "override-of-no-filter", "rate-limit-adds-one", "rate-limit-before-ext-proc", "rate-limit-charged-twice",
    "rate-limit-counts-requests", "rate-limit-key-may-be-absent", "rate-limit-never-asked",
    "rate-limit-never-trued-up", "rate-limit-refund-charged", "rate-limit-reserves-nothing", "rate-limit-too-early",
    "rate-limit-without-addend", "reload-failed", "request-body-buffered", "request-body-hidden",
    "request-headers-skipped", "response-body-buffered", "response-body-hidden", "response-headers-shown",
    "response-headers-skipped", "shedding", "sidecar-not-ready", "sidecar-unreachable", "sink-errors",
    "spurious-messages", "streams-failing", "streams-without-message", "telemetry-dropped", "tls-mismatch",
    "trailers-skipped", "usage-log-dropped", "usage-not-forwarded", "usage-read-too-late", "usage-without-signal",
    "workers-not-listed", "workers-restarted",
)  # fmt: skip


def checked_codes(names: Iterable[str]) -> frozenset[str]:
    """Return codes; raise SettingsError for one that there is not: it would silently leave out nothing."""
    for name in names:
        if name not in CODES:
            raise SettingsError(f"--ignore: {name!r} is no code of a finding; {nearest(name, CODES)}")
    return frozenset(names)
