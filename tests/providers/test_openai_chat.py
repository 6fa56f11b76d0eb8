from __future__ import annotations

from typing import Any

import pytest
from support.quiet import tokens_in, tokens_of

from extproc.providers.base import ResponseFacts
from extproc.providers.counts import Counts
from extproc.providers.openai_chat import CHAT, count, count_embeddings, read_response
from extproc.usage import TokenUsage


def test_a_completion_says_everything_at_once() -> None:
    """Model, usage, finish reason."""
    choice = {"message": {"content": "hi"}, "finish_reason": "stop"}
    usage = {"prompt_tokens": 1}
    assert read_response({"id": "c", "model": "m", "choices": [choice], "usage": usage}) == ResponseFacts(
        model="m", usage=usage, finish_reason="stop", has_content=True, finish_reasons={0: "stop"}, response_id="c"
    )


@pytest.mark.parametrize(
    ("delta", "expected"),
    [
        ({"role": "assistant", "content": ""}, ResponseFacts()),
        ({"content": None, "tool_calls": [], "refusal": None, "audio": None}, ResponseFacts()),
        ({"content": "a"}, ResponseFacts(has_content=True)),
        ({"reasoning_content": "hm"}, ResponseFacts(has_reasoning=True)),
        ({"reasoning": "hm", "content": ""}, ResponseFacts(has_reasoning=True)),
        ({"reasoning": "hm", "content": "a"}, ResponseFacts(has_content=True, has_reasoning=True)),
        ({"tool_calls": [{"index": 0}]}, ResponseFacts(has_content=True)),
        ({"audio": {"data": "QQ=="}}, ResponseFacts(has_content=True)),
        ({"audio": {"transcript": "a"}}, ResponseFacts(has_content=True)),
        ({"audio": {"expires_at": 9}}, ResponseFacts()),
        ({"refusal": "no"}, ResponseFacts(has_content=True)),
        ({}, ResponseFacts()),
        (None, ResponseFacts()),
    ],
)
def test_content_is_what_the_model_produced(delta: object, expected: ResponseFacts) -> None:
    """A role alone is none, and thoughts are not for the user; the shape of a chunk alone says the same."""
    chunk = {"choices": [{"delta": delta}]}
    assert read_response(chunk) == expected
    assert tokens_of(CHAT, chunk) == tokens_in(expected)


@pytest.mark.parametrize(
    ("delta", "content", "reasoning"),
    [
        ({"function_call": {"arguments": "{"}}, True, False),
        ({"content": [{"type": "thinking", "thinking": []}]}, False, True),
        ({"content": [{"type": "reasoning"}, {"type": "text", "text": "a"}]}, True, True),
        ({"content": ["a"]}, True, False),
        ({"content": []}, False, False),
    ],
)
def test_content_may_be_in_parts(delta: dict[str, Any], content: bool, reasoning: bool) -> None:
    """Mistral's thoughts are among them. Such chunks are looked at."""
    chunk = {"choices": [{"delta": delta}]}
    facts = read_response(chunk)
    assert (facts.has_content, facts.has_reasoning, tokens_of(CHAT, chunk)) == (content, reasoning, None)


def test_each_choice_finishes_for_itself() -> None:
    """By its index; the first that is told stands for all."""
    choices = [{"index": 1, "finish_reason": "length"}, {"index": 0}, {"index": 2, "finish_reason": "stop"}]
    facts = read_response({"choices": choices})
    assert (facts.finish_reason, facts.finish_reasons) == ("length", {1: "length", 2: "stop"})


def test_legacy_completions_have_their_text_in_the_choice() -> None:
    """And finish like the others."""
    answer = read_response({"choices": [{"text": "a", "finish_reason": None}, {"text": "", "finish_reason": "length"}]})
    assert (answer.has_content, answer.finish_reason) == (True, "length")
    chunk = {"choices": [{"text": "a", "finish_reason": None}, {"text": ""}]}
    assert tokens_of(CHAT, chunk) == tokens_in(read_response(chunk))


def test_groq_has_its_usage_elsewhere() -> None:
    """In x_groq, where `usage` itself is absent or null; the usual place wins where both are there."""
    groq = {"x_groq": {"usage": {"prompt_tokens": 18}}}
    assert read_response(groq).usage == {"prompt_tokens": 18}
    assert read_response(groq | {"usage": None}).usage == {"prompt_tokens": 18}
    assert read_response(groq | {"usage": {"prompt_tokens": 1}}).usage == {"prompt_tokens": 1}
    assert read_response({"x_groq": "x", "usage": "y"}).usage is None


def test_moonshot_has_its_usage_in_a_choice() -> None:
    """The last of a stream; again the usual place wins."""
    choices = [{"delta": {}}, {"delta": {}, "finish_reason": "stop", "usage": {"prompt_tokens": 19}}]
    assert read_response({"choices": choices}).usage == {"prompt_tokens": 19}
    assert read_response({"choices": choices, "usage": {"prompt_tokens": 1}}).usage == {"prompt_tokens": 1}
    assert read_response({"choices": [{"usage": [9]}], "usage": None}).usage is None


def test_a_usage_inside_content_never_counts() -> None:
    """Tool calls may hold anything."""
    nested = {"message": {"tool_calls": [{"function": {"usage": {"prompt_tokens": 99}}}], "usage": {"total_tokens": 9}}}
    assert read_response({"choices": [nested]}).usage is None


def test_a_conversation_names_the_model_with_its_outputs() -> None:
    """So does Mistral, whose question may name an agent instead."""
    answer = {
        "object": "conversation.response",
        "conversation_id": "conv",
        "outputs": [{"model": "m", "content": "a"}],
        "usage": {"total_tokens": 9},
    }
    assert read_response(answer) == ResponseFacts(model="m", usage={"total_tokens": 9}, conversation_id="conv")


def test_an_error_in_a_stream_is_an_error() -> None:
    """Servers send it as a data event with status 200."""
    assert read_response({"error": {"type": "server_error", "message": "x"}}).error_type == "server_error"


def test_all_counts_and_their_details() -> None:
    """Subsets stay subsets."""
    usage = count(
        Counts(
            {
                "prompt_tokens": 100,
                "completion_tokens": 50,
                "total_tokens": 150,
                "prompt_tokens_details": {"cached_tokens": 64, "cache_write_tokens": 8, "audio_tokens": 3},
                "completion_tokens_details": {"reasoning_tokens": 20, "audio_tokens": 5},
            }
        )
    )
    assert usage == TokenUsage(100, 50, 150, 64, 8, 20, 3, 5)


def test_reasoning_beside_the_completion_belongs_to_it() -> None:
    """Where total = prompt + completion + reasoning, the completion was told without its reasoning."""
    fields = {"prompt_tokens": 10, "completion_tokens": 5, "completion_tokens_details": {"reasoning_tokens": 7}}
    assert count(Counts(fields | {"total_tokens": 22})).completion_tokens == 12
    assert count(Counts(fields | {"total_tokens": 15})).completion_tokens == 5
    assert count(Counts(fields)).completion_tokens == 5


def test_reasoning_without_a_completion_is_kept_beside_nothing() -> None:
    """There is nothing it could belong to."""
    fields = {"prompt_tokens": 1, "total_tokens": 9, "completion_tokens_details": {"reasoning_tokens": 2}}
    assert count(Counts(fields)) == TokenUsage(1, None, 9, reasoning_tokens=2)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        # DeepSeek
        ({"prompt_cache_hit_tokens": 8, "prompt_cache_miss_tokens": 2}, TokenUsage(cached_tokens=8)),
        ({"prompt_cache_hit_tokens": 8, "prompt_tokens_details": {"cached_tokens": 0}}, TokenUsage(cached_tokens=0)),
        # Writer
        (
            {"prompt_token_details": {"cached_tokens": 4}, "completion_token_details": {"reasoning_tokens": 3}},
            TokenUsage(cached_tokens=4, reasoning_tokens=3),
        ),
        # Together AI and Moonshot; Perplexity
        ({"cached_tokens": 16}, TokenUsage(cached_tokens=16)),
        ({"reasoning_tokens": 5, "completion_tokens": 9}, TokenUsage(None, 9, reasoning_tokens=5)),
        # Mistral
        ({"num_cached_tokens": 8}, TokenUsage(cached_tokens=8)),
        ({"num_cached_tokens": 9, "prompt_tokens_details": {"cached_tokens": 8}}, TokenUsage(cached_tokens=8)),
        # Alibaba
        ({"prompt_tokens_details": {"cache_creation_input_tokens": 3}}, TokenUsage(cache_creation_tokens=3)),
        # LiteLLM
        ({"prompt_tokens_details": {"cache_creation_tokens": 7}}, TokenUsage(cache_creation_tokens=7)),
        (
            {"cache_creation_input_tokens": 6, "cache_read_input_tokens": 2},
            TokenUsage(cached_tokens=2, cache_creation_tokens=6),
        ),
        (
            {"prompt_tokens_details": {"cache_write_tokens": 1, "cache_creation_tokens": 7}},
            TokenUsage(cache_creation_tokens=1),
        ),
    ],
)
def test_vendors_have_their_own_words(fields: dict[str, object], expected: TokenUsage) -> None:
    """Used where OpenAI's details do not say."""
    assert count(Counts(fields)) == expected


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"prompt_tokens": 8, "total_tokens": 8}, TokenUsage(8, 0, 8)),
        ({"total_tokens": 3}, TokenUsage(3, 0, 3)),
        ({"prompt_tokens": 0, "total_tokens": 0}, TokenUsage(0, 0, 0)),
        ({}, TokenUsage()),
    ],
)
def test_embeddings_are_all_prompt(fields: dict[str, int], expected: TokenUsage) -> None:
    """Nothing is completed, and that is a true 0, unless there is no usage at all."""
    assert count_embeddings(Counts(fields)) == expected
