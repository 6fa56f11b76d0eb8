"""Which flavour answers at which path: the table of endpoints.

Owns: what the paths of each API look like, and what they say by themselves: the model, and that an answer is a stream.
Must not know authorities, or documents.

A template is what a path ends in, so that a route's prefix in front of the provider's own path does no harm.
`{model}` names the model, `{...}` of any other name is one segment; `{model*}` may be several.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from extproc import semconv
from extproc.providers import (
    aleph_alpha,
    anthropic_complete,
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

_CHAT, _COMPLETIONS, _EMBEDDINGS = openai_chat.CHAT, openai_chat.COMPLETIONS, openai_chat.EMBEDDINGS
_GENERATE, _MESSAGES = gemini_generate.GENERATE, anthropic_messages.MESSAGES
_ANY, _UNCOUNTED = by_shape.BY_SHAPE, uncounted.UNCOUNTED
_AZURE, _VERTEX, _BEDROCK = semconv.AZURE_AI_OPENAI, semconv.GCP_VERTEX_AI, semconv.AWS_BEDROCK


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Paths that end as `template` says are of `flavour`.

    `provider` is who answers there, where the authority does not say. `only` holds for paths that another provider uses
    for something else: the providers, as the authority tells them, for which the endpoint is meant. `is_common` says
    that others than LLMs have such paths as well, so that by itself it proves nothing.
    """

    template: str
    flavour: Flavour
    provider: str | None
    pattern: re.Pattern[str]
    streaming: bool = False
    only: tuple[str, ...] = ()
    is_common: bool = False

    def match(self, path: str) -> re.Match[str] | None:
        """Return the match where a path is of this endpoint, with the group `model` if its template has one.

        The end is compared first. Where it fits, a placeholder for several segments is found at once; where not, it
        would be looked for in all of the rest from each segment on, and clients may send long paths.
        """
        end = self.template.rpartition("}")[2]
        return self.pattern.search(path) if path.removesuffix("/").endswith(end) else None


_PLACEHOLDER = re.compile(r"\{(\w+)(\*?)\}")


def _pattern(template: str) -> re.Pattern[str]:
    parts = _PLACEHOLDER.split(template)
    expression = re.escape(parts[0])
    for name, star, text in zip(parts[1::3], parts[2::3], parts[3::3], strict=True):
        segment = ".+" if star else "[^/]+"
        expression += (f"(?P<model>{segment})" if name == "model" else segment) + re.escape(text)
    return re.compile(expression + "/?$")


def _at(
    template: str,
    flavour: Flavour,
    provider: str | None = None,
    *,
    streaming: bool = False,
    only: tuple[str, ...] = (),
) -> Endpoint:
    return Endpoint(template, flavour, provider or flavour.provider, _pattern(template), streaming, only)


def _common(template: str, flavour: Flavour) -> Endpoint:
    return Endpoint(template, flavour, flavour.provider, _pattern(template), is_common=True)


_PUBLISHED = "/publishers/{publisher}/models/{model}"
_DEPLOYED = "/locations/{location}/endpoints/{model}"

# The first whose pattern is found at the path's end wins.
ENDPOINTS: tuple[Endpoint, ...] = (
    # Azure OpenAI: the deployment stands in the path.
    _at("/openai/deployments/{model}/chat/completions", _CHAT, _AZURE),
    _at("/openai/deployments/{model}/completions", _COMPLETIONS, _AZURE),
    _at("/openai/deployments/{model}/embeddings", _EMBEDDINGS, _AZURE),
    _at("/openai/deployments/{model}/images/generations", openai_images.IMAGES, _AZURE),
    _at("/openai/deployments/{model}/images/edits", openai_images.IMAGES, _AZURE),
    _at("/openai/deployments/{model}/audio/transcriptions", openai_audio.TRANSCRIPTIONS, _AZURE),
    _at("/openai/deployments/{model}/audio/translations", openai_audio.TRANSCRIPTIONS, _AZURE),
    _at("/openai/deployments/{model}/audio/speech", openai_audio.SPEECH, _AZURE),
    # OpenAI, and everybody who is compatible with it.
    _at("/chat/completions", _CHAT),
    # A stored answer that is given other metadata: it was counted when it was made.
    _at("/v1/chat/completions/{completion}", _UNCOUNTED, only=(semconv.OPENAI,)),
    _at("/agents/completions", _CHAT, semconv.MISTRAL_AI),
    _at("/v1/completions", _COMPLETIONS),
    _at("/fim/completions", _COMPLETIONS, semconv.MISTRAL_AI),
    _at("/engines/{model}/completions", _COMPLETIONS),
    _common("/completions", _COMPLETIONS),
    _at("/ml/v1/text/embeddings", watsonx.EMBEDDINGS),
    _at("/v1/embeddings", _EMBEDDINGS),
    _at("/engines/{model}/embeddings", _EMBEDDINGS),
    _common("/embeddings", _EMBEDDINGS),
    _at("/multimodalembeddings", _EMBEDDINGS, "voyage_ai"),
    _at("/contextualizedembeddings", _EMBEDDINGS, "voyage_ai"),
    _at("/responses/input_tokens", _UNCOUNTED, semconv.OPENAI),
    _at("/responses/compact", openai_responses.RESPONSES),
    _at("/v1/responses", openai_responses.RESPONSES),
    _common("/responses", openai_responses.RESPONSES),
    _at("/images/generations", openai_images.IMAGES),
    _at("/images/edits", openai_images.IMAGES),
    _at("/images/variations", openai_images.IMAGES),
    _at("/audio/transcriptions", openai_audio.TRANSCRIPTIONS),
    _at("/audio/translations", openai_audio.TRANSCRIPTIONS),
    _at("/audio/speech", openai_audio.SPEECH),
    _at("/moderations", _UNCOUNTED, semconv.OPENAI),
    _at("/rerank", _UNCOUNTED),
    # Mistral
    _at("/v1/ocr", _UNCOUNTED, semconv.MISTRAL_AI),
    _at("/v1/conversations", _CHAT, only=(semconv.MISTRAL_AI,)),
    _at("/v1/conversations/{conversation}", _CHAT, only=(semconv.MISTRAL_AI,)),
    _at("/v1/conversations/{conversation}/restart", _CHAT, only=(semconv.MISTRAL_AI,)),
    # Anthropic, also as others offer it.
    _at("/v1/messages", _MESSAGES),
    _at("/v1/messages/count_tokens", _UNCOUNTED, semconv.ANTHROPIC),
    _at("/v1/messages/batches", _UNCOUNTED, semconv.ANTHROPIC),
    _at("/v1/complete", anthropic_complete.COMPLETE),
    # Vertex AI
    _at(f"{_PUBLISHED}:generateContent", _GENERATE, _VERTEX),
    _at(f"{_PUBLISHED}:streamGenerateContent", _GENERATE, _VERTEX, streaming=True),
    _at(f"{_PUBLISHED}:embedContent", gemini_generate.EMBEDDINGS, _VERTEX),
    _at(f"{_PUBLISHED}:countTokens", _UNCOUNTED, _VERTEX),
    _at("/publishers/anthropic/models/count-tokens:rawPredict", _UNCOUNTED, _VERTEX),
    _at("/publishers/anthropic/models/{model}:rawPredict", _MESSAGES, _VERTEX),
    _at("/publishers/anthropic/models/{model}:streamRawPredict", _MESSAGES, _VERTEX, streaming=True),
    _at("/publishers/mistralai/models/{model}:rawPredict", _CHAT, _VERTEX),
    _at("/publishers/mistralai/models/{model}:streamRawPredict", _CHAT, _VERTEX, streaming=True),
    _at(f"{_PUBLISHED}:rawPredict", _ANY, _VERTEX),
    _at(f"{_PUBLISHED}:streamRawPredict", _ANY, _VERTEX, streaming=True),
    _at(f"{_PUBLISHED}:predict", vertex_predict.PREDICT),
    _at(f"{_PUBLISHED}:predictLongRunning", _UNCOUNTED, _VERTEX),
    _at(f"{_DEPLOYED}:generateContent", _GENERATE, _VERTEX),
    _at(f"{_DEPLOYED}:streamGenerateContent", _GENERATE, _VERTEX, streaming=True),
    _at(f"{_DEPLOYED}:countTokens", _UNCOUNTED, _VERTEX),
    _at(f"{_DEPLOYED}:rawPredict", _ANY, _VERTEX),
    _at(f"{_DEPLOYED}:streamRawPredict", _ANY, _VERTEX, streaming=True),
    _at(f"{_DEPLOYED}:predict", vertex_predict.PREDICT),
    # Gemini
    _at("/models/{model}:generateContent", _GENERATE),
    _at("/models/{model}:streamGenerateContent", _GENERATE, streaming=True),
    _at("/tunedModels/{model}:generateContent", _GENERATE),
    _at("/tunedModels/{model}:streamGenerateContent", _GENERATE, streaming=True),
    _at("/models/{model}:embedContent", gemini_generate.EMBEDDINGS),
    _at("/models/{model}:batchEmbedContents", gemini_generate.EMBEDDINGS),
    _at("/models/{model}:asyncBatchEmbedContent", _UNCOUNTED, semconv.GCP_GEMINI),
    _at("/models/{model}:batchGenerateContent", _UNCOUNTED, semconv.GCP_GEMINI),
    _at("/models/{model}:countTokens", _UNCOUNTED, semconv.GCP_GEMINI),
    _at("/models/{model}:predict", _UNCOUNTED, semconv.GCP_GEMINI),
    _at("/models/{model}:predictLongRunning", _UNCOUNTED, semconv.GCP_GEMINI),
    _at("/v1beta/interactions", gemini_generate.INTERACTIONS),
    _common("/interactions", gemini_generate.INTERACTIONS),
    _at("/cachedContents", _UNCOUNTED, semconv.GCP_GEMINI),
    # Bedrock: the model may be an ARN, and that may have slashes in it.
    _at("/model/{model*}/converse", bedrock_converse.CONVERSE),
    _at("/model/{model*}/converse-stream", bedrock_converse.CONVERSE, streaming=True),
    _at("/model/{model*}/invoke", bedrock_invoke.INVOKE),
    _at("/model/{model*}/invoke-with-response-stream", bedrock_invoke.INVOKE, streaming=True),
    _at("/model/{model*}/count-tokens", _UNCOUNTED, _BEDROCK),
    # Cohere
    _common("/v2/chat", cohere.CHAT),
    _at("/v1/chat", cohere.LEGACY_CHAT, only=(semconv.COHERE,)),
    _at("/v1/chat", _CHAT, only=("writer",)),
    _common("/v1/chat", _ANY),
    _at("/v1/generate", cohere.GENERATE, only=(semconv.COHERE,)),
    _common("/v1/embed", cohere.EMBED),
    _common("/v2/embed", cohere.EMBED),
    _at("/v1/classify", _UNCOUNTED, only=(semconv.COHERE,)),
    _at("/v1/summarize", _UNCOUNTED, only=(semconv.COHERE,)),
    _at("/v1/tokenize", _UNCOUNTED, only=(semconv.COHERE,)),
    _at("/v1/detokenize", _UNCOUNTED, only=(semconv.COHERE,)),
    # Ollama
    _common("/api/chat", ollama.CHAT),
    _common("/api/generate", ollama.GENERATE),
    _common("/api/embed", ollama.EMBED),
    # watsonx
    _at("/text/generation", watsonx.GENERATION),
    _at("/text/generation_stream", watsonx.GENERATION, streaming=True),
    _at("/generation/text", watsonx.GENERATION, only=(semconv.IBM_WATSONX_AI,)),
    _at("/generation/text_stream", watsonx.GENERATION, only=(semconv.IBM_WATSONX_AI,), streaming=True),
    _at("/text/chat", _CHAT, only=(semconv.IBM_WATSONX_AI,)),
    _at("/text/chat_stream", _CHAT, only=(semconv.IBM_WATSONX_AI,), streaming=True),
    _at("/text/tokenization", _UNCOUNTED, only=(semconv.IBM_WATSONX_AI,)),
    # And the rest, each with paths of its own.
    _at("/cortex/inference:complete", _CHAT, "snowflake"),
    _at("/cortex/inference:embed", _EMBEDDINGS, "snowflake"),
    _at("/models/{model*}/predictions", replicate.PREDICTIONS),
    _at("/deployments/{model*}/predictions", replicate.PREDICTIONS),
    _at("/v1/predictions", replicate.PREDICTIONS, only=("replicate",)),
    _at("/complete", aleph_alpha.COMPLETE, only=("aleph_alpha",)),
    _common("/completion", _ANY),
    _common("/generate", _ANY),
    _at("/generate_stream", _ANY, "huggingface", streaming=True),
    _at("/models/{model*}/pipeline/{task}", _ANY, only=("huggingface",)),
    _at("/models/{model*}", _ANY, only=("huggingface",)),
    _at("/serving-endpoints/{model}/invocations", _ANY, "databricks"),
    _at("/endpoints/{model}/invocations", _ANY, "aws_sagemaker"),
)
