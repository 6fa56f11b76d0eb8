"""Prometheus: the certificates of the ext_proc port.

Owns: these names. They are there where TLS is.
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge

_OUTCOMES = ("success", "failure")


class CertificateMetrics:
    """Tells when the certificate that is served expires, and what became of files that changed."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._reloads = Counter(
            "extproc_tls_reloads",
            "Changes of the certificate files that are served, or could not be used",
            ["outcome"],
            registry=registry,
        )
        for outcome in _OUTCOMES:
            self._reloads.labels(outcome)
        # Of several processes the one that expires first is told.
        self._expiry = Gauge(
            "extproc_tls_certificate_expiry_timestamp_seconds",
            "When the certificate expires that new connections get",
            registry=registry,
            multiprocess_mode="livemin",
        )

    def certificate_served(self, expires_at_seconds: float) -> None:
        """Take the end of the certificate that is served from now on."""
        self._expiry.set(expires_at_seconds)

    def certificates_reloaded(self, *, is_good: bool) -> None:
        """Count a change."""
        self._reloads.labels(_OUTCOMES[not is_good]).inc()
