from __future__ import annotations

import pytest
from grpc_health.v1 import health_pb2

from extproc.server.health import Health

# The official messages: the bytes must be theirs.
ANYONE = health_pb2.HealthCheckRequest().SerializeToString()
EXT_PROC = health_pb2.HealthCheckRequest(service="envoy.service.ext_proc.v3.ExternalProcessor").SerializeToString()
NOBODY = health_pb2.HealthCheckRequest(service="no.such.Service").SerializeToString()


def status(response: bytes | None) -> str:
    assert response is not None
    name: str = health_pb2.HealthCheckResponse.ServingStatus.Name(
        health_pb2.HealthCheckResponse.FromString(response).status
    )
    return name


@pytest.mark.parametrize("request_", [ANYONE, EXT_PROC])
def test_it_serves_when_it_is_said_to(request_: bytes) -> None:
    """Not before, and not after."""
    health = Health()
    seen = [status(health.check(request_))]
    for serving in (True, False):
        health.set_serving(serving)
        assert health.is_serving is serving
        seen.append(status(health.check(request_)))
    assert seen == ["NOT_SERVING", "SERVING", "NOT_SERVING"]


@pytest.mark.parametrize("request_", [NOBODY, b"\xff"])
def test_a_service_that_is_not_here_is_not_found_or_unknown(request_: bytes) -> None:
    """Check answers with a status of gRPC, Watch with a status of its own."""
    health = Health()
    assert health.check(request_) is None
    assert status(health.watched_status(request_)) == "SERVICE_UNKNOWN"


def test_watchers_hear_of_each_change_until_they_stop() -> None:
    """And may stop while they are being told."""
    health, heard = Health(), []
    stop = health.watch(lambda: heard.append("a"))
    health.watch(lambda: heard.append("b"))
    health.set_serving(True)
    stop()
    health.set_serving(False)
    assert sorted(heard) == ["a", "b", "b"]
