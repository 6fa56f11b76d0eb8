from __future__ import annotations

import pytest

from extproc.providers import anthropic_messages, gemini_generate, openai_chat, openai_responses, uncounted
from extproc.providers.base import Flavour, RequestFacts
from extproc.providers.detect import (
    AUTHORITIES,
    PATHS,
    Target,
    _detect_path,
    detect,
    detect_response,
    provider_at,
    read_llm_request,
)

HERE = "gateway.example"


@pytest.mark.parametrize(
    ("path", "provider", "flavour", "model"),
    [
        ("/v1/chat/completions", "openai", openai_chat.CHAT, None),
        ("/openai/v1/chat/completions/", "openai", openai_chat.CHAT, None),
        ("/v1/completions", "openai", openai_chat.COMPLETIONS, None),
        ("/v1/embeddings", "openai", openai_chat.EMBEDDINGS, None),
        ("/v1/responses", "openai", openai_responses.RESPONSES, None),
        ("/v1/moderations", "openai", uncounted.UNCOUNTED, None),
        ("/openai/deployments/my%2Fgpt/chat/completions", "azure.ai.openai", openai_chat.CHAT, "my/gpt"),
        ("//openai/deployments/d/completions", "azure.ai.openai", openai_chat.COMPLETIONS, "d"),
        ("/openai/deployments/d/embeddings", "azure.ai.openai", openai_chat.EMBEDDINGS, "d"),
        ("/anthropic/v1/messages", "anthropic", anthropic_messages.MESSAGES, None),
        ("/v1/messages/count_tokens", "anthropic", uncounted.UNCOUNTED, None),
        ("/v1/messages/batches", "anthropic", uncounted.UNCOUNTED, None),
        ("/v1beta/models/gemini-2.5-flash:generateContent", "gcp.gemini", gemini_generate.GENERATE, "gemini-2.5-flash"),
        ("/v1beta/tunedModels/mine:generateContent", "gcp.gemini", gemini_generate.GENERATE, "mine"),
        ("/v1beta/models/e:batchEmbedContents", "gcp.gemini", gemini_generate.EMBEDDINGS, "e"),
        ("/v1beta/models/e:embedContent", "gcp.gemini", gemini_generate.EMBEDDINGS, "e"),
        ("/v1beta/models/g:countTokens", "gcp.gemini", uncounted.UNCOUNTED, "g"),
        ("/v1beta/interactions", "gcp.gemini", gemini_generate.INTERACTIONS, None),
        (
            "/v1/projects/p/locations/us-central1/publishers/google/models/gemini-2.5-pro:generateContent",
            "gcp.vertex_ai",
            gemini_generate.GENERATE,
            "gemini-2.5-pro",
        ),
        (
            "/v1/projects/p/locations/l/endpoints/123:generateContent",
            "gcp.vertex_ai",
            gemini_generate.GENERATE,
            "123",
        ),
    ],
)
def test_a_path_tells_flavour_and_provider(path: str, provider: str, flavour: Flavour, model: str | None) -> None:
    """Whatever prefix a route has put in front of it."""
    assert detect(HERE, path) == Target(provider=provider, flavour=flavour, model=model)


@pytest.mark.parametrize("prefix", ["/v1beta/models/g", "/v1/projects/p/locations/l/publishers/google/models/g"])
def test_a_path_tells_that_an_answer_is_streamed(prefix: str) -> None:
    """Gemini says it in the method's name."""
    assert detect(HERE, f"{prefix}:streamGenerateContent").streaming


@pytest.mark.parametrize(
    "path", ["/", "", "/v1/files", "/v1/threads/t/messages", "/v1/chat/completions/c1", "/v1/models", "/x/embeddingsy"]
)
def test_other_paths_tell_nothing(path: str) -> None:
    """They are left to the shape of the documents."""
    assert detect(HERE, path) == Target()


@pytest.mark.parametrize(
    ("authority", "provider"),
    [
        ("api.openai.com", "openai"),
        ("API.OpenAI.com:443", "openai"),
        ("us.api.openai.com", "openai"),
        ("api.anthropic.com", "anthropic"),
        ("us-central1-aiplatform.googleapis.com", "gcp.vertex_ai"),
        ("acme.openai.azure.com", "azure.ai.openai"),
        ("api.groq.com", "groq"),
        ("localhost:8080", None),
        ("[::1]:8080", None),
        ("api.openai.com.evil.example", None),
        ("notapi.openai.com", None),
    ],
)
def test_an_authority_tells_the_provider(authority: str, provider: str | None) -> None:
    """By its name without port, in any case, and by nothing less than its whole name."""
    assert provider_at(authority) == provider


def test_the_authority_is_stronger_than_the_path() -> None:
    """Who answers is known better by name than by the API it speaks."""
    assert detect("api.groq.com", "/openai/v1/chat/completions").provider == "groq"


def test_what_clients_make_up_is_not_kept() -> None:
    """Long paths and authorities are looked at, and forgotten."""
    path = "/" + "x" * 5000 + "/v1/chat/completions"
    before = _detect_path.cache_info().currsize
    assert detect(HERE, path).flavour is openai_chat.CHAT
    assert _detect_path.cache_info().currsize == before
    assert provider_at("x" * 5000 + ".openai.azure.com") is None


def test_the_tables_are_readable() -> None:
    """No authority stands twice, and each path rule has a provider or is one of a flavour that has."""
    globs = [glob for glob, _ in AUTHORITIES]
    assert len(globs) == len(set(globs))
    assert all(rule.provider for rule in PATHS)


@pytest.mark.parametrize(
    ("document", "flavour"),
    [
        ({"candidates": []}, gemini_generate.GENERATE),
        ({"usageMetadata": {}}, gemini_generate.GENERATE),
        ({"type": "message", "content": []}, anthropic_messages.MESSAGES),
        ({"type": "message_start", "message": {}}, anthropic_messages.MESSAGES),
        ({"object": "response"}, openai_responses.RESPONSES),
        ({"type": "response.created", "response": {}}, openai_responses.RESPONSES),
        ({"object": "text_completion", "choices": []}, openai_chat.COMPLETIONS),
        ({"choices": [], "usage": None}, openai_chat.CHAT),
        ({"object": "list", "data": [], "usage": {}}, openai_chat.EMBEDDINGS),
        ({"object": "list", "data": []}, None),
        ({"usage": {"prompt_tokens": 1}}, None),
        ({"type": ["message"]}, None),
        ({"type": {}, "object": []}, None),
        ({}, None),
    ],
)
def test_an_answer_is_known_by_its_shape(document: dict[str, object], flavour: Flavour | None) -> None:
    """Where the path says nothing, and whatever strange things stand in the places that are looked at."""
    assert detect_response(document) is flavour


def test_a_question_is_known_by_its_shape() -> None:
    """It names a model and gives it something."""
    assert read_llm_request({"model": "m", "messages": [], "stream": True}) == RequestFacts("m", streaming=True)
    assert read_llm_request({"model": "m", "input": "x"}) == RequestFacts("m")
    others: list[dict[str, object]] = [{"model": "m"}, {"messages": []}, {"model": 7, "input": ""}]
    assert [read_llm_request(document) for document in others] == [None] * 3
