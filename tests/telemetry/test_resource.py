from __future__ import annotations

import uuid
from typing import Any

import pytest

from extproc import __version__
from extproc.config.telemetry import Telemetry
from extproc.telemetry.resource import build_resource_attributes


def build(**settings: Any) -> dict[str, str]:
    return build_resource_attributes(Telemetry.model_validate(settings))


def test_a_process_says_who_it_is() -> None:
    """Exactly this: no command line, no host name, no user."""
    attributes = build()
    assert uuid.UUID(attributes.pop("service.instance.id")).version == 4
    assert attributes == {
        "service.name": "ai-gateway-extproc",
        "service.version": __version__,
        "telemetry.sdk.name": "extproc.telemetry",
        "telemetry.sdk.language": "python",
        "telemetry.sdk.version": __version__,
    }


def test_traces_and_metrics_are_of_the_same_instance() -> None:
    """Whoever asks twice gets the same."""
    assert build()["service.instance.id"] == build()["service.instance.id"]


def test_an_environment_goes_by_its_new_name_and_its_old_one() -> None:
    """Backends look for one or the other."""
    attributes = build(deploy_env="prod")
    assert attributes["deployment.environment.name"] == attributes["deployment.environment"] == "prod"


@pytest.mark.parametrize(
    ("settings", "key", "expected"),
    [
        ({"resource_attributes": {"k8s.pod.name": "p"}}, "k8s.pod.name", "p"),
        ({"resource_attributes": {"service.name": "a"}}, "service.name", "a"),
        ({"resource_attributes": {"service.name": "a"}, "service_name": "b"}, "service.name", "b"),
        ({"resource_attributes": {"service.version": "1"}}, "service.version", "1"),
        ({"resource_attributes": {"service.version": "1"}, "service_version": "2"}, "service.version", "2"),
        ({"resource_attributes": {"service.instance.id": "one"}}, "service.instance.id", "one"),
    ],
)
def test_what_is_named_goes_before_what_is_listed(settings: dict[str, Any], key: str, expected: str) -> None:
    """As OTEL_SERVICE_NAME goes before OTEL_RESOURCE_ATTRIBUTES."""
    assert build(**settings)[key] == expected
