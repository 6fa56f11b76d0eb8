from __future__ import annotations

from typing import Any

import pytest

from extproc.config.settings import Settings
from extproc.doctor.sidecar import read_sidecar
from extproc.status import build_status

METRICS = """\
# HELP extproc_extraction_errors_total x
# TYPE extproc_extraction_errors_total counter
extproc_extraction_errors_total{reason="empty",stage="message"} 2.0
extproc_extraction_errors_total{reason="truncated",stage="message"} 3.0
"""


def test_what_it_says_is_what_is_expected() -> None:
    """Of its namespaces, needs and addresses."""
    settings = Settings(metadata_namespaces=("mine",), listen="unix:/run/x.sock", workers=2)
    sidecar = read_sidecar(build_status(settings), METRICS, is_ready=True)
    assert sidecar.expected.namespaces == ("mine",)
    assert sidecar.expected.written == ("mine", "envoy.ratelimit")
    assert sidecar.expected.listen == ("unix:/run/x-0.sock", "unix:/run/x-1.sock")
    assert sidecar.expected.max_whole_response_bytes == 32768
    assert sidecar.total("extproc_extraction_errors_total") == 5
    assert dict(sidecar.series("extproc_extraction_errors_total").__next__()[0])["reason"] == "empty"


@pytest.mark.parametrize("status", [None, {}, [], "x"])
def test_who_says_nothing_is_taken_for_one_with_defaults(status: Any) -> None:
    """It is better than to look at nothing."""
    assert (
        read_sidecar(status, "", is_ready=None).expected
        == read_sidecar(build_status(Settings()), "", is_ready=True).expected
    )


def test_other_settings_can_stand_in_for_its_own() -> None:
    """But not for where it listens."""
    running = build_status(Settings(listen="unix:/run/x.sock"))
    sidecar = read_sidecar(running, "", is_ready=True, settings=Settings(metadata_namespaces=("mine",)))
    assert sidecar.expected.namespaces == ("mine",)
    assert sidecar.expected.listen == ("unix:/run/x.sock",)


@pytest.mark.parametrize("metrics", ["<html>", "a{b} 1\n", "x y\n", "\0"])
def test_what_is_no_metrics_is_none(metrics: str) -> None:
    """Something else may answer on that port."""
    assert read_sidecar({}, metrics, is_ready=True).total("x") == 0


def test_a_status_of_another_shape_is_read_as_far_as_it_goes() -> None:
    """A newer or older sidecar may say other things."""
    sidecar = read_sidecar({"needs": 1, "listen": "x", "max_whole_response_bytes": "y"}, "", is_ready=True)
    assert (sidecar.expected.listen, sidecar.expected.max_whole_response_bytes) == ((), 0)
