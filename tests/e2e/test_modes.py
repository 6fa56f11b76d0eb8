"""Every way Envoy can be told to show bodies to an external processor, with the real Envoy."""

from __future__ import annotations

import gzip
import itertools
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest
from support.engine import ONLY_WATCHING
from support.gateway import Gateway
from support.upstream import Reply, Upstream
from support.waiting import wait_for

from extproc.demo.stack import SidecarCommand

pytestmark = pytest.mark.e2e

PATH = "/openai/v1/chat/completions"
QUESTION = b'{"model": "gpt-4o", "stream": true, "messages": [{"role": "user", "content": "%s"}]}' % (b"hi " * 30_000)
ANSWER = b'{"model": "m", "choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}}'
EVENTS = [
    b'data: {"model": "m", "choices": [{"delta": {"content": "a"}}], "usage": null}\n\n',
    b"data: " + ANSWER + b"\n\n",
    b"data: [DONE]\n\n",
]
REQUEST_MODES = ("BUFFERED", "BUFFERED_PARTIAL", "STREAMED", "FULL_DUPLEX_STREAMED")
WATCHING = SidecarCommand(environ=ONLY_WATCHING)
RESPONSE_MODES = ("BUFFERED", "BUFFERED_PARTIAL", "STREAMED", "FULL_DUPLEX_STREAMED")


def modes(request: str, response: str) -> Callable[[dict[str, Any]], None]:
    """Return a change of the filter's configuration; full duplex wants trailers too."""

    def change(ext_proc: dict[str, Any]) -> None:
        ext_proc["processing_mode"] |= {
            "request_body_mode": request,
            "response_body_mode": response,
            "request_trailer_mode": "SEND",
            "response_trailer_mode": "SEND",
        }

    return change


@pytest.fixture(
    scope="module",
    name="gateway",
    params=list(itertools.product(REQUEST_MODES, RESPONSE_MODES)),
    ids=lambda pair: f"{pair[0]}-{pair[1]}",
)
def _gateway(request: pytest.FixtureRequest, answers: Upstream) -> Iterator[Gateway]:
    with Gateway({"openai": answers.address}, sidecar=WATCHING, change=modes(*request.param)) as gateway:
        yield gateway


@pytest.fixture(scope="module", name="answers")
def _answers() -> Iterator[Upstream]:
    with Upstream(answer) as upstream:
        yield upstream


def answer(reply: Reply) -> None:
    """Answer as the request's header says; refuse a request that is not what was sent."""
    if reply.body != QUESTION:
        reply.send(b'{"error": {"type": "the_request_was_changed"}}', status=400)
        return
    kind = reply.headers["x-kind"]
    if kind == "document":
        reply.send(ANSWER)
    elif kind == "gzip":
        reply.send(gzip.compress(ANSWER, mtime=0), content_encoding="gzip")
    else:
        reply.stream()
        for event in EVENTS:
            reply.chunk(event)
        reply.end({"x-trailer": "1"} if kind == "trailers" else None)


@pytest.mark.parametrize("kind", ["document", "gzip", "stream", "trailers"])
def test_bodies_pass_unchanged_and_are_metered(kind: str, gateway: Gateway) -> None:
    """In both directions, whatever the modes."""
    sent, content, entry = gateway.post(PATH, QUESTION, {"x-kind": kind})
    assert sent.status == 200
    expected = {"document": ANSWER, "gzip": gzip.compress(ANSWER, mtime=0)}.get(kind, b"".join(EVENTS))
    assert content == expected
    ai = entry["ai"]
    assert (ai["total_tokens"], ai["usage_source"], entry["hits_addend"]) == (7, "reported", 7)
    assert (ai["model"], ai["streaming"]) == ("gpt-4o", True)
    assert gateway.value("extproc_extraction_errors_total", stage="message", reason="unknown_phase") == 0


def test_where_envoy_does_not_wait_it_counts_all_the_same(answers: Upstream) -> None:
    """In observability_mode there is no metadata, but there are metrics."""

    def change(ext_proc: dict[str, Any]) -> None:
        modes("STREAMED", "STREAMED")(ext_proc)
        ext_proc["observability_mode"] = True

    with Gateway({"openai": answers.address}, sidecar=WATCHING, change=change) as gateway:
        for kind in ("document", "stream"):
            sent, _, entry = gateway.post(PATH, QUESTION, {"x-kind": kind})
            assert (sent.status, entry["ai"]) == (200, None)
        labels = {"llm": "openai", "model": "gpt-4o"}
        wait_for(lambda: gateway.value("ai_total_tokens_total", **labels) == 14)
        assert gateway.value("ai_requests_total", **labels) == 2


def test_without_bodies_there_is_a_charge_of_nothing(answers: Upstream) -> None:
    """Headers alone tell provider and outcome."""
    with Gateway({"openai": answers.address}, sidecar=WATCHING, change=modes("NONE", "NONE")) as gateway:
        sent, content, entry = gateway.post(PATH, QUESTION, {"x-kind": "document"})
        assert (sent.status, content) == (200, ANSWER)
        assert (entry["ai"]["provider"], entry["ai"]["usage_source"], entry["hits_addend"]) == ("openai", "none", 0)
        wait_for(lambda: gateway.value("ai_requests_total", llm="openai", model="unknown") == 1)


def test_a_short_answer_comes_in_one_message(answers: Upstream) -> None:
    """As the sidecar asks, where the configuration lets it: request headers and body, response headers and body."""
    with Gateway({"openai": answers.address}, sidecar=WATCHING) as gateway:
        gateway.post(PATH, QUESTION, {"x-kind": "document"})
        wait_for(lambda: gateway.value("extproc_messages_total", phase="response_body") == 1)
        assert gateway.value("extproc_messages_total", phase="response_headers") == 1


def test_a_buffer_smaller_than_a_short_answer_is_said_so() -> None:
    """Envoy then shows the start of it only. It passes unchanged, and is counted as cut off."""
    content = b'{"text": "%s", "usage": {}}' % (b"a" * 32_000)
    passed_on = threading.Event()

    def script(reply: Reply) -> None:
        """Send piece after piece, half of the answer at most, until the first of it is through."""
        reply.send(b"", content_length=str(len(content)))
        sent_bytes = 0
        while sent_bytes < len(content) // 2 and not passed_on.wait(0.02):
            reply.write(content[sent_bytes : sent_bytes + 500])
            sent_bytes += 500
        reply.write(content[sent_bytes:])

    with (
        Upstream(script) as upstream,
        Gateway({"openai": upstream.address}, max_buffer_bytes=4096) as gateway,
        closing(gateway.connect()) as connection,
    ):
        connection.request("POST", PATH, b'{"model": "gpt-4o", "messages": []}', {"content-type": "application/json"})
        answer = connection.getresponse()
        received = answer.read(1)
        passed_on.set()
        assert received + answer.read() == content
        labels = {"stage": "response_body", "reason": "truncated"}
        wait_for(lambda: gateway.value("extproc_extraction_errors_total", **labels) == 1)


def test_a_configuration_that_allows_no_override_meters_the_same(answers: Upstream) -> None:
    """The wish for one message is passed by."""
    with Gateway(
        {"openai": answers.address}, sidecar=WATCHING, change=lambda ext_proc: ext_proc.pop("allow_mode_override")
    ) as gateway:
        _, _, entry = gateway.post(PATH, QUESTION, {"x-kind": "document"})
        assert entry["ai"]["total_tokens"] == 7
