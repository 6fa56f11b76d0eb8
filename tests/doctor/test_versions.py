from __future__ import annotations

import pytest
from support.dumps import codes, expected_of, view_of

from extproc.demo.bootstrap import Bootstrap
from extproc.doctor.attached import find_attached
from extproc.doctor.versions import check_version


@pytest.mark.parametrize(
    ("file", "version", "expected"),
    [
        ("envoy.yaml", "1.40.0", []),
        ("envoy.yaml", "2.0.0", []),
        ("envoy.yaml", "1.38.0", []),
        ("envoy.yaml", "1.37.4", ["envoy-too-old"]),
        ("envoy.yaml", "1.30.0", ["envoy-too-old", "envoy-untried"]),
        ("envoy.yaml", "", []),
        ("envoy-zero-body.yaml", "1.39.0", ["envoy-too-old"]),
    ],
)
def test_what_is_used_has_to_be_known(file: str, version: str, expected: list[str]) -> None:
    """An Envoy that does not know a field may pass over it without a word."""
    envoy = view_of(Bootstrap(file), version=version)
    assert codes(check_version(envoy, find_attached(envoy, expected_of()))) == expected


def test_charging_at_the_end_has_a_version_too() -> None:
    """It is found in routes."""
    configured = Bootstrap()
    del configured.ext_proc["allow_content_length_header"]
    configured.virtual_host["routes"][0]["route"]["rate_limits"] = [{"apply_on_stream_done": True}]
    envoy = view_of(configured, version="1.32.0")
    assert codes(check_version(envoy, find_attached(envoy, expected_of()))) == ["envoy-too-old", "envoy-untried"]
