from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from prometheus_client import CollectorRegistry
from support.budgets import Clock, settings
from support.ratelimited import METHOD, RateLimitClient, charge

from extproc.budgets.deciding import Decider
from extproc.budgets.service import BudgetServer
from extproc.config.address import HostPort
from extproc.errors import SettingsError
from extproc.wire import health_pb2
from extproc.wire import ratelimit_pb2 as pb

CONFIGURATION = """
domain: d
descriptors:
  - key: tenant
    value: a
    rate_limit: {name: tokens, unit: minute, requests_per_unit: 1000}
  - key: tenant
    shadow_mode: true
    rate_limit: {unit: hour, requests_per_unit: 7}
  - key: free
    rate_limit: {unlimited: true}
"""


class Subject:
    """A server on a free port, and a client of it."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.clock = Clock()
        self.server = BudgetServer(settings(CONFIGURATION, listen="127.0.0.1:0"), self.registry, self.clock)
        self.server.start()
        self.client = RateLimitClient(str(self.server.address))

    def refusal_of(self, message: bytes, method: str = METHOD) -> Any:
        """Return the error that a message is answered with."""
        with pytest.raises(grpc.RpcError) as refused:
            self.client.send(message, method)
        return refused.value

    def ask(self, hits: int, value: str = "a") -> pb.RateLimitResponse:
        """Charge a tenant."""
        return self.client.charge("d", hits, ("tenant", value))

    def count(self, name: str) -> float | None:
        return self.registry.get_sample_value(f"extproc_budget_{name}")

    def close(self) -> None:
        self.client.__exit__()
        self.server.stop()


@pytest.fixture
def subject() -> Iterator[Subject]:
    subject = Subject()
    yield subject
    subject.close()


def test_a_client_is_cut_off_and_let_in_again(subject: Subject) -> None:
    """Over a real connection, as Envoy asks."""
    assert subject.ask(1001).overall_code == pb.RateLimitResponse.OVER_LIMIT
    refused = subject.ask(0)
    assert refused.overall_code == pb.RateLimitResponse.OVER_LIMIT
    assert refused.statuses[0].current_limit.name == "tokens"
    assert b"The budget tokens is used up" in refused.raw_body
    subject.clock.now_seconds += 60
    assert subject.ask(0).overall_code == pb.RateLimitResponse.OK
    assert subject.count("decision_seconds_count") == 3


def test_limits_are_changed_while_it_serves(subject: Subject) -> None:
    """And what has been used counts on."""
    subject.ask(600)
    subject.server.apply(settings(CONFIGURATION.replace("1000", "500"), response_headers="always"))
    assert subject.ask(0).overall_code == pb.RateLimitResponse.OVER_LIMIT
    subject.server.apply(settings(CONFIGURATION, response_headers="always"))
    left = subject.ask(0)
    assert left.statuses[0].limit_remaining == 400
    assert ("ratelimit-remaining", "400") in [(each.key, each.value) for each in left.response_headers_to_add]


@pytest.mark.parametrize(
    "message",
    [
        b"\xff",
        pb.RateLimitRequest(domain="d").SerializeToString(),
        pb.RateLimitRequest(descriptors=[pb.RateLimitDescriptor()]).SerializeToString(),
    ],
)
def test_what_is_no_question_is_refused(subject: Subject, message: bytes) -> None:
    """The reference service refuses what has no domain or no descriptors too."""
    assert subject.refusal_of(message).code() is grpc.StatusCode.INVALID_ARGUMENT
    assert subject.count("failures_total") == 1


def test_a_bug_tells_nothing_of_what_was_asked(
    subject: Subject, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """The text of an exception may hold what a client has sent."""

    def fail(_: object, question: object) -> None:
        raise ValueError(repr(question))

    monkeypatch.setattr(Decider, "decide", fail)
    failed = subject.refusal_of(charge("d", 1, ("tenant", "sesame")))
    assert failed.code() is grpc.StatusCode.INTERNAL
    assert "sesame" not in f"{failed}{''.join(capfd.readouterr())}"


@pytest.mark.parametrize("service", ["", "envoy.service.ratelimit.v3.RateLimitService"])
def test_health_checks_are_answered(subject: Subject, service: str) -> None:
    """Envoy may check the cluster."""
    request = health_pb2.HealthCheckRequest(service=service).SerializeToString()
    answer = subject.client.send(request, "/grpc.health.v1.Health/Check")
    assert health_pb2.HealthCheckResponse.FromString(answer).status == health_pb2.HealthCheckResponse.SERVING


def test_the_health_of_others_is_not_known(subject: Subject) -> None:
    """That of ext_proc is asked for on its own port."""
    request = health_pb2.HealthCheckRequest(service="envoy.service.ext_proc.v3.ExternalProcessor")
    refused = subject.refusal_of(request.SerializeToString(), "/grpc.health.v1.Health/Check")
    assert refused.code() is grpc.StatusCode.NOT_FOUND


def test_the_status_tells_limits_and_nothing_of_clients(subject: Subject) -> None:
    """It is for people."""
    subject.ask(5, "sesame")
    assert subject.server.describe() == {
        "listen": str(subject.server.address),
        "rules": [
            {"domain": "d", "rule": "tenant_a", "name": "tokens", "requests_per_unit": 1000, "unit": "minute"},
            {"domain": "d", "rule": "tenant", "requests_per_unit": 7, "unit": "hour", "shadow_mode": True},
            {"domain": "d", "rule": "free", "unlimited": True},
        ],
    }


def test_an_address_that_is_taken_is_told(subject: Subject) -> None:
    """By the name of its setting."""
    other = BudgetServer(settings(CONFIGURATION, listen=str(subject.server.address)), CollectorRegistry())
    with pytest.raises(SettingsError, match=r"budgets\.listen: cannot listen on 127\.0\.0\.1:\d+: Address already"):
        other.start()
    other.stop()


def test_an_address_that_grpc_cannot_have_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where somebody else took it in between."""
    server = BudgetServer(settings(CONFIGURATION, listen="127.0.0.1:0"), CollectorRegistry())
    server.address = HostPort("192.0.2.1", 1)
    monkeypatch.setattr("extproc.budgets.service.check_listen", lambda _: None)
    with pytest.raises(SettingsError, match=r"budgets\.listen: cannot listen on 192\.0\.2\.1:1"):
        server.start()
    server.stop()
