from __future__ import annotations

import re
from pathlib import Path

import pytest
from support.dumps import codes

from extproc.doctor import health
from extproc.doctor.health import NAMES, check_sidecar
from extproc.doctor.sidecar import read_sidecar


@pytest.mark.parametrize(
    ("metrics", "expected"),
    [
        ("", []),
        ('extproc_extraction_errors_total{stage="response_body",reason="too_large"} 0\n', []),
        ('extproc_extraction_errors_total{stage="response_body",reason="too_large"} 3\n', ["extraction-errors"]),
        ('extproc_extraction_errors_total{stage="x",reason="never_heard_of"} 3\n', ["extraction-errors"]),
        ('extproc_extraction_errors_total{stage="estimate",reason="too_large"} 3\n', []),
        ("extproc_streams_without_message_total 2\n", ["streams-without-message"]),
        ('extproc_label_values_dropped_total{label="model"} 9\n', ["label-values-dropped"]),
        ('extproc_label_values_dropped_total{label="team"} 9\n', ["label-values-dropped"]),
        ('extproc_label_values_cut_total{label="team"} 9\n', ["label-values-cut"]),
        ('extproc_label_values_cut_total{label="team"} 0\n', []),
        ('extproc_sink_errors_total{sink="x"} 1\n', ["sink-errors"]),
        (
            'extproc_telemetry_dropped_total{exporter="x",signal="traces",reason="queue_full"} 1\n',
            ["telemetry-dropped"],
        ),
        ('extproc_usage_log_lines_total{outcome="dropped"} 1\n', ["usage-log-dropped"]),
        ('extproc_usage_log_lines_total{outcome="written"} 1\n', []),
        ('extproc_worker_restarts_total{worker="0"} 1\n', ["workers-restarted"]),
        ('extproc_worker_restarts_total{worker="0"} 0\n', []),
        ('extproc_unpriced_exchanges_total{model="own"} 2\n', ["model-unpriced"]),
        ('extproc_unpriced_exchanges_total{model="own"} 0\n', []),
        ("extproc_tls_certificate_expiry_timestamp_seconds 1.0\n", ["certificate-expires"]),
        ("extproc_tls_certificate_expiry_timestamp_seconds 9e9\n", []),
        ("extproc_shedding 1\n", ["shedding"]),
        ("extproc_shedding 0\n", []),
        ('extproc_bounds_hit_total{bound="max_streams"} 3\n', ["bounds-hit"]),
        ('extproc_bounds_hit_total{bound="max_streams"} 0\n', []),
        ('extproc_bounds_hit_total{bound="max_body_bytes"} 3\n', []),
        ("extproc_config_last_reload_successful 1\n", []),
        ("extproc_config_last_reload_successful 0\n", ["reload-failed"]),
        ('extproc_envoy_misconfigured{problem="request_body_not_sent"} 1\n', ["envoy-misconfigured"]),
        ('extproc_envoy_misconfigured{problem="observability_mode"} 1\n', []),
        ('extproc_envoy_misconfigured{problem="observability_mode"} 0\n', []),
    ],
)
def test_what_it_counts_is_told(metrics: str, expected: list[str]) -> None:
    """A count of 0 is none."""
    assert codes(check_sidecar(read_sidecar({}, metrics, is_ready=True))) == expected


@pytest.mark.parametrize(("is_ready", "expected"), [(None, ["sidecar-unreachable"]), (False, ["sidecar-not-ready"])])
def test_it_has_to_be_there_and_ready(is_ready: bool | None, expected: list[str]) -> None:
    """Of one that is not there nothing else is said."""
    assert codes(check_sidecar(read_sidecar({}, "", is_ready=is_ready))) == expected


def test_all_it_reads_is_named() -> None:
    """Who hands it those metrics hands it all it needs."""
    read = re.findall(r"(?:series|total)\(\"(\w+)\"\)", Path(health.__file__).read_text())
    assert sorted(read) == sorted(NAMES)


def test_a_mend_is_told_with_what_envoy_lacks() -> None:
    """In words that can be acted on."""
    (found,) = check_sidecar(
        read_sidecar({}, 'extproc_envoy_misconfigured{problem="request_body_not_sent"} 1\n', is_ready=True)
    )
    assert "processing_mode.request_body_mode to BUFFERED_PARTIAL" in found.meaning
