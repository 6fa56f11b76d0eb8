"""The official SDKs through the real Envoy: what the client gets, what the access log says, what is counted."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from typing import Any

import anthropic
import httpx2
import openai
import pytest
from google import genai
from google.genai import types
from support.gateway import Gateway
from support.metered import assert_metered
from support.recorder import Recorder
from support.upstream import Reply, Upstream

from extproc.demo.mock.server import MockProviders

pytestmark = pytest.mark.e2e

QUESTION = "What is recursion? Antworte auf Deutsch, s'il vous plaît 🙏"
MESSAGES: Any = [{"role": "user", "content": QUESTION}]


class Clients:
    """The three SDKs, pointed at the gateway."""

    def __init__(self, url: str) -> None:
        self.recorder = Recorder()
        self._http = httpx2.Client(trust_env=False, event_hooks={"response": [self.recorder.keep]})
        self.request_id = str(uuid.uuid4())
        headers = {"x-request-id": self.request_id}
        common: Any = {"http_client": self._http, "default_headers": headers, "max_retries": 0}
        self.openai = openai.OpenAI(base_url=f"{url}/openai/v1", api_key="sk-test", **common)
        self.anthropic = anthropic.Anthropic(base_url=f"{url}/anthropic", api_key="sk-ant-test", **common)
        options = types.HttpOptions(base_url=f"{url}/gemini", headers=headers, httpx_client=self._http)
        self.gemini = genai.Client(api_key="AIza-test", http_options=options)

    def close(self) -> None:
        """Close what they share."""
        self.gemini.close()
        self._http.close()


@pytest.fixture(name="clients")
def _clients(gateway: Gateway) -> Iterator[Clients]:
    clients = Clients(gateway.url)
    yield clients
    clients.close()


def openai_chat(clients: Clients) -> int:
    completion = clients.openai.chat.completions.create(model="gpt-4o", messages=MESSAGES)
    assert completion.usage is not None
    return completion.usage.total_tokens


def openai_chat_stream(clients: Clients) -> int:
    stream = clients.openai.chat.completions.create(
        model="gpt-4o", messages=MESSAGES, stream=True, stream_options={"include_usage": True}
    )
    return sum(chunk.usage.total_tokens for chunk in stream if chunk.usage)


def openai_completions(clients: Clients) -> int:
    completion = clients.openai.completions.create(model="babbage-002", prompt=QUESTION)
    assert completion.usage is not None
    return completion.usage.total_tokens


def openai_embeddings(clients: Clients) -> int:
    return clients.openai.embeddings.create(model="text-embedding-3-small", input=[QUESTION, "hi"]).usage.total_tokens


def openai_responses(clients: Clients) -> int:
    response = clients.openai.responses.create(model="gpt-5-nano", input=QUESTION)
    assert response.usage is not None
    return response.usage.total_tokens


def openai_responses_stream(clients: Clients) -> int:
    stream = clients.openai.responses.create(model="gpt-5-nano", input=QUESTION, stream=True)
    last = [event for event in stream if event.type == "response.completed"][-1]
    assert last.response.usage is not None
    return last.response.usage.total_tokens


def anthropic_messages(clients: Clients) -> int:
    system: Any = [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}]
    message = clients.anthropic.messages.create(
        model="claude-haiku-4-5", max_tokens=64, system=system, messages=MESSAGES
    )
    return anthropic_total(message.usage)


def anthropic_messages_stream(clients: Clients) -> int:
    with clients.anthropic.messages.stream(model="claude-haiku-4-5", max_tokens=64, messages=MESSAGES) as stream:
        return anthropic_total(stream.get_final_message().usage)


def anthropic_total(usage: Any) -> int:
    parts = (usage.input_tokens, usage.cache_read_input_tokens, usage.cache_creation_input_tokens, usage.output_tokens)
    return sum(part or 0 for part in parts)


def gemini_generate(clients: Clients) -> int:
    answer = clients.gemini.models.generate_content(model="gemini-2.5-flash", contents=QUESTION)
    assert answer.usage_metadata is not None
    return answer.usage_metadata.total_token_count or 0


def gemini_generate_stream(clients: Clients) -> int:
    last = None
    for last in clients.gemini.models.generate_content_stream(model="gemini-2.5-flash", contents=QUESTION):  # noqa: B007
        pass
    assert last is not None
    assert last.usage_metadata is not None
    return last.usage_metadata.total_token_count or 0


CALLS = [
    (openai_chat, "openai", "gpt-4o", "chat", False),
    (openai_chat_stream, "openai", "gpt-4o", "chat", True),
    (openai_completions, "openai", "babbage-002", "text_completion", False),
    (openai_embeddings, "openai", "text-embedding-3-small", "embeddings", False),
    (openai_responses, "openai", "gpt-5-nano", "chat", False),
    (openai_responses_stream, "openai", "gpt-5-nano", "chat", True),
    (anthropic_messages, "anthropic", "claude-haiku-4-5", "chat", False),
    (anthropic_messages_stream, "anthropic", "claude-haiku-4-5", "chat", True),
    (gemini_generate, "gcp.gemini", "gemini-2.5-flash", "generate_content", False),
    (gemini_generate_stream, "gcp.gemini", "gemini-2.5-flash", "generate_content", True),
]


@pytest.mark.parametrize(("call", "llm", "model", "operation", "streaming"), CALLS)
def test_an_official_client_is_served_and_metered(
    call: Callable[[Clients], int],
    llm: str,
    model: str,
    operation: str,
    streaming: bool,
    clients: Clients,
    gateway: Gateway,
    providers: MockProviders,
) -> None:
    """Bytes as the provider sent them, metadata as it reported, counters moved by that much."""
    names: dict[str, object] = {"provider": llm, "model": model, "operation": operation, "streaming": streaming}
    assert_metered(call, names, clients, gateway, providers)


def test_a_stream_whose_client_did_not_ask_for_usage_has_it_all_the_same(
    clients: Clients, gateway: Gateway, providers: MockProviders
) -> None:
    """The client does not see that it was asked for: nothing of it is in what it reads."""
    stream = clients.openai.chat.completions.create(model="gpt-4o", messages=MESSAGES, stream=True)
    assert not any(chunk.usage for chunk in stream)
    entry, sent = gateway.entry(clients.request_id), providers.ledger[clients.request_id]
    assert b'"usage"' not in clients.recorder.body
    assert sent.body.count(b'"usage"') > 2
    assert sent.reported is not None
    assert (entry["ai"]["usage_source"], entry["hits_addend"]) == ("reported", sent.reported.total_tokens)


@pytest.mark.parametrize(
    ("call", "error", "error_type", "llm"),
    [
        (
            lambda clients: clients.openai.chat.completions.create(model="no-such-model", messages=MESSAGES),
            openai.NotFoundError,
            "invalid_request_error",
            "openai",
        ),
        (
            lambda clients: clients.anthropic.messages.create(model="no-such-model", max_tokens=1, messages=MESSAGES),
            anthropic.NotFoundError,
            "not_found_error",
            "anthropic",
        ),
        (
            lambda clients: clients.gemini.models.generate_content(model="no-such-model", contents="hi"),
            genai.errors.ClientError,
            "NOT_FOUND",
            "gcp.gemini",
        ),
    ],
)
def test_an_error_is_passed_on_and_told(
    call: Callable[[Clients], object],
    error: type[Exception],
    error_type: str,
    llm: str,
    clients: Clients,
    gateway: Gateway,
) -> None:
    """With model, provider and the provider's own word; no tokens."""
    with pytest.raises(error):
        call(clients)
    entry = gateway.entry(clients.request_id)
    assert entry["status"] == 404
    assert entry["ai"]["error_type"] == error_type
    assert (entry["ai"]["provider"], entry["ai"]["model"]) == (llm, "no-such-model")
    assert (entry["ai"]["usage_source"], entry["hits_addend"]) == ("none", 0)


def test_credentials_stay_out_of_everything_that_is_written(clients: Clients, gateway: Gateway) -> None:
    """Keys in headers and in a query: not in the access log, not in metrics."""
    openai_chat(clients)
    gateway.post("/gemini/v1beta/models/gemini-2.5-flash:generateContent?key=AIza-query", b'{"contents": [{}]}')
    written = "\n".join(str(entry) for entry in gateway.log.entries) + gateway.stack.scrape()
    for secret in ("sk-test", "AIza-test", "AIza-query", QUESTION):
        assert secret not in written


def test_providers_learn_nothing_of_who_asks(scripted: Gateway, upstream: Upstream) -> None:
    """Neither the client's address nor Envoy's own headers go along; what the client said does."""
    seen: list[dict[str, str]] = []

    def script(reply: Reply) -> None:
        seen.append({name.lower(): value for name, value in reply.headers.items()})
        reply.send(b"{}")

    upstream.script = script
    answer, _, _ = scripted.post(
        "/openai/v1/chat/completions?key=q", b"{}", {"x-forwarded-for": "192.0.2.1", "x-mine": "1"}
    )
    (headers,) = seen
    assert headers["x-mine"] == "1"
    sent_by_envoy = {name for name in (*headers, *answer.headers.keys()) if name.startswith("x-envoy")}
    assert sent_by_envoy | ({"x-forwarded-for"} & set(headers)) == set()


def test_providers_are_asked_for_the_codings_the_client_reads(scripted: Gateway, upstream: Upstream) -> None:
    """The sidecar reads them too."""
    seen: list[str | None] = []

    def script(reply: Reply) -> None:
        seen.append(reply.headers["accept-encoding"])
        reply.send(b"{}")

    upstream.script = script
    scripted.post("/openai/v1/chat/completions", b"{}", {"accept-encoding": "br, zstd, gzip"})
    assert seen == ["br, zstd, gzip"]


def test_what_is_not_for_an_llm_passes_with_a_charge_of_nothing(clients: Clients, gateway: Gateway) -> None:
    """GET requests are let go at once."""
    assert list(clients.openai.models.list()) == []
    entry = gateway.entry(clients.request_id)
    assert (entry["status"], entry["ai"], entry["hits_addend"]) == (200, None, 0)
