"""What Envoy has read of an answer, in the place of documents, or beside them.

https://www.envoyproxy.io/docs/envoy/v1.40.0/configuration/http/http_filters/ai_protocol_manager_filter

Owns: which flavour Envoy's wire APIs are, and what its counts are by our contract. Its two sides are inclusive as ours
are; what it does not know are the ways of single vendors. What was read of documents here stands. Must not know how
Envoy tells.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from msgspec.structs import replace

from extproc import semconv
from extproc.errors import Reason
from extproc.native import ExtractionStatus, NativeUsage
from extproc.providers import anthropic_messages, gemini_generate, openai_chat, openai_responses
from extproc.providers.answer import NO_USAGE, DocumentReader
from extproc.providers.base import EMPTY_OBJECT, Flavour, clean_name, no_usage
from extproc.providers.counts import Counts
from extproc.usage import NativeCheck, TokenUsage

# By the names of envoy.type.ai.v3.LLMProtocol.
FLAVOURS: Final[Mapping[str | None, Flavour]] = MappingProxyType(
    {
        "OPENAI_CHAT_COMPLETIONS": openai_chat.CHAT,
        "OPENAI_RESPONSES": openai_responses.RESPONSES,
        "ANTHROPIC_MESSAGES": anthropic_messages.MESSAGES,
        "GEMINI_GENERATE_CONTENT": gemini_generate.GENERATE,
    }
)

# What rate limits and bills go by.
_SIDES = ("prompt_tokens", "completion_tokens")


def take_native(documents: DocumentReader, native: NativeUsage) -> tuple[NativeCheck | None, Reason | None]:
    """Let what Envoy has read stand where nothing was read here.

    Return how it compares with what was read here, and what is wrong with it; None where there is nothing to say.
    """
    said, shown = FLAVOURS.get(native.protocol), documents.flavour
    flavour = shown if shown is not None and not shown.by_shape else said
    usage, reason = NO_USAGE, None
    if flavour is not None and flavour.count is not no_usage:
        documents.flavour = flavour
        documents.model = documents.model or clean_name(native.model or "")
        usage, reason = _count(native, flavour)
    if documents.usage is not None:
        return (NativeCheck.AGREED if _agree(usage, documents.usage) else NativeCheck.DISAGREED), None
    if usage == NO_USAGE:
        return None, Reason.NATIVE_FAILED if native.status is ExtractionStatus.FAILED else reason
    documents.usage = usage
    documents.may_lack_usage = native.status is not ExtractionStatus.COMPLETE
    return NativeCheck.ONLY, reason


def _count(native: NativeUsage, flavour: Flavour) -> tuple[TokenUsage, Reason | None]:
    """Return the counts by our contract, and what is wrong with them."""
    counts = Counts(native.counts or EMPTY_OBJECT)
    usage = TokenUsage(
        prompt_tokens=counts.get("input_tokens"),
        completion_tokens=counts.get("output_tokens"),
        provider_total_tokens=counts.get("provider_total_tokens"),
        cached_tokens=counts.get("input_token_details", "cached_tokens"),
        cache_creation_tokens=counts.get("input_token_details", "cache_creation_tokens"),
        reasoning_tokens=counts.get("output_token_details", "reasoning_tokens"),
        tool_use_prompt_tokens=counts.get("input_token_details", "tool_use_tokens"),
    )
    reason = Reason.MALFORMED_COUNT if counts.malformed else None
    if flavour is openai_chat.CHAT:
        completion = openai_chat.inclusive_completion(
            usage.prompt_tokens, usage.completion_tokens, usage.reasoning_tokens, usage.provider_total_tokens
        )
        usage = replace(usage, completion_tokens=completion)
    elif flavour.operation == semconv.EMBEDDINGS and usage.prompt_tokens is not None:
        usage = replace(usage, completion_tokens=usage.completion_tokens or 0)
    return usage, reason


def _agree(native: TokenUsage, ours: TokenUsage) -> bool:
    """Say whether both sides are the same, and each part that both know."""
    return all(
        getattr(native, name) == getattr(ours, name)
        or (name not in _SIDES and None in (getattr(native, name), getattr(ours, name)))
        for name in TokenUsage.__struct_fields__
    )
