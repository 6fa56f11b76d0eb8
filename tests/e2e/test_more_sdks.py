"""The official SDKs of Bedrock, Cohere, Mistral and Ollama through the real Envoy, which does not say who is who."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import cohere
import ollama
import pytest
from botocore.exceptions import ClientError
from mistralai.client.errors import SDKError
from support.clients import Clients
from support.counters import Counters
from support.gateway import Gateway

from extproc.demo.check import check_entry
from extproc.demo.mock.server import MORE_PROVIDERS, MockProviders

pytestmark = pytest.mark.e2e

AUTHORITIES = {
    "bedrock": "bedrock-runtime.us-east-1.amazonaws.com",
    "cohere": "api.cohere.com",
    "mistral": "api.mistral.ai",
    "ollama": "localhost:11434",
}

QUESTION = "What is recursion? Antworte auf Deutsch, s'il vous plaît 🙏"
MESSAGES: Any = [{"role": "user", "content": QUESTION}]
BLOCKS: Any = [{"role": "user", "content": [{"text": QUESTION}]}]
CACHED: Any = [{"text": "Be brief."}, {"cachePoint": {"type": "default"}}]

CLAUDE = "us.anthropic.claude-sonnet-4-20250514-v1:0"
PROFILE = "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.amazon.nova-lite-v1:0"
MISTRAL_7B = "mistral.mistral-7b-instruct-v0:2"
COMMAND = "command-a-03-2025"


@pytest.fixture(scope="module", name="providers")
def _providers() -> Iterator[MockProviders]:
    with MockProviders(names=MORE_PROVIDERS) as providers:
        yield providers


@pytest.fixture(scope="module", name="gateway")
def _gateway(providers: MockProviders) -> Iterator[Gateway]:
    with Gateway(providers.addresses, own_routes=True) as gateway:
        yield gateway


@pytest.fixture(name="clients")
def _clients(request: pytest.FixtureRequest, gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> Iterator[Clients]:
    # Nothing of whoever runs the tests: a profile that is named there would have to exist.
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
    clients = Clients(gateway.url, getattr(request, "param", AUTHORITIES))
    yield clients
    clients.close()


def bedrock_converse(clients: Clients) -> int:
    answer = clients.bedrock.converse(modelId=CLAUDE, messages=BLOCKS, system=CACHED)
    total: int = answer["usage"]["totalTokens"]
    return total


def bedrock_converse_profile(clients: Clients) -> int:
    answer = clients.bedrock.converse(modelId=PROFILE, messages=BLOCKS, inferenceConfig={"maxTokens": 7})
    total: int = answer["usage"]["totalTokens"]
    return total


def bedrock_converse_stream(clients: Clients) -> int:
    answer = clients.bedrock.converse_stream(modelId=CLAUDE, messages=BLOCKS, system=CACHED)
    return sum(event["metadata"]["usage"]["totalTokens"] for event in answer["stream"] if "metadata" in event)


def ask_claude() -> str:
    system = [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}]
    ask = {"anthropic_version": "bedrock-2023-05-31", "max_tokens": 64, "system": system, "messages": MESSAGES}
    return json.dumps(ask)


def bedrock_invoke(clients: Clients) -> int:
    answer = clients.bedrock.invoke_model(modelId=CLAUDE, body=ask_claude())
    usage = json.loads(answer["body"].read())["usage"]
    parts = ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens", "output_tokens")
    return sum(usage[part] for part in parts)


def bedrock_invoke_stream(clients: Clients) -> int:
    answer = clients.bedrock.invoke_model_with_response_stream(modelId=CLAUDE, body=ask_claude())
    return total_of(answer["body"])


def bedrock_invoke_headers(clients: Clients) -> int:
    answer = clients.bedrock.invoke_model(modelId=MISTRAL_7B, body=json.dumps({"prompt": QUESTION}))
    assert set(json.loads(answer["body"].read())) == {"outputs"}
    headers = answer["ResponseMetadata"]["HTTPHeaders"]
    return sum(int(headers[f"x-amzn-bedrock-{side}-token-count"]) for side in ("input", "output"))


def bedrock_invoke_other_stream(clients: Clients) -> int:
    body = json.dumps({"prompt": QUESTION, "max_tokens": 9})
    return total_of(clients.bedrock.invoke_model_with_response_stream(modelId=MISTRAL_7B, body=body)["body"])


def total_of(events: Any) -> int:
    """Return the sum of the metrics in the last chunk of a stream."""
    documents = [json.loads(event["chunk"]["bytes"]) for event in events]
    metrics = documents[-1]["amazon-bedrock-invocationMetrics"]
    return sum(value for name, value in metrics.items() if name.endswith("TokenCount"))


def cohere_chat(clients: Clients) -> int:
    return cohere_total(clients.cohere.chat(model=COMMAND, messages=MESSAGES).usage)


def cohere_chat_stream(clients: Clients) -> int:
    ends = [
        event for event in clients.cohere.chat_stream(model=COMMAND, messages=MESSAGES) if event.type == "message-end"
    ]
    assert ends[0].delta is not None
    return cohere_total(ends[0].delta.usage)


def cohere_chat_of_version_1(clients: Clients) -> int:
    return cohere_total(clients.cohere_v1.chat(model="command-r", message=QUESTION).meta)


def cohere_chat_stream_of_version_1(clients: Clients) -> int:
    events = clients.cohere_v1.chat_stream(model="command-r", message=QUESTION)
    ends = [event for event in events if event.event_type == "stream-end"]
    return cohere_total(ends[0].response.meta)


def cohere_embed(clients: Clients) -> int:
    answer = clients.cohere.embed(
        model="embed-v4.0", texts=[QUESTION, "hi"], input_type="search_document", embedding_types=["float"]
    )
    assert answer.meta is not None
    assert answer.meta.billed_units is not None
    return int(answer.meta.billed_units.input_tokens or 0)


def cohere_total(usage: Any) -> int:
    """Return what was used, which is not what is billed."""
    assert usage.billed_units.input_tokens < usage.tokens.input_tokens
    return int(usage.tokens.input_tokens + usage.tokens.output_tokens)


def mistral_chat(clients: Clients) -> int:
    return clients.mistral.chat.complete(model="mistral-small-latest", messages=MESSAGES).usage.total_tokens or 0


def mistral_chat_stream(clients: Clients) -> int:
    with clients.mistral.chat.stream(model="mistral-small-latest", messages=MESSAGES) as events:
        return sum(event.data.usage.total_tokens or 0 for event in events if event.data.usage)


def mistral_embeddings(clients: Clients) -> int:
    return clients.mistral.embeddings.create(model="mistral-embed", inputs=[QUESTION, "hi"]).usage.total_tokens or 0


def ollama_chat(clients: Clients) -> int:
    return ollama_total(clients.ollama.chat(model="llama3.2", messages=MESSAGES))


def ollama_chat_stream(clients: Clients) -> int:
    return ollama_total(list(clients.ollama.chat(model="llama3.2", messages=MESSAGES, stream=True))[-1])


def ollama_generate(clients: Clients) -> int:
    return ollama_total(clients.ollama.generate(model="llama3.2", prompt=QUESTION, system="Be brief."))


def ollama_generate_stream(clients: Clients) -> int:
    return ollama_total(list(clients.ollama.generate(model="llama3.2", prompt=QUESTION, stream=True))[-1])


def ollama_embed(clients: Clients) -> int:
    return clients.ollama.embed(model="all-minilm", input=[QUESTION, "hi"]).prompt_eval_count or 0


def ollama_total(last: ollama.ChatResponse | ollama.GenerateResponse) -> int:
    return (last.prompt_eval_count or 0) + (last.eval_count or 0)


CALLS = [
    (bedrock_converse, "aws.bedrock", CLAUDE, "chat", False),
    (bedrock_converse_profile, "aws.bedrock", PROFILE, "chat", False),
    (bedrock_converse_stream, "aws.bedrock", CLAUDE, "chat", True),
    (bedrock_invoke, "aws.bedrock", CLAUDE, "chat", False),
    (bedrock_invoke_stream, "aws.bedrock", CLAUDE, "chat", True),
    (bedrock_invoke_headers, "aws.bedrock", MISTRAL_7B, "text_completion", False),
    (bedrock_invoke_other_stream, "aws.bedrock", MISTRAL_7B, "text_completion", True),
    (cohere_chat, "cohere", COMMAND, "chat", False),
    (cohere_chat_stream, "cohere", COMMAND, "chat", True),
    (cohere_chat_of_version_1, "cohere", "command-r", "chat", False),
    (cohere_chat_stream_of_version_1, "cohere", "command-r", "chat", True),
    (cohere_embed, "cohere", "embed-v4.0", "embeddings", False),
    (mistral_chat, "mistral_ai", "mistral-small-latest", "chat", False),
    (mistral_chat_stream, "mistral_ai", "mistral-small-latest", "chat", True),
    (mistral_embeddings, "mistral_ai", "mistral-embed", "embeddings", False),
    (ollama_chat, "ollama", "llama3.2", "chat", False),
    (ollama_chat_stream, "ollama", "llama3.2", "chat", True),
    (ollama_generate, "ollama", "llama3.2", "text_completion", False),
    (ollama_generate_stream, "ollama", "llama3.2", "text_completion", True),
    (ollama_embed, "ollama", "all-minilm", "embeddings", False),
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
    counters = Counters(gateway, llm, model)
    total = call(clients)
    reply = providers.ledger[clients.request_id]
    assert bytes(clients.recorder.body) == reply.body
    assert reply.reported is not None
    assert total == reply.reported.total_tokens
    entry = gateway.entry(clients.request_id)
    names = {"provider": llm, "model": model, "operation": operation, "streaming": streaming}
    assert [str(difference) for difference in check_entry(entry, reply, names)] == []
    # A client that knows the last event of its API may hang up behind it, before the end of the stream is through.
    assert entry["flags"] in (("-", "DC") if streaming else ("-",))
    assert ("time_to_first_token_ms" in entry["ai"]) is streaming
    counters.assert_moved_once_by(reply)


ERRORS = [
    (
        lambda clients: clients.bedrock.converse(modelId="no-such-model:0", messages=BLOCKS),
        (ClientError, 400, "ValidationException"),
        ("aws.bedrock", "no-such-model:0"),
    ),
    (
        lambda clients: clients.bedrock.invoke_model_with_response_stream(modelId="no-such-model", body=ask_claude()),
        (ClientError, 400, "ValidationException"),
        ("aws.bedrock", "no-such-model"),
    ),
    (
        lambda clients: clients.cohere.chat(model="no-such-model", messages=MESSAGES),
        (cohere.NotFoundError, 404, "404"),
        ("cohere", "no-such-model"),
    ),
    (
        lambda clients: clients.mistral.chat.complete(model="no-such-model", messages=MESSAGES),
        (SDKError, 400, "400"),
        ("mistral_ai", "no-such-model"),
    ),
    (
        lambda clients: clients.ollama.chat(model="no-such-model", messages=MESSAGES),
        (ollama.ResponseError, 404, "404"),
        ("ollama", "no-such-model"),
    ),
]


@pytest.mark.parametrize(
    ("call", "told", "names"), ERRORS, ids=["bedrock", "bedrock stream", "cohere", "mistral", "ollama"]
)
def test_an_error_is_passed_on_and_told(
    call: Callable[[Clients], object],
    told: tuple[type[Exception], int, str],
    names: tuple[str, str],
    clients: Clients,
    gateway: Gateway,
    providers: MockProviders,
) -> None:
    """With model, provider and Bedrock's own word, for the others the status; no tokens."""
    error, status, error_type = told
    counters = Counters(gateway, *names)
    with pytest.raises(error):
        call(clients)
    reply = providers.ledger[clients.request_id]
    assert bytes(clients.recorder.body) == reply.body
    entry = gateway.entry(clients.request_id)
    ai = entry["ai"]
    assert (entry["status"], ai["error_type"]) == (status, error_type)
    assert (ai["provider"], ai["model"]) == names
    assert (ai["usage_source"], entry["hits_addend"]) == ("none", 0)
    counters.assert_moved_once_by(reply)


@pytest.mark.parametrize("clients", [{}], indirect=True, ids=["the gateway's own authority"])
@pytest.mark.parametrize(
    ("call", "llm"), [(bedrock_converse, "aws.bedrock"), (cohere_chat, "cohere"), (ollama_generate, "ollama")]
)
def test_a_path_that_only_one_provider_has_tells_who_it_is(
    call: Callable[[Clients], int], llm: str, clients: Clients, gateway: Gateway
) -> None:
    """Where clients ask for the gateway itself. Envoy puts the provider's host in when the sidecar has seen it all."""
    total = call(clients)
    entry = gateway.entry(clients.request_id)
    assert (entry["ai"]["provider"], entry["hits_addend"]) == (llm, total)


def test_the_name_of_a_model_stays_escaped_on_its_way(clients: Clients, gateway: Gateway) -> None:
    """Bedrock's requests are signed with their paths as the client wrote them."""
    bedrock_converse_profile(clients)
    escaped = PROFILE.replace(":", "%3A").replace("/", "%2F")
    assert gateway.entry(clients.request_id)["path"] == f"/model/{escaped}/converse"


def test_credentials_stay_out_of_everything_that_is_written(clients: Clients, gateway: Gateway) -> None:
    """Keys and signatures: not in the access log, not in metrics."""
    for call in (bedrock_converse, cohere_chat, mistral_chat):
        call(clients)
    gateway.entry(clients.request_id)
    written = "\n".join(str(entry) for entry in gateway.log.entries) + gateway.stack.scrape()
    for secret in ("AKIATEST", "Signature", "co-test", "mi-test", QUESTION):
        assert secret not in written
