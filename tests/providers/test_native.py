from __future__ import annotations

from typing import Any

import pytest

from extproc.errors import Reason
from extproc.native import ExtractionStatus, NativeUsage
from extproc.providers import bedrock_invoke, gemini_generate, openai_chat, uncounted
from extproc.providers.answer import DocumentReader
from extproc.providers.base import Flavour
from extproc.providers.native import FLAVOURS, take_native
from extproc.providers.shapes import detect_response
from extproc.usage import NativeCheck, TokenUsage
from extproc.wire.ai_pb2 import LLMProtocol

COUNTS: dict[str, Any] = {
    "input_tokens": 12,
    "output_tokens": 7,
    "provider_total_tokens": 19,
    "input_token_details": {"cached_tokens": 5, "cache_creation_tokens": 4, "tool_use_tokens": 2},
    "output_token_details": {"reasoning_tokens": 3},
}
CHAT = "OPENAI_CHAT_COMPLETIONS"


def native(protocol: str | None = CHAT, status: ExtractionStatus = ExtractionStatus.COMPLETE, **counts: Any) -> Any:
    return NativeUsage(protocol, "gpt-4o-x", counts or COUNTS, status)


def reader(flavour: Flavour | None = None, *documents: dict[str, Any]) -> DocumentReader:
    read = DocumentReader(flavour, detect_response)
    for document in documents:
        read.read(document)
    return read


def test_every_wire_api_that_envoy_knows_is_a_flavour_here() -> None:
    """By its name in Envoy's API."""
    assert set(FLAVOURS) == set(LLMProtocol.keys()[1:])


def test_every_count_has_its_place() -> None:
    """In the words of our contract; both sides are inclusive as they come."""
    documents = reader()
    assert take_native(documents, native()) == (NativeCheck.ONLY, None)
    assert documents.usage == TokenUsage(
        prompt_tokens=12,
        completion_tokens=7,
        provider_total_tokens=19,
        cached_tokens=5,
        cache_creation_tokens=4,
        reasoning_tokens=3,
        tool_use_prompt_tokens=2,
    )
    assert (documents.flavour, documents.model) == (openai_chat.CHAT, "gpt-4o-x")


def test_what_was_not_sent_is_absent() -> None:
    """And 0 is 0."""
    documents = reader()
    take_native(documents, native("ANTHROPIC_MESSAGES", input_tokens=0))
    assert documents.usage == TokenUsage(prompt_tokens=0)


@pytest.mark.parametrize(
    ("flavour", "counts", "completion"),
    [
        (openai_chat.CHAT, {"output_tokens": 7, "provider_total_tokens": 22}, 10),  # xAI
        (openai_chat.CHAT, {"output_tokens": 7, "provider_total_tokens": 19}, 7),
        (gemini_generate.GENERATE, {"output_tokens": 7, "provider_total_tokens": 22}, 7),
        (gemini_generate.EMBEDDINGS, {}, 0),
        (gemini_generate.EMBEDDINGS, {"input_tokens": None}, None),
        (gemini_generate.GENERATE, {}, None),
    ],
)
def test_a_completion_is_what_it_is_in_documents_of_that_flavour(
    flavour: Flavour, counts: dict[str, Any], completion: int | None
) -> None:
    """Where an API counts reasoning beside it, or has none."""
    documents = reader(flavour)
    reasoning = {"output_token_details": {"reasoning_tokens": 3}}
    take_native(documents, native("GEMINI_GENERATE_CONTENT", **({"input_tokens": 12} | reasoning | counts)))
    assert documents.usage is not None
    assert documents.usage.completion_tokens == completion


@pytest.mark.parametrize(
    ("shown", "said", "flavour"),
    [
        (None, "ANTHROPIC_MESSAGES", "anthropic_messages"),
        (openai_chat.CHAT, "ANTHROPIC_MESSAGES", "openai_chat"),
        (openai_chat.CHAT, None, "openai_chat"),
        (bedrock_invoke.INVOKE, "ANTHROPIC_MESSAGES", "anthropic_messages"),
    ],
)
def test_a_path_that_says_what_it_is_stands(shown: Flavour | None, said: str | None, flavour: str) -> None:
    """One at which anything may be answered does not, as with documents."""
    documents = reader(shown)
    take_native(documents, native(said))
    assert documents.flavour is not None
    assert documents.flavour.name == flavour
    assert documents.usage is not None


@pytest.mark.parametrize(("shown", "said"), [(None, None), (None, "COHERE_CHAT"), (uncounted.UNCOUNTED, CHAT)])
def test_what_counts_no_usage_here_counts_none_there(shown: Flavour | None, said: str | None) -> None:
    """A stored answer is not counted again; an API that nobody knows is not guessed at."""
    documents = reader(shown)
    assert take_native(documents, native(said)) == (None, None)
    assert (documents.usage, documents.flavour) == (None, shown)


def test_counts_that_may_not_be_the_last_are_partial() -> None:
    """Envoy says so."""
    documents = reader()
    assert take_native(documents, native(status=ExtractionStatus.PARTIAL)) == (NativeCheck.ONLY, None)
    assert documents.may_lack_usage


@pytest.mark.parametrize("protocol", [CHAT, None])
def test_usage_that_envoy_could_not_read_is_an_error(protocol: str | None) -> None:
    """And no usage."""
    documents = reader()
    failed = NativeUsage(protocol, None, {}, ExtractionStatus.FAILED)
    assert take_native(documents, failed) == (None, Reason.NATIVE_FAILED)
    assert documents.usage is None


def test_an_answer_without_counts_is_no_error() -> None:
    """It has none."""
    assert take_native(reader(), NativeUsage(CHAT)) == (None, None)


@pytest.mark.parametrize("value", [True, "many", (), -1, 0.5, 2**60])
def test_a_count_that_is_none_is_dropped_and_told(value: Any) -> None:
    """The others stand."""
    documents = reader()
    assert take_native(documents, native(input_tokens=value, output_tokens=7)) == (
        NativeCheck.ONLY,
        Reason.MALFORMED_COUNT,
    )
    assert documents.usage == TokenUsage(completion_tokens=7)


USAGE: dict[str, Any] = {
    "prompt_tokens": 12,
    "completion_tokens": 7,
    "total_tokens": 19,
    "prompt_tokens_details": {"cached_tokens": 5},
}


@pytest.mark.parametrize(
    ("more", "check"),
    [
        ({}, NativeCheck.AGREED),
        ({"input_token_details": {}}, NativeCheck.AGREED),  # a detail that Envoy does not know
        ({"output_token_details": {"reasoning_tokens": 1}}, NativeCheck.AGREED),  # one that we do not
        ({"input_tokens": 11}, NativeCheck.DISAGREED),
        ({"input_tokens": None}, NativeCheck.DISAGREED),
        ({"output_tokens": 8}, NativeCheck.DISAGREED),
        ({"provider_total_tokens": 20}, NativeCheck.DISAGREED),
        ({"input_token_details": {"cached_tokens": 6}}, NativeCheck.DISAGREED),
    ],
)
def test_what_was_read_here_stands_and_the_two_are_compared(more: dict[str, Any], check: NativeCheck) -> None:
    """Both sides, and each part that both know."""
    documents = reader(openai_chat.CHAT, {"model": "ours", "choices": [], "usage": USAGE})
    ours = documents.usage
    assert take_native(documents, native(**(COUNTS | {"input_token_details": {"cached_tokens": 5}} | more))) == (
        check,
        None,
    )
    assert (documents.usage, documents.model) == (ours, "ours")


def test_where_envoy_could_not_read_what_was_read_here_the_two_disagree() -> None:
    """That is no error of the body."""
    documents = reader(openai_chat.CHAT, {"choices": [], "usage": USAGE})
    failed = NativeUsage(None, None, {}, ExtractionStatus.FAILED)
    assert take_native(documents, failed) == (NativeCheck.DISAGREED, None)


@pytest.mark.parametrize("name", ["x" * 300, "a\nb"])
def test_a_model_is_made_safe_to_print(name: str) -> None:
    """Whoever wrote it."""
    documents = reader()
    take_native(documents, NativeUsage(CHAT, name, COUNTS))
    assert documents.model is not None
    assert documents.model.isprintable()
    assert len(documents.model) <= 256
