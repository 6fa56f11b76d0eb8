"""What other systems call what we know: OpenTelemetry's GenAI conventions in three vocabularies, and KrakenD's layers.

Owns: the names of attributes, as literals that tests/telemetry/test_names.py pins. Those of metrics stand in
telemetry/instruments.py. Must not know how anything is counted or sent.

`legacy` is what stood up to 1.36, `1.41` the last text in the main repository, `latest` what is merged in the one that
the conventions have moved to; what is only proposed there is not here.
https://github.com/open-telemetry/semantic-conventions/tree/v1.41.0/docs/gen-ai
https://github.com/open-telemetry/semantic-conventions-genai
https://www.krakend.io/docs/telemetry/opentelemetry/
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from types import MappingProxyType
from typing import Final, Literal, TypeAlias

from extproc import semconv

Vocabulary: TypeAlias = Literal["legacy", "1.41", "latest"]

# Metrics and spans alike.
OPERATION_NAME: Final = "gen_ai.operation.name"
PROVIDER_NAME: Final = "gen_ai.provider.name"
SYSTEM: Final = "gen_ai.system"
REQUEST_MODEL: Final = "gen_ai.request.model"
RESPONSE_MODEL: Final = "gen_ai.response.model"
TOKEN_TYPE: Final = "gen_ai.token.type"  # noqa: S105 - a token of speech
TOKEN_MODALITY: Final = "gen_ai.token.modality"  # noqa: S105 - as above
ERROR_TYPE: Final = "error.type"
HTTP_REQUEST_METHOD: Final = "http.request.method"
HTTP_RESPONSE_STATUS_CODE: Final = "http.response.status_code"
HTTP_ROUTE: Final = "http.route"
SERVER_ADDRESS: Final = "server.address"
SERVER_PORT: Final = "server.port"
URL_SCHEME: Final = "url.scheme"
KRAKEND_ROUTE: Final = "krakend.endpoint.route"
KRAKEND_METHOD: Final = "krakend.endpoint.method"
KRAKEND_ERROR: Final = "error"
KRAKEND_CANCELED: Final = "canceled"
KRAKEND_COMPLETE: Final = "complete"

# Ours: how far the counts of a call can be trusted.
USAGE_SOURCE: Final = "extproc.usage_source"

# All of them.
METRIC_ATTRIBUTES: Final = (
    USAGE_SOURCE,
    OPERATION_NAME, PROVIDER_NAME, SYSTEM, REQUEST_MODEL, RESPONSE_MODEL, TOKEN_TYPE, TOKEN_MODALITY, ERROR_TYPE,
    HTTP_REQUEST_METHOD, HTTP_RESPONSE_STATUS_CODE, HTTP_ROUTE, SERVER_ADDRESS, SERVER_PORT, URL_SCHEME, KRAKEND_ROUTE,
    KRAKEND_METHOD, KRAKEND_ERROR, KRAKEND_CANCELED, KRAKEND_COMPLETE,
)  # fmt: skip

# Values of attributes.
INPUT: Final = "input"
OUTPUT: Final = "output"
AUDIO: Final = "audio"
UNKNOWN_MODALITY: Final = "unknown"
OTHER: Final = "_OTHER"  # of http.request.method and error.type
HTTP_METHODS: Final = frozenset(
    ("CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "QUERY", "TRACE")
)  # https://opentelemetry.io/docs/specs/semconv/registry/attributes/http/

# Attributes that are no text; in Prometheus everything is.
INTEGERS: Final = frozenset((HTTP_RESPONSE_STATUS_CODE, SERVER_PORT))
BOOLEANS: Final = frozenset((KRAKEND_ERROR, KRAKEND_CANCELED, KRAKEND_COMPLETE))

# Where gen_ai.system called a provider otherwise than gen_ai.provider.name does.
_SYSTEMS = MappingProxyType(
    {
        semconv.AZURE_AI_INFERENCE: "az.ai.inference",
        semconv.AZURE_AI_OPENAI: "az.ai.openai",
        semconv.X_AI: "xai",
    }
)


def system_of(provider: str) -> str:
    """Return what `gen_ai.system` calls the provider that `gen_ai.provider.name` calls so."""
    return _SYSTEMS.get(provider, provider)


@dataclass(frozen=True, slots=True)
class SpanNames:
    """The attributes of the span of an LLM call: each field is a fact, and holds all names it goes by.

    Usually one; none where no vocabulary in use has a name, several during a migration. The value of `system` is that
    of `system_of`.
    """

    operation_name: tuple[str, ...] = (OPERATION_NAME,)
    provider_name: tuple[str, ...] = (PROVIDER_NAME,)
    system: tuple[str, ...] = ()
    request_model: tuple[str, ...] = (REQUEST_MODEL,)
    request_stream: tuple[str, ...] = ("gen_ai.request.stream",)
    request_max_tokens: tuple[str, ...] = ("gen_ai.request.max_tokens",)
    request_temperature: tuple[str, ...] = ("gen_ai.request.temperature",)
    request_top_p: tuple[str, ...] = ("gen_ai.request.top_p",)
    request_top_k: tuple[str, ...] = ("gen_ai.request.top_k",)  # a double up to 1.41, an integer after it
    request_frequency_penalty: tuple[str, ...] = ("gen_ai.request.frequency_penalty",)
    request_presence_penalty: tuple[str, ...] = ("gen_ai.request.presence_penalty",)
    request_seed: tuple[str, ...] = ("gen_ai.request.seed",)
    request_choice_count: tuple[str, ...] = ("gen_ai.request.choice.count",)
    request_encoding_formats: tuple[str, ...] = ("gen_ai.request.encoding_formats",)
    request_stop_sequences: tuple[str, ...] = ("gen_ai.request.stop_sequences",)
    embeddings_dimension_count: tuple[str, ...] = ("gen_ai.embeddings.dimension.count",)
    output_type: tuple[str, ...] = ("gen_ai.output.type",)
    conversation_id: tuple[str, ...] = ("gen_ai.conversation.id",)
    response_id: tuple[str, ...] = ("gen_ai.response.id",)
    response_model: tuple[str, ...] = (RESPONSE_MODEL,)
    response_finish_reasons: tuple[str, ...] = ("gen_ai.response.finish_reasons",)
    response_time_to_first_chunk: tuple[str, ...] = ("gen_ai.response.time_to_first_chunk",)
    usage_input_tokens: tuple[str, ...] = ("gen_ai.usage.input_tokens",)
    usage_output_tokens: tuple[str, ...] = ("gen_ai.usage.output_tokens",)
    usage_cache_read_input_tokens: tuple[str, ...] = ("gen_ai.usage.cache_read.input_tokens",)
    usage_cache_creation_input_tokens: tuple[str, ...] = ("gen_ai.usage.cache_creation.input_tokens",)
    usage_reasoning_output_tokens: tuple[str, ...] = ("gen_ai.usage.reasoning.output_tokens",)
    usage_audio_input_tokens: tuple[str, ...] = ()
    usage_audio_output_tokens: tuple[str, ...] = ()
    error_type: tuple[str, ...] = (ERROR_TYPE,)
    server_address: tuple[str, ...] = (SERVER_ADDRESS,)
    server_port: tuple[str, ...] = (SERVER_PORT,)


_SPAN_NAMES = MappingProxyType(
    {
        "legacy": SpanNames(
            provider_name=(),
            system=(SYSTEM,),
            request_stream=(),
            embeddings_dimension_count=(),
            response_time_to_first_chunk=(),
            usage_cache_read_input_tokens=(),
            usage_cache_creation_input_tokens=(),
            usage_reasoning_output_tokens=(),
        ),
        "1.41": SpanNames(),
        "latest": SpanNames(
            usage_cache_creation_input_tokens=("gen_ai.usage.cache_write.input_tokens",),
            usage_audio_input_tokens=("gen_ai.usage.audio.input_tokens",),
            usage_audio_output_tokens=("gen_ai.usage.audio.output_tokens",),
        ),
    }
)


def span_names(vocabularies: Iterable[Vocabulary]) -> SpanNames:
    """Return the names of all these vocabularies together."""
    chosen = [_SPAN_NAMES[vocabulary] for vocabulary in vocabularies]
    return SpanNames(
        **{
            field.name: tuple(dict.fromkeys(name for names in chosen for name in getattr(names, field.name)))
            for field in fields(SpanNames)
        }
    )


def provider_attributes(vocabularies: Iterable[Vocabulary]) -> tuple[str, ...]:
    """Return the attributes that say who answered: PROVIDER_NAME, SYSTEM or both."""
    names = span_names(vocabularies)
    return names.provider_name + names.system
