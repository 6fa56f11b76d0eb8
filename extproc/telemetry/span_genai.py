"""What the span of an LLM call says: OpenTelemetry's `gen_ai.*` attributes, in the vocabularies that are wanted.

Owns: which fact is which attribute, and of which type. Absent stays absent, and is not 0. Names are those of names.py.

https://github.com/open-telemetry/semantic-conventions/blob/v1.41.0/docs/gen-ai/gen-ai-spans.md
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any, Final, TypeAlias

from msgspec.structs import astuple

from extproc.surroundings import Surroundings
from extproc.telemetry import names
from extproc.telemetry.names import SpanNames, Vocabulary, span_names, system_of
from extproc.telemetry.span import Attributes
from extproc.telemetry.span_http import error_type
from extproc.usage import RequestParameters, Timing, TokenUsage, UsageRecord

# What no convention has a name for.
CHARGES: Final = "extproc.charges."  # and the key of a charge
COST_USD: Final = "extproc.cost_usd"
LONGEST_STALL_SECONDS: Final = "extproc.longest_stall_seconds"
OUTPUT_CHUNKS: Final = "extproc.output_chunks"
FIRST_BYTE: Final = "extproc.first_byte"
FIRST_CONTENT: Final = "extproc.first_content"
FIRST_REASONING: Final = "extproc.first_reasoning"

# Where several answers to one question are not asked for, the conventions leave the attribute out.
_ONE_CHOICE = 1

Names: TypeAlias = tuple[str, ...]

# Field of RequestParameters -> field of SpanNames.
_PARAMETERS: Final = {
    "max_tokens": "request_max_tokens",
    "temperature": "request_temperature",
    "top_p": "request_top_p",
    "top_k": "request_top_k",
    "frequency_penalty": "request_frequency_penalty",
    "presence_penalty": "request_presence_penalty",
    "seed": "request_seed",
    "choice_count": "request_choice_count",
    "dimension_count": "embeddings_dimension_count",
    "encoding_formats": "request_encoding_formats",
    "stop_sequences": "request_stop_sequences",
    "output_type": "output_type",
}

# An attribute has one type, whether a client wrote 1 or 1.0.
_KINDS: Final[Mapping[str, Callable[[Any], Any]]] = MappingProxyType(
    dict.fromkeys(("temperature", "top_p", "top_k", "frequency_penalty", "presence_penalty"), float)
)

# Field of TokenUsage -> field of SpanNames.
_USAGE: Final = {
    "prompt_tokens": "usage_input_tokens",
    "completion_tokens": "usage_output_tokens",
    "cached_tokens": "usage_cache_read_input_tokens",
    "cache_creation_tokens": "usage_cache_creation_input_tokens",
    "reasoning_tokens": "usage_reasoning_output_tokens",
    "audio_prompt_tokens": "usage_audio_input_tokens",
    "audio_completion_tokens": "usage_audio_output_tokens",
}


def span_name(record: UsageRecord) -> str:
    """Return `chat gpt-4o`: the operation and the model that was asked for, as far as they are known."""
    return " ".join([word for word in (record.operation, record.request_model) if word]) or "unknown"


def events(timing: Timing, start_nanoseconds: int) -> tuple[tuple[str, int], ...]:
    """Return when the first of what was answered came."""
    marks = (
        (FIRST_BYTE, timing.first_byte_seconds),
        (FIRST_REASONING, timing.first_reasoning_seconds),
        (FIRST_CONTENT, timing.first_content_seconds),
    )
    return tuple([(name, start_nanoseconds + int(at * 1e9)) for name, at in marks if at is not None])


class GenAiAttributes:
    """Adds the attributes of LLM calls, under the names that some vocabularies have for them."""

    def __init__(self, vocabularies: Iterable[Vocabulary]) -> None:
        chosen = tuple(vocabularies)
        self._names = known = span_names(chosen)
        kinds: Mapping[str, Callable[[Any], Any]]
        kinds = _KINDS if chosen != ("latest",) else {**_KINDS, "top_k": int}  # who asks for both gets what was first
        self._parameters = tuple(
            (field, _named(known, _PARAMETERS[field]), kinds.get(field, _as_it_is))
            for field in RequestParameters.__struct_fields__
        )
        self._usage = tuple(_named(known, _USAGE.get(field)) for field in TokenUsage.__struct_fields__)

    def add(
        self, attributes: Attributes, record: UsageRecord, around: Surroundings, *, with_stop_sequences: bool
    ) -> None:
        """Add what is known of a call. Stop sequences are text of the client's."""
        self._add_call(attributes, record)
        if record.parameters is not None:
            self._add_parameters(attributes, record.parameters, with_stop_sequences)
        if record.usage is not None:
            for keys, count in zip(self._usage, astuple(record.usage), strict=True):
                if count is not None:
                    attributes.update(dict.fromkeys(keys, count))
        if record.cost is not None:
            attributes[COST_USD] = record.cost.usd
        if record.completion.is_failure:
            attributes[names.ERROR_TYPE] = error_type(record)
        self._add_timing(attributes, record)
        # Whom Envoy has asked. The authority of the request is the gateway's own.
        if around.upstream_address is not None:
            attributes[names.SERVER_ADDRESS] = around.upstream_address
        if around.upstream_port is not None:
            attributes[names.SERVER_PORT] = around.upstream_port

    def _add_parameters(self, attributes: Attributes, parameters: RequestParameters, with_stop_sequences: bool) -> None:
        for (field, keys, kind), value in zip(self._parameters, astuple(parameters), strict=True):
            if value is None or (field == "stop_sequences" and not with_stop_sequences):
                continue
            if field == "choice_count" and value == _ONE_CHOICE:
                continue
            for key in keys:
                attributes[key] = kind(value)

    def _add_call(self, attributes: Attributes, record: UsageRecord) -> None:
        known, provider = self._names, record.provider
        facts = (
            (known.operation_name, record.operation),
            (known.provider_name, provider),
            (known.system, None if provider is None else system_of(provider)),
            (known.request_model, record.request_model),
            (known.request_stream, record.streaming or None),
            (known.conversation_id, record.conversation_id),
            (known.response_id, record.response_id),
            (known.response_model, record.response_model),
            (known.response_finish_reasons, _finish_reasons(record)),
        )
        for keys, value in facts:
            if value is not None:
                for key in keys:
                    attributes[key] = value

    def _add_timing(self, attributes: Attributes, record: UsageRecord) -> None:
        attributes[names.USAGE_SOURCE] = record.usage_source.value
        for key, amount in record.charges:
            attributes[CHARGES + key] = amount
        timing = record.timing
        if record.streaming and timing.first_byte_seconds is not None:
            for key in self._names.response_time_to_first_chunk:
                attributes[key] = timing.first_byte_seconds
        if timing.longest_stall_seconds is not None:
            attributes[LONGEST_STALL_SECONDS] = timing.longest_stall_seconds
        if timing.output_chunks:
            attributes[OUTPUT_CHUNKS] = timing.output_chunks


def _as_it_is(value: Any) -> Any:
    return value


def _named(known: SpanNames, field: str | None) -> Names:
    found: Names = () if field is None else getattr(known, field)
    return found


def _finish_reasons(record: UsageRecord) -> Names | None:
    if record.finish_reasons:
        return record.finish_reasons
    return None if record.finish_reason is None else (record.finish_reason,)
