"""The official SDKs of Bedrock, Cohere, Mistral and Ollama through the real Envoy, which does not say who is who."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import cohere
import ollama
import pytest
from botocore.exceptions import ClientError
from mistralai.client.errors import SDKError
from support import calls
from support.clients import Clients
from support.counters import Counters
from support.gateway import Gateway
from support.metered import assert_metered

from extproc.demo.mock.server import MORE_PROVIDERS, MockProviders

pytestmark = pytest.mark.e2e

AUTHORITIES = {
    "bedrock": "bedrock-runtime.us-east-1.amazonaws.com",
    "cohere": "api.cohere.com",
    "mistral": "api.mistral.ai",
    "ollama": "localhost:11434",
}


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


CALLS = [
    (calls.bedrock_converse, "aws.bedrock", calls.CLAUDE, "chat", False),
    (calls.bedrock_converse_profile, "aws.bedrock", calls.PROFILE, "chat", False),
    (calls.bedrock_converse_stream, "aws.bedrock", calls.CLAUDE, "chat", True),
    (calls.bedrock_invoke, "aws.bedrock", calls.CLAUDE, "chat", False),
    (calls.bedrock_invoke_stream, "aws.bedrock", calls.CLAUDE, "chat", True),
    (calls.bedrock_invoke_headers, "aws.bedrock", calls.MISTRAL_7B, "text_completion", False),
    (calls.bedrock_invoke_other_stream, "aws.bedrock", calls.MISTRAL_7B, "text_completion", True),
    (calls.cohere_chat, "cohere", calls.COMMAND, "chat", False),
    (calls.cohere_chat_stream, "cohere", calls.COMMAND, "chat", True),
    (calls.cohere_chat_of_version_1, "cohere", "command-r", "chat", False),
    (calls.cohere_chat_stream_of_version_1, "cohere", "command-r", "chat", True),
    (calls.cohere_embed, "cohere", "embed-v4.0", "embeddings", False),
    (calls.mistral_chat, "mistral_ai", "mistral-small-latest", "chat", False),
    (calls.mistral_chat_stream, "mistral_ai", "mistral-small-latest", "chat", True),
    (calls.mistral_embeddings, "mistral_ai", "mistral-embed", "embeddings", False),
    (calls.ollama_chat, "ollama", "llama3.2", "chat", False),
    (calls.ollama_chat_stream, "ollama", "llama3.2", "chat", True),
    (calls.ollama_generate, "ollama", "llama3.2", "text_completion", False),
    (calls.ollama_generate_stream, "ollama", "llama3.2", "text_completion", True),
    (calls.ollama_embed, "ollama", "all-minilm", "embeddings", False),
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


ERRORS = [
    (
        lambda clients: clients.bedrock.converse(modelId="no-such-model:0", messages=calls.BLOCKS),
        (ClientError, 400, "ValidationException"),
        ("aws.bedrock", "no-such-model:0"),
    ),
    (
        lambda clients: clients.bedrock.invoke_model_with_response_stream(
            modelId="no-such-model", body=calls.ask_claude()
        ),
        (ClientError, 400, "ValidationException"),
        ("aws.bedrock", "no-such-model"),
    ),
    (
        lambda clients: clients.cohere.chat(model="no-such-model", messages=calls.MESSAGES),
        (cohere.NotFoundError, 404, "404"),
        ("cohere", "no-such-model"),
    ),
    (
        lambda clients: clients.mistral.chat.complete(model="no-such-model", messages=calls.MESSAGES),
        (SDKError, 400, "invalid_model"),
        ("mistral_ai", "no-such-model"),
    ),
    (
        lambda clients: clients.ollama.chat(model="no-such-model", messages=calls.MESSAGES),
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
    """With model, provider, and the provider's own word, or else the status; no tokens."""
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
    ("call", "llm"),
    [(calls.bedrock_converse, "aws.bedrock"), (calls.cohere_chat, "cohere"), (calls.ollama_generate, "ollama")],
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
    calls.bedrock_converse_profile(clients)
    escaped = calls.PROFILE.replace(":", "%3A").replace("/", "%2F")
    assert gateway.entry(clients.request_id)["path"] == f"/model/{escaped}/converse"


def test_credentials_stay_out_of_everything_that_is_written(clients: Clients, gateway: Gateway) -> None:
    """Keys and signatures: not in the access log, not in metrics."""
    for call in (calls.bedrock_converse, calls.cohere_chat, calls.mistral_chat):
        call(clients)
    gateway.entry(clients.request_id)
    written = "\n".join(str(entry) for entry in gateway.log.entries) + gateway.stack.scrape()
    for secret in ("AKIATEST", "Signature", "co-test", "mi-test", calls.QUESTION):
        assert secret not in written
