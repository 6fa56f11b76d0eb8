"""What breaks, with the real Envoy: clients that hang up, upstreams that reset, a sidecar that is killed."""

from __future__ import annotations

import http.client
import json
import threading
import uuid

import pytest
from support.gateway import Gateway
from support.upstream import Reply, Upstream
from support.waiting import wait_for

pytestmark = pytest.mark.e2e

PATH = "/openai/v1/chat/completions"
QUESTION = b'{"model": "gpt-4o", "stream": true, "messages": [{"role": "user", "content": "hi"}]}'
LABELS = {"llm": "openai", "model": "gpt-4o"}
WAIT_SECONDS = 20


def event(completion_tokens: int) -> bytes:
    """One event of a server that counts as it goes."""
    usage = {"prompt_tokens": 10, "completion_tokens": completion_tokens, "total_tokens": 10 + completion_tokens}
    chunk = {"model": "m", "choices": [{"delta": {"content": "a"}}], "usage": usage}
    return f"data: {json.dumps(chunk)}\n\n".encode()


def ask(gateway: Gateway) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse, str]:
    """Send the question; return connection, answer and request id."""
    request_id = str(uuid.uuid4())
    connection = gateway.connect()
    connection.request("POST", PATH, QUESTION, {"content-type": "application/json", "x-request-id": request_id})
    return connection, connection.getresponse(), request_id


def test_a_client_that_hangs_up_is_charged_for_what_was_reported(scripted: Gateway, upstream: Upstream) -> None:
    """The last counts survive in the access log and in the counters, as partial."""
    hung_up = threading.Event()

    def script(reply: Reply) -> None:
        reply.stream()
        for completion_tokens in (1, 2):
            reply.chunk(event(completion_tokens))
        hung_up.wait(WAIT_SECONDS)

    upstream.script = script
    connection, answer, request_id = ask(scripted)
    assert answer.read(len(event(1) + event(2))) == event(1) + event(2)
    connection.close()
    answer.close()
    entry = scripted.entry(request_id)
    hung_up.set()
    assert entry["flags"] == "DC"
    assert (entry["ai"]["total_tokens"], entry["ai"]["usage_source"], entry["hits_addend"]) == (12, "partial", 12)
    wait_for(lambda: scripted.value("extproc_exchanges_total", completion="cancelled") == 1)
    assert scripted.value("ai_total_tokens_total", usage_source="partial", **LABELS) == 12
    assert scripted.value("ai_requests_total", **LABELS) == 1


def test_an_upstream_that_resets_is_charged_for_what_it_reported(scripted: Gateway, upstream: Upstream) -> None:
    """Envoy resets the client, and what was known is in the access log and in the counters."""
    received = threading.Event()

    def script(reply: Reply) -> None:
        reply.stream()
        reply.chunk(event(5))
        received.wait(WAIT_SECONDS)
        reply.reset()

    upstream.script = script
    connection, answer, request_id = ask(scripted)
    assert answer.read(len(event(5))) == event(5)
    received.set()
    with pytest.raises((http.client.IncompleteRead, ConnectionError)):
        answer.read()
    connection.close()
    entry = scripted.entry(request_id)
    assert (entry["ai"]["total_tokens"], entry["ai"]["usage_source"], entry["hits_addend"]) == (15, "partial", 15)
    wait_for(lambda: scripted.value("extproc_exchanges_total", completion="cancelled") == 1)
    assert scripted.value("ai_total_tokens_total", usage_source="partial", **LABELS) == 15


def test_a_client_that_hangs_up_behind_the_last_event_has_had_its_answer(scripted: Gateway, upstream: Upstream) -> None:
    """The API's own mark says that the answer is complete, so its counts are reported ones."""
    hung_up = threading.Event()

    def script(reply: Reply) -> None:
        reply.stream()
        reply.chunk(event(3) + b"data: [DONE]\n\n")
        hung_up.wait(WAIT_SECONDS)

    upstream.script = script
    connection, answer, request_id = ask(scripted)
    answer.read(len(event(3)) + len(b"data: [DONE]\n\n"))
    connection.close()
    answer.close()
    entry = scripted.entry(request_id)
    hung_up.set()
    assert (entry["ai"]["total_tokens"], entry["ai"]["usage_source"]) == (13, "reported")
    wait_for(lambda: scripted.value("extproc_exchanges_total", completion="complete") == 1)


def test_a_sidecar_that_is_killed_costs_the_client_nothing(scripted: Gateway, upstream: Upstream) -> None:
    """kill -9 in the middle of a stream: the client still receives all of it; the next sidecar meters again."""
    killed = threading.Event()
    events = [event(number) for number in range(1, 51)]

    def script(reply: Reply) -> None:
        reply.stream()
        for number, data in enumerate(events):
            if number == 10:
                killed.wait(WAIT_SECONDS)
            reply.chunk(data)
        reply.end()

    upstream.script = script
    connection, answer, request_id = ask(scripted)
    received = answer.read(len(events[0]))
    assert scripted.stack.sidecar is not None
    scripted.stack.sidecar.kill()
    killed.set()
    received += answer.read()
    connection.close()
    assert received == b"".join(events)
    entry = scripted.entry(request_id)
    assert (entry["status"], entry["flags"]) == (200, "-")
    assert entry["ai"]["usage_source"] == "partial"

    upstream.script = lambda reply: reply.send(
        b'{"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 1}}'
    )
    _, _, without = scripted.post(PATH, QUESTION)
    assert (without["status"], without["ai"]) == (200, None)

    scripted.stack.start_sidecar()

    def is_metered() -> bool:
        _, _, again = scripted.post(PATH, QUESTION)
        return again["ai"] is not None and again["ai"]["total_tokens"] == 2

    wait_for(is_metered)


def test_a_sidecar_that_is_told_to_stop_finishes_what_it_began(scripted: Gateway, upstream: Upstream) -> None:
    """SIGTERM in the middle of a stream: the exchange is metered to its end."""
    told = threading.Event()

    def script(reply: Reply) -> None:
        reply.stream()
        reply.chunk(event(1))
        told.wait(WAIT_SECONDS)
        reply.chunk(event(9))
        reply.end()

    upstream.script = script
    connection, answer, request_id = ask(scripted)
    answer.read(len(event(1)))
    sidecar = scripted.stack.sidecar
    assert sidecar is not None
    ended: list[int] = []
    ending = threading.Thread(target=lambda: ended.append(sidecar.end(WAIT_SECONDS)))
    ending.start()
    wait_for(lambda: not is_ready(scripted))
    told.set()
    assert answer.read() == event(9)
    connection.close()
    entry = scripted.entry(request_id)
    assert (entry["ai"]["total_tokens"], entry["ai"]["usage_source"]) == (19, "reported")
    ending.join(WAIT_SECONDS)
    assert ended == [0]


def is_ready(gateway: Gateway) -> bool:
    """Say whether the sidecar is ready."""
    connection = http.client.HTTPConnection(gateway.stack.metrics.host, gateway.stack.metrics.port, timeout=5)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()
