from __future__ import annotations

from prometheus_client import CollectorRegistry

from extproc.sinks.certificates import CertificateMetrics


def test_both_outcomes_are_there_from_the_start_and_the_expiry_is_the_last_one() -> None:
    """A series that appears with its first count has no increase."""
    registry = CollectorRegistry()
    metrics = CertificateMetrics(registry)

    def told() -> list[float | None]:
        outcomes = [
            registry.get_sample_value("extproc_tls_reloads_total", {"outcome": outcome})
            for outcome in ("success", "failure")
        ]
        return [*outcomes, registry.get_sample_value("extproc_tls_certificate_expiry_timestamp_seconds")]

    metrics.certificate_served(100.0)
    assert told() == [0, 0, 100]
    metrics.certificates_reloaded(is_good=False)
    assert told() == [0, 1, 100]
    metrics.certificates_reloaded(is_good=True)
    metrics.certificate_served(200.0)
    assert told() == [1, 1, 200]
