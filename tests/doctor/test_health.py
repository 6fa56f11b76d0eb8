from __future__ import annotations

import pytest
from support.dumps import codes

from extproc.doctor.health import check_sidecar
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
