"""The names that other systems know are literals; here they are pinned."""

from __future__ import annotations

from dataclasses import asdict

import pytest
from opentelemetry.semconv._incubating.attributes import (
    error_attributes,
    gen_ai_attributes,
    http_attributes,
    server_attributes,
    url_attributes,
)

from extproc import semconv
from extproc.telemetry import names
from extproc.telemetry.names import span_names, system_of

# What OpenTelemetry's Python package has of attributes; of the GenAI ones it has those of 1.41 and before.
KNOWN = {
    value
    for module in (error_attributes, gen_ai_attributes, http_attributes, server_attributes, url_attributes)
    for name, value in vars(module).items()
    if name.isupper() and isinstance(value, str)
}

# What the repository that the GenAI conventions have moved to has added.
ADDED = {
    "gen_ai.usage.cache_write.input_tokens",
    "gen_ai.usage.audio.input_tokens",
    "gen_ai.usage.audio.output_tokens",
}

LEGACY = {
    "operation_name": ("gen_ai.operation.name",),
    "provider_name": (),
    "system": ("gen_ai.system",),
    "request_model": ("gen_ai.request.model",),
    "request_stream": (),
    "request_max_tokens": ("gen_ai.request.max_tokens",),
    "request_temperature": ("gen_ai.request.temperature",),
    "request_top_p": ("gen_ai.request.top_p",),
    "request_top_k": ("gen_ai.request.top_k",),
    "request_frequency_penalty": ("gen_ai.request.frequency_penalty",),
    "request_presence_penalty": ("gen_ai.request.presence_penalty",),
    "request_seed": ("gen_ai.request.seed",),
    "request_choice_count": ("gen_ai.request.choice.count",),
    "request_encoding_formats": ("gen_ai.request.encoding_formats",),
    "request_stop_sequences": ("gen_ai.request.stop_sequences",),
    "embeddings_dimension_count": (),
    "output_type": ("gen_ai.output.type",),
    "conversation_id": ("gen_ai.conversation.id",),
    "response_id": ("gen_ai.response.id",),
    "response_model": ("gen_ai.response.model",),
    "response_finish_reasons": ("gen_ai.response.finish_reasons",),
    "response_time_to_first_chunk": (),
    "usage_input_tokens": ("gen_ai.usage.input_tokens",),
    "usage_output_tokens": ("gen_ai.usage.output_tokens",),
    "usage_cache_read_input_tokens": (),
    "usage_cache_creation_input_tokens": (),
    "usage_reasoning_output_tokens": (),
    "usage_audio_input_tokens": (),
    "usage_audio_output_tokens": (),
    "error_type": ("error.type",),
    "server_address": ("server.address",),
    "server_port": ("server.port",),
}
V1_41 = LEGACY | {
    "provider_name": ("gen_ai.provider.name",),
    "system": (),
    "request_stream": ("gen_ai.request.stream",),
    "embeddings_dimension_count": ("gen_ai.embeddings.dimension.count",),
    "response_time_to_first_chunk": ("gen_ai.response.time_to_first_chunk",),
    "usage_cache_read_input_tokens": ("gen_ai.usage.cache_read.input_tokens",),
    "usage_cache_creation_input_tokens": ("gen_ai.usage.cache_creation.input_tokens",),
    "usage_reasoning_output_tokens": ("gen_ai.usage.reasoning.output_tokens",),
}
LATEST = V1_41 | {
    "usage_cache_creation_input_tokens": ("gen_ai.usage.cache_write.input_tokens",),
    "usage_audio_input_tokens": ("gen_ai.usage.audio.input_tokens",),
    "usage_audio_output_tokens": ("gen_ai.usage.audio.output_tokens",),
}


@pytest.mark.parametrize(
    ("vocabulary", "expected"),
    [("legacy", LEGACY), ("1.41", V1_41), ("latest", LATEST)],
    ids=["legacy", "1.41", "latest"],
)
def test_attributes_never_change_by_accident(vocabulary: names.Vocabulary, expected: dict[str, object]) -> None:
    """Dashboards and alerts are written against them."""
    assert asdict(span_names([vocabulary])) == expected


def test_attributes_are_opentelemetrys() -> None:
    """As far as its package names them; what is renamed there is a decision to take here."""
    ours = {name for each in (LEGACY, V1_41) for found in each.values() for name in found}
    assert ours <= KNOWN
    assert {name for found in LATEST.values() for name in found} - KNOWN == ADDED
    others = {names.TOKEN_TYPE, names.HTTP_REQUEST_METHOD, names.HTTP_RESPONSE_STATUS_CODE, names.HTTP_ROUTE,
              names.SERVER_ADDRESS, names.SERVER_PORT, names.URL_SCHEME}  # fmt: skip
    assert others <= KNOWN


def test_several_vocabularies_are_all_of_their_names() -> None:
    """A migration has both for a while."""
    both = span_names(["legacy", "1.41", "latest"])
    assert (both.provider_name, both.system) == (("gen_ai.provider.name",), ("gen_ai.system",))
    assert both.usage_cache_creation_input_tokens == (
        "gen_ai.usage.cache_creation.input_tokens",
        "gen_ai.usage.cache_write.input_tokens",
    )
    assert both.request_model == ("gen_ai.request.model",)
    assert names.provider_attributes(["legacy", "1.41"]) == ("gen_ai.provider.name", "gen_ai.system")


@pytest.mark.parametrize("provider", [value.value for value in gen_ai_attributes.GenAiProviderNameValues])
def test_a_provider_went_by_a_name_that_gen_ai_system_knew(provider: str) -> None:
    """Where it was another one, that one."""
    systems = {value.value for value in gen_ai_attributes.GenAiSystemValues}
    assert system_of(provider) in systems


def test_the_old_names_of_providers() -> None:
    """Literally; one of which nothing was said goes by its own."""
    assert system_of(semconv.AZURE_AI_OPENAI) == "az.ai.openai"
    assert system_of(semconv.AZURE_AI_INFERENCE) == "az.ai.inference"
    assert system_of(semconv.X_AI) == "xai"
    assert system_of("moonshot_ai") == "moonshot_ai"


def test_the_words_for_methods_are_opentelemetrys() -> None:
    """What is none of them is _OTHER."""
    known = {value.value for value in http_attributes.HttpRequestMethodValues}
    assert known - {names.OTHER} <= names.HTTP_METHODS
    assert names.OTHER in known
