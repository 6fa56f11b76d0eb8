"""The usage log through the real Envoy: what it says is what the counters say, whoever writes it and where."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.engine import ENGINE_ENVIRON
from support.gateway import Gateway
from support.sidecar import children_of
from support.upstream import Reply, Upstream
from support.waiting import wait_for

from extproc.demo.stack import SidecarCommand

pytestmark = pytest.mark.e2e

PATH = "/openai/v1/chat/completions"
QUESTION = b'{"model": "gpt-4o", "messages": []}'
STREAM = b'{"model": "gpt-4o", "stream": true, "stream_options": {"include_usage": true}, "messages": []}'
ANSWER = b'{"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}}'
EVENT = b'data: {"choices": [], "usage": {"prompt_tokens": 30, "completion_tokens": 2, "total_tokens": 32}}\n\n'

# What the lines and the counters both have.
SUMS = {
    "prompt_tokens": "ai_prompt_tokens_total",
    "completion_tokens": "ai_completion_tokens_total",
    "total_tokens": "ai_total_tokens_total",
}


def forward_request_id(ext_proc: dict[str, Any]) -> None:
    """Show the sidecar the id by which Envoy's access log knows a request."""
    ext_proc["forward_rules"]["allowed_headers"]["patterns"].append({"exact": "x-request-id"})


def answer(reply: Reply) -> None:
    """Answer as a provider does; a stream goes on without an end."""
    if b"stream" not in reply.body:
        reply.send(ANSWER)
        return
    reply.stream()
    reply.chunk(EVENT)


def hang_up(gateway: Gateway) -> None:
    """Ask for a stream, and be gone when its counts have come."""
    connection = gateway.connect()
    connection.request("POST", PATH, STREAM, {"content-type": "application/json", "x-request-id": "given-up"})
    response = connection.getresponse()
    assert response.readline() == EVENT.splitlines(keepends=True)[0]
    connection.close()
    response.close()


def usage_lines(gateway: Gateway, path: Path) -> list[dict[str, Any]]:
    """Return the lines of the usage log; one on standard output stands among the sidecar's log lines."""
    text = path.read_text() if path.exists() else gateway.sidecar_log
    lines = [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]
    return [line for line in lines if "completion" in line]


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("place", ["stdout", "file"])
def test_what_is_counted_is_logged(tmp_path: Path, upstream: Upstream, workers: int, place: str) -> None:
    """Every exchange, also that of a client that has hung up; and its line has the id that the access log has."""
    path = tmp_path / "usage.jsonl"
    environ = {"EXTPROC_USAGE_LOG": str(path) if place == "file" else "stdout", **ENGINE_ENVIRON}
    upstream.script = answer
    sidecar = SidecarCommand(workers=workers, environ=environ)
    with Gateway({"openai": upstream.address}, change=forward_request_id, sidecar=sidecar) as gateway:
        entries = [gateway.post(PATH, QUESTION)[2] for _ in range(10)]
        for _ in range(3):
            hang_up(gateway)
        wait_for(lambda: gateway.value("extproc_exchanges_total", completion="cancelled") == 3)
        wait_for(lambda: gateway.value("extproc_usage_log_lines_total", outcome="written") == 13)
        lines = usage_lines(gateway, path)
        for key, counter in SUMS.items():
            reported = gateway.value(counter, llm="openai", model="gpt-4o")
            partial = gateway.value(counter, llm="openai", model="gpt-4o", usage_source="partial")
            assert sum(line[key] for line in lines) == reported + partial, key
        assert gateway.value("ai_requests_total", llm="openai", model="gpt-4o") == len(lines) == 13
        assert gateway.value("extproc_usage_log_lines_total", outcome="dropped") == 0
    assert sorted(line["completion"] for line in lines) == ["cancelled"] * 3 + ["complete"] * 10
    by_id = {line["request_id"]: line for line in lines}
    assert by_id["given-up"]["usage_source"] == "partial"
    for entry in entries:
        assert entry["ai"].items() <= by_id[entry["request_id"]].items()
        assert entry["hits_addend"] == by_id[entry["request_id"]]["hits_addend"]


def test_workers_write_what_is_left_when_they_are_told_to_end(tmp_path: Path, upstream: Upstream) -> None:
    """Within the drain, and into one file."""
    path = tmp_path / "usage.jsonl"
    upstream.script = answer
    sidecar = SidecarCommand(workers=2, environ={"EXTPROC_USAGE_LOG": str(path), **ENGINE_ENVIRON})
    with Gateway({"openai": upstream.address}, sidecar=sidecar) as gateway:
        assert gateway.stack.sidecar is not None
        assert len(children_of(gateway.stack.sidecar.pid)) == 2
        for _ in range(20):
            gateway.post(PATH, QUESTION)
        hang_up(gateway)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["completion"] for line in lines].count("complete") == 20
    assert len(lines) == 21


@pytest.mark.parametrize("rotate", [Path.unlink, lambda path: path.rename(path.with_suffix(".1"))])
def test_the_file_may_be_rotated(tmp_path: Path, upstream: Upstream, rotate: Callable[[Path], object]) -> None:
    """The sidecar need not be told."""
    path = tmp_path / "usage.jsonl"
    upstream.script = answer
    sidecar = SidecarCommand(environ={"EXTPROC_USAGE_LOG": str(path), **ENGINE_ENVIRON})
    with Gateway({"openai": upstream.address}, sidecar=sidecar) as gateway:
        gateway.post(PATH, QUESTION)
        wait_for(lambda: path.read_text().endswith("\n"))
        rotate(path)

        def is_there_again() -> bool:
            gateway.post(PATH, QUESTION)
            return path.exists() and path.read_text().endswith("\n")

        wait_for(is_there_again)
