"""What Envoy's configuration makes impossible, found by the sidecar behind the real Envoy."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from support.engine import ENGINE_ENVIRON
from support.gateway import Gateway
from support.upstream import Upstream
from support.waiting import wait_for

from extproc.demo.stack import SidecarCommand
from extproc.errors import Hindrance

pytestmark = pytest.mark.e2e

PATH = "/openai/v1/chat/completions"
QUESTION = b'{"model": "gpt-4o", "messages": []}'
ANSWER = b'{"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}}'
LABELS = {"custom_labels": [{"name": "team", "metadataNamespace": "corp.team", "metadataKey": "name"}]}
LOG = {"EXTPROC_USAGE_LOG": "/dev/null"}


def observe(ext_proc: dict[str, Any]) -> None:
    ext_proc["observability_mode"] = True


def forget_path(ext_proc: dict[str, Any]) -> None:
    patterns = ext_proc["forward_rules"]["allowed_headers"]["patterns"]
    patterns.remove({"exact": ":path"})


def skip_headers(ext_proc: dict[str, Any]) -> None:
    ext_proc["processing_mode"]["request_header_mode"] = "SKIP"


def send_no_questions(ext_proc: dict[str, Any]) -> None:
    ext_proc["processing_mode"]["request_body_mode"] = "NONE"


def send_no_answers(ext_proc: dict[str, Any]) -> None:
    ext_proc["processing_mode"]["response_body_mode"] = "NONE"


def change_nothing(ext_proc: dict[str, Any]) -> None:
    assert ext_proc


def forward_request_id(ext_proc: dict[str, Any]) -> None:
    ext_proc["forward_rules"]["allowed_headers"]["patterns"].append({"exact": "x-request-id"})


def misconfigured(gateway: Gateway) -> set[str]:
    """Return the problems that the metrics tell of."""
    found = {
        dict(labels)["problem"]: value
        for (name, labels), value in gateway.metrics().items()
        if name == "extproc_envoy_misconfigured"
    }
    assert found.keys() == set(Hindrance)
    return {problem for problem, value in found.items() if value == 1}


@pytest.mark.parametrize(
    ("change", "environ", "exchanges", "problem", "workers"),
    [
        (observe, {}, 1, "observability_mode", 1),
        (forget_path, {}, 1, "headers_not_forwarded", 1),
        (skip_headers, {}, 1, "request_headers_not_sent", 1),
        (send_no_questions, {}, 20, "request_body_not_sent", 1),
        (send_no_answers, {}, 20, "response_body_not_sent", 1),
        (send_no_answers, {}, 20, "response_body_not_sent", 2),
        (change_nothing, {"EXTPROC_TELEMETRY": json.dumps(LABELS)}, 100, "namespaces_not_forwarded", 1),
        (change_nothing, LOG, 100, "request_id_not_forwarded", 1),
        (forward_request_id, LOG, 100, None, 1),
    ],
)
def test_what_makes_something_impossible_is_told_once(
    upstream: Upstream,
    change: Callable[[dict[str, Any]], object],
    environ: dict[str, str],
    exchanges: int,
    problem: str | None,
    workers: int,
) -> None:
    """In the log with its mend, and in the metrics; and nothing else is."""
    upstream.script = lambda reply: reply.send(ANSWER)
    sidecar = SidecarCommand(environ=environ | ENGINE_ENVIRON, workers=workers)
    with Gateway({"openai": upstream.address}, change=change, sidecar=sidecar) as gateway:
        connection = gateway.connect()
        for _ in range(exchanges * workers):
            connection.request("POST", PATH, QUESTION, {"content-type": "application/json"})
            assert connection.getresponse().read() == ANSWER
        connection.close()
        wait_for(lambda: gateway.value("extproc_streams_active") == 0)
        wait_for(lambda: misconfigured(gateway) == ({problem} if problem else set()))
        lines = [json.loads(line) for line in gateway.sidecar_log.splitlines()]
        told = [(line["problem"], line["more"]) for line in lines if line["level"] == "warning" and "problem" in line]
        assert told == ([(problem, "extproc doctor")] * workers if problem else [])
