"""Usage asked for in the place of a client that does not ask, with the real Envoy and OpenAI's own client."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Iterator
from typing import Any

import pytest
from openai import OpenAI
from support.engine import ONLY_WATCHING
from support.gateway import Gateway
from support.upstream import Reply, Upstream
from support.waiting import wait_for

from extproc.demo.mock.server import MockProviders
from extproc.demo.stack import SidecarCommand

pytestmark = pytest.mark.e2e

PATH = "/openai/v1/chat/completions"
QUESTION = b'{ "model": "gpt-4o",  "stream": true, "messages": [{"role": "user", "content": "%s"}] }\n' % (
    b"hi " * 5000
)
USAGE = b'{"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}'
CHUNKS = [
    b'data: {"model":"m","choices":[{"delta":{"content":"\xc3\xa4"}}]%s}\n\n',
    b': still here\n\ndata: {"model":"m","choices":[{"delta":{"content":"\\"usage\\":null"}}]%s}\n\n',
    b'data: {"model":"m","choices":[{"delta":{},"finish_reason":"stop"}]%s}\n\n',
]
DONE = b"data: [DONE]\n\n"
PLAIN = b"".join(chunk % b"" for chunk in CHUNKS) + DONE
ASKED = b"".join(chunk % b',"usage":null' for chunk in CHUNKS) + b'data: {"choices":[],"usage":%s}\n\n' % USAGE + DONE

REQUEST_MODES = ("BUFFERED", "BUFFERED_PARTIAL", "STREAMED", "FULL_DUPLEX_STREAMED")
RESPONSE_MODES = ("BUFFERED", "STREAMED", "FULL_DUPLEX_STREAMED")
NOT_ASKING = SidecarCommand(environ=ONLY_WATCHING)


def answer(reply: Reply) -> None:
    """Answer as OpenAI does: usage for who asks, in pieces of some bytes if the request's header says so."""
    asked = json.loads(reply.body).get("stream_options") == {"include_usage": True}
    length = reply.headers["content-length"]
    assert length is None or int(length) == len(reply.body)
    body, size = ASKED if asked else PLAIN, int(reply.headers["x-size"] or 10_000)
    reply.stream("text/event-stream; charset=utf-8")
    for start in range(0, len(body), size):
        reply.chunk(body[start : start + size])
    reply.end()


def outcomes(gateway: Gateway) -> dict[str, float]:
    """Return how often what became of asking."""
    found = {
        labels: value for (name, labels), value in gateway.metrics().items() if name == "extproc_include_usage_total"
    }
    return {dict(labels)["outcome"]: value for labels, value in found.items()}


@pytest.fixture(scope="module", name="answers")
def _answers() -> Iterator[Upstream]:
    with Upstream(answer) as upstream:
        yield upstream


@pytest.fixture(
    scope="module",
    name="shown",
    params=list(itertools.product(REQUEST_MODES, RESPONSE_MODES)),
    ids=lambda pair: f"{pair[0]}-{pair[1]}",
)
def _shown(request: pytest.FixtureRequest, answers: Upstream) -> Iterator[Gateway]:
    """A gateway in each of the modes in which bodies can be edited."""

    def change(ext_proc: dict[str, Any]) -> None:
        names = ("request_body_mode", "response_body_mode", "request_trailer_mode", "response_trailer_mode")
        ext_proc["processing_mode"] |= dict(zip(names, (*request.param, "SEND", "SEND"), strict=True))

    with Gateway({"openai": answers.address}, change=change) as gateway:
        yield gateway


def test_the_client_sees_what_it_would_have_seen_in_every_mode(shown: Gateway) -> None:
    """However the answer is cut into pieces, and usage is reported."""
    for size in (10_000, 97, 7):
        sent, content, entry = shown.post(PATH, QUESTION, {"x-size": str(size), "accept-encoding": "gzip, br"})
        assert (sent.status, content) == (200, PLAIN)
        assert (entry["ai"]["total_tokens"], entry["ai"]["usage_source"], entry["hits_addend"]) == (7, "reported", 7)
    wait_for(lambda: outcomes(shown) == {"added": 3})


def bytes_of(gateway: Gateway, kind: str) -> bytes:
    """Return what OpenAI's client reads of a stream for which it asked without usage."""
    client = OpenAI(base_url=f"{gateway.url}/openai/v1", api_key="sk-test", max_retries=0)
    if kind == "chat":
        messages: Any = [{"role": "user", "content": "Say a few words."}]
        chat = client.chat.completions.with_streaming_response
        with chat.create(model="gpt-4o", messages=messages, stream=True) as answered:
            return b"".join(answered.iter_bytes())
    completions = client.completions.with_streaming_response
    with completions.create(model="gpt-3.5-turbo-instruct", prompt="Say a few words.", stream=True) as answered:
        return b"".join(answered.iter_bytes())


@pytest.mark.parametrize("kind", ["chat", "completions"])
def test_openais_client_reads_the_same_bytes_with_it_and_without(
    kind: str, providers: MockProviders, gateway: Gateway
) -> None:
    """And only with it there is usage."""
    before = outcomes(gateway).get("added", 0)
    with Gateway(providers.addresses, sidecar=NOT_ASKING) as other:
        read = [bytes_of(each, kind) for each in (gateway, other)]
        assert len({hashlib.sha256(each).hexdigest() for each in read}) == 1
        assert read[0].count(b"data: ") > 5
        assert outcomes(other) == {}
        wait_for(lambda: outcomes(gateway).get("added") == before + 1)


def first_statuses(gateway: Gateway) -> Iterator[int]:
    """Yield what is answered, one by one."""
    while True:
        yield gateway.post(PATH, QUESTION)[0].status


def test_an_envoy_that_forbids_it_loses_one_request(upstream: Upstream) -> None:
    """Envoy answers it with an error; from then on nothing is edited, and the sidecar says what to do.

    On a machine so busy that Envoy's refusal does not come at once it may take another one.
    """
    upstream.script = answer

    def forbid(ext_proc: dict[str, Any]) -> None:
        ext_proc["mutation_rules"] = {"disallow_all": True}

    with Gateway({"openai": upstream.address}, change=forbid) as gateway:
        refused = list(itertools.takewhile(lambda status: status == 500, first_statuses(gateway)))
        assert 1 <= len(refused) <= 3
        for _ in range(3):
            sent, content, _ = gateway.post(PATH, QUESTION)
            assert (sent.status, content) == (200, PLAIN)
        wait_for(lambda: outcomes(gateway).get("not_allowed") == 5)  # one refused, one to find it out, and these
        assert gateway.value("extproc_envoy_misconfigured", problem="edit_refused") == 1
        assert "usage.inject_include_usage" in gateway.sidecar_log


def test_a_provider_that_refuses_it_loses_one_request(scripted: Gateway, upstream: Upstream) -> None:
    """Its error names the option."""

    def refuse(reply: Reply) -> None:
        if b"stream_options" in reply.body:
            reply.send(b'{"error": {"message": "Unknown parameter: stream_options."}}', status=400)
        else:
            answer(reply)

    upstream.script = refuse
    assert scripted.post(PATH, QUESTION)[0].status == 400
    for _ in range(2):
        sent, content, _ = scripted.post(PATH, QUESTION)
        assert (sent.status, content) == (200, PLAIN)
    wait_for(lambda: outcomes(scripted) == {"refused": 3})
