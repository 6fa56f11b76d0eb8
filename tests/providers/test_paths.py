from __future__ import annotations

import pytest

from extproc.providers import (
    anthropic_messages,
    bedrock_converse,
    bedrock_invoke,
    by_shape,
    cohere,
    gemini_generate,
    ollama,
    openai_audio,
    openai_chat,
    openai_images,
    openai_responses,
    replicate,
    uncounted,
    vertex_predict,
    watsonx,
)
from extproc.providers.base import Flavour
from extproc.providers.detect import Detector, Target
from extproc.providers.paths import ENDPOINTS

HERE = "gateway.example"
VERTEX = "/v1/projects/p/locations/us-central1/publishers"
ARN = "arn:aws:bedrock:eu-west-1:1:inference-profile/eu.amazon.nova-lite-v1:0"


def detect(path: str) -> Target:
    return Detector().detect(HERE, path)


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
            f"{VERTEX}/google/models/gemini-2.5-pro:generateContent",
            "gcp.vertex_ai",
            gemini_generate.GENERATE,
            "gemini-2.5-pro",
        ),
        (f"{VERTEX}/google/models/e:predict", "gcp.vertex_ai", vertex_predict.PREDICT, "e"),
        (f"{VERTEX}/anthropic/models/claude@1:rawPredict", "gcp.vertex_ai", anthropic_messages.MESSAGES, "claude@1"),
        (f"{VERTEX}/anthropic/models/count-tokens:rawPredict", "gcp.vertex_ai", uncounted.UNCOUNTED, None),
        (f"{VERTEX}/mistralai/models/m:rawPredict", "gcp.vertex_ai", openai_chat.CHAT, "m"),
        (f"{VERTEX}/ai21/models/jamba:rawPredict", "gcp.vertex_ai", by_shape.BY_SHAPE, "jamba"),
        ("/v1/p/endpoints/openapi/chat/completions", "openai", openai_chat.CHAT, None),
        ("/model/amazon.nova-lite-v1%3A0/converse", "aws.bedrock", bedrock_converse.CONVERSE, "amazon.nova-lite-v1:0"),
        (f"/model/{ARN}/converse", "aws.bedrock", bedrock_converse.CONVERSE, ARN),
        (f"/aws/model/{ARN.replace('/', '%2F')}/invoke", "aws.bedrock", bedrock_invoke.INVOKE, ARN),
        ("/model/m/count-tokens", "aws.bedrock", uncounted.UNCOUNTED, "m"),
        ("/v1/images/edits", "openai", openai_images.IMAGES, None),
        ("/v1/audio/translations", "openai", openai_audio.TRANSCRIPTIONS, None),
        ("/openai/deployments/tts/audio/speech", "azure.ai.openai", openai_audio.SPEECH, "tts"),
        ("/v1/responses/input_tokens", "openai", uncounted.UNCOUNTED, None),
        ("/v2/rerank", None, uncounted.UNCOUNTED, None),
        ("/ml/v1/text/generation", "ibm.watsonx.ai", watsonx.GENERATION, None),
        ("/ml/v1/text/embeddings", "ibm.watsonx.ai", watsonx.EMBEDDINGS, None),
        ("/v1/models/meta/llama-3/predictions", "replicate", replicate.PREDICTIONS, "meta/llama-3"),
        ("/serving-endpoints/mine/invocations", "databricks", by_shape.BY_SHAPE, "mine"),
        (
            "/v1/projects/p/locations/l/endpoints/123:generateContent",
            "gcp.vertex_ai",
            gemini_generate.GENERATE,
            "123",
        ),
    ],
)
def test_a_path_tells_flavour_and_provider(
    path: str, provider: str | None, flavour: Flavour, model: str | None
) -> None:
    """Whatever prefix a route has put in front of it."""
    assert detect(path) == Target(provider=provider, flavour=flavour, model=model)


@pytest.mark.parametrize(
    ("authority", "path", "flavour", "model"),
    [
        ("api.openai.com", "/v1/chat/completions/chatcmpl-1", uncounted.UNCOUNTED, None),
        ("api.openai.com", "/v1/engines/ada/embeddings", openai_chat.EMBEDDINGS, "ada"),
        ("api.openai.com", "/v1/engines/davinci/completions", openai_chat.COMPLETIONS, "davinci"),
        ("api.mistral.ai", "/v1/conversations", openai_chat.CHAT, None),
        ("api.mistral.ai", "/v1/conversations/conv_1", openai_chat.CHAT, None),
        ("api.mistral.ai", "/v1/conversations/conv_1/restart", openai_chat.CHAT, None),
        ("api.cohere.com", "/v1/chat", cohere.LEGACY_CHAT, None),
        ("api.writer.com", "/v1/chat", openai_chat.CHAT, None),
        (HERE, "/v1/chat", by_shape.BY_SHAPE, None),
        ("us-south.ml.cloud.ibm.com", "/ml/v1-beta/generation/text_stream", watsonx.GENERATION, None),
        ("api-inference.huggingface.co", "/models/google/flan-t5-xl", by_shape.BY_SHAPE, "google/flan-t5-xl"),
        ("router.huggingface.co", "/hf-inference/models/a/b/pipeline/feature-extraction", by_shape.BY_SHAPE, "a/b"),
        ("router.huggingface.co", "/hf-inference/models/a/b/v1/chat/completions", openai_chat.CHAT, None),
        ("api.openai.com", "/v1/conversations", None, None),
        ("api.openai.com", "/v1/models/m", None, None),
    ],
)
def test_a_path_may_mean_something_with_one_provider_only(
    authority: str, path: str, flavour: Flavour | None, model: str | None
) -> None:
    """Others have the like of it for something else."""
    target = Detector().detect(authority, path)
    assert (target.flavour, target.model) == (flavour, model)


@pytest.mark.parametrize(
    "path",
    [
        "/v1beta/models/g:streamGenerateContent",
        f"{VERTEX}/google/models/g:streamGenerateContent",
        f"{VERTEX}/anthropic/models/c:streamRawPredict",
        "/model/m/converse-stream",
        "/model/m/invoke-with-response-stream",
        "/ml/v1/text/generation_stream",
    ],
)
def test_a_path_tells_that_an_answer_is_streamed(path: str) -> None:
    """By the name of the method in it."""
    assert detect(path).streaming


@pytest.mark.parametrize(
    ("path", "flavour", "authority", "provider"),
    [
        ("/v2/chat", cohere.CHAT, "api.cohere.com", "cohere"),
        ("/v2/embed", cohere.EMBED, "api.cohere.com", "cohere"),
        ("/api/chat", ollama.CHAT, "localhost:11434", "ollama"),
        ("/generate", by_shape.BY_SHAPE, "x.endpoints.huggingface.cloud", "huggingface"),
        ("/completions", openai_chat.COMPLETIONS, "api.deepseek.com", "deepseek"),
        ("/forms/1/responses", openai_responses.RESPONSES, "openrouter.ai", "openrouter"),
    ],
)
def test_a_path_that_others_have_too_proves_nothing(path: str, flavour: Flavour, authority: str, provider: str) -> None:
    """At a host that is not known."""
    assert detect(path) == Target(flavour=flavour, is_common=True)
    assert Detector().detect(authority, path) == Target(provider, flavour)


def test_the_table_is_readable() -> None:
    """Each template stands once for each provider, and none is hidden by one above it."""
    keys = [(endpoint.template, endpoint.only) for endpoint in ENDPOINTS]
    assert len(keys) == len(set(keys))
    for endpoint in ENDPOINTS:
        path = endpoint.template.replace("{model*}", "m").replace("{", "").replace("}", "")
        found = next(each for each in ENDPOINTS if each.match(path) and set(each.only) <= set(endpoint.only))
        assert found is endpoint, f"{found.template} hides {endpoint.template}"


@pytest.mark.parametrize(
    ("path", "model"),
    [
        ("/model/" + "m" * 2031 + "/converse", "m" * 256),
        ("/model/" + "m" * 60_000 + "/converse", None),
        ("/model/m" * 7_000 + "/converse", ("m/model/" * 40)[:256]),
    ],
)
def test_of_a_long_path_the_end_is_looked_at(path: str, model: str | None) -> None:
    """Envoy lets them be 60 KB long, with the names of many endpoints in them."""
    assert detect(path).model == model
    assert detect("/x" * 30_000 + "/v1/chat/completions").flavour is openai_chat.CHAT
