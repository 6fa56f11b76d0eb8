from __future__ import annotations

import pytest

from extproc.providers.base import ResponseFacts
from extproc.providers.counts import Counts
from extproc.providers.gemini_generate import (
    count_embeddings,
    count_generate,
    count_interaction,
    read_generate_response,
    read_interaction,
)
from extproc.usage import TokenUsage


def test_an_answer_says_model_usage_and_finish_reason() -> None:
    """Each event of a stream does, as the whole answer."""
    usage = {"promptTokenCount": 1}
    candidate = {"content": {"parts": [{"text": "a"}]}, "finishReason": "STOP"}
    document = {"candidates": [candidate], "usageMetadata": usage, "modelVersion": "m", "responseId": "r"}
    assert read_generate_response(document) == ResponseFacts(
        model="m", usage=usage, finish_reason="STOP", has_content=True, finish_reasons={0: "STOP"}, response_id="r"
    )


@pytest.mark.parametrize(
    ("parts", "content", "reasoning"),
    [
        ([{"text": ""}], False, False),
        ([{"text": "", "thoughtSignature": "x"}], False, False),
        ([{"text": "", "thought": True}], False, False),
        ([{"text": "a", "thought": False}], True, False),
        ([{"functionCall": {}}], True, False),
        ([{"inlineData": {}}], True, False),
        ([{"text": "hm", "thought": True}], False, True),
        ([{"text": "hm", "thought": True}, {"text": "a"}], True, True),
    ],
)
def test_parts_are_content(parts: list[object], content: bool, reasoning: bool) -> None:
    """If they hold any; those that are marked are thoughts."""
    facts = read_generate_response({"candidates": [{"content": {"parts": parts}}]})
    assert (facts.has_content, facts.has_reasoning) == (content, reasoning)


def test_each_candidate_finishes_for_itself() -> None:
    """By its index, or by its place where it has none; the first stands for all."""
    candidates = [{"finishReason": "MAX_TOKENS", "index": 1}, {"finishReason": "STOP", "index": 0}, {"index": 2}]
    facts = read_generate_response({"candidates": candidates})
    assert (facts.finish_reason, facts.finish_reasons) == ("MAX_TOKENS", {1: "MAX_TOKENS", 0: "STOP"})


@pytest.mark.parametrize(
    ("delta", "content", "reasoning"),
    [
        ({"type": "text", "text": "a"}, True, False),
        ({"type": "thought_summary", "content": {"text": "hm"}}, False, True),
        ({"type": "thought_signature", "signature": "x"}, False, False),
        (None, False, False),
    ],
)
def test_the_deltas_of_an_interaction_are_content_or_thoughts(
    delta: dict[str, str] | None, content: bool, reasoning: bool
) -> None:
    """A mark that there was a thought is neither."""
    facts = read_interaction({"event_type": "content.delta", "delta": delta})
    assert (facts.has_content, facts.has_reasoning) == (content, reasoning)


def test_the_end_of_an_interaction_says_all_of_it_once_more() -> None:
    """With its name."""
    interaction = {"id": "i", "status": "completed", "steps": [{}]}
    facts = read_interaction({"event_type": "interaction.completed", "interaction": interaction})
    assert (facts.response_id, facts.restates_content, facts.has_content) == ("i", True, True)
    assert not read_interaction(interaction).restates_content


def test_an_error_is_known_by_its_status() -> None:
    """Which is a word, where its code is a number."""
    error = {"error": {"code": 429, "message": "x", "status": "RESOURCE_EXHAUSTED"}}
    assert read_generate_response(error).error_type == "RESOURCE_EXHAUSTED"


def test_thoughts_belong_to_the_completion_and_tool_use_to_the_prompt() -> None:
    """The API counts both beside them."""
    fields = {
        "promptTokenCount": 10,
        "toolUsePromptTokenCount": 5,
        "candidatesTokenCount": 3,
        "thoughtsTokenCount": 20,
        "totalTokenCount": 38,
        "cachedContentTokenCount": 8,
    }
    assert count_generate(Counts(fields)) == TokenUsage(
        15, 23, 38, cached_tokens=8, reasoning_tokens=20, tool_use_prompt_tokens=5
    )


@pytest.mark.parametrize(
    ("fields", "prompt", "completion", "total"),
    [
        ({"promptTokenCount": 11, "totalTokenCount": 11}, 11, None, 11),
        ({"promptTokenCount": 5, "thoughtsTokenCount": 7, "totalTokenCount": 12}, 5, 7, 12),
        ({"candidatesTokenCount": 7}, None, 7, None),
        ({}, None, None, None),
    ],
)
def test_what_is_not_there_is_absent(
    fields: dict[str, int], prompt: int | None, completion: int | None, total: int | None
) -> None:
    """The first events of a stream have no candidates to count; that is not 0."""
    usage = count_generate(Counts(fields))
    assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == (prompt, completion, total)


def test_embeddings_are_all_prompt() -> None:
    """Where they are counted at all."""
    assert count_embeddings(Counts({"promptTokenCount": 4})) == TokenUsage(4, 0)
    assert count_embeddings(Counts({})) == TokenUsage()


def test_an_interaction_has_its_own_words() -> None:
    """Whole, and wrapped in the last event of a stream."""
    usage = {
        "total_input_tokens": 9,
        "total_output_tokens": 13,
        "total_thought_tokens": 211,
        "total_tool_use_tokens": 0,
        "total_cached_tokens": 0,
        "total_tokens": 233,
    }
    whole = {"model": "m", "status": "completed", "usage": usage, "steps": [{}]}
    assert read_interaction(whole) == ResponseFacts(model="m", usage=usage, finish_reason="completed", has_content=True)
    for name in ("interaction.completed", "interaction.complete"):
        event = read_interaction({"event_type": name, "interaction": whole})
        assert (event.usage, event.is_last) == (usage, True)
    assert read_interaction({"event_type": "content.delta", "delta": {"text": "a"}}) == ResponseFacts(has_content=True)
    assert count_interaction(Counts(usage)) == TokenUsage(
        9, 224, 233, cached_tokens=0, reasoning_tokens=211, tool_use_prompt_tokens=0
    )


@pytest.mark.parametrize(
    ("details", "prompt", "completion"),
    [
        (
            {"promptTokensDetails": [{"modality": "TEXT", "tokenCount": 5}, {"modality": "AUDIO", "tokenCount": 32}]},
            32,
            None,
        ),
        ({"candidatesTokensDetails": [{"modality": "AUDIO", "tokenCount": 33}]}, None, 33),
        ({"promptTokensDetails": [{"modality": "TEXT", "tokenCount": 5}]}, None, None),
        ({"promptTokensDetails": [{}, 7], "candidatesTokensDetails": "AUDIO"}, None, None),
    ],
)
def test_audio_is_a_part_of_either_side(details: dict[str, object], prompt: int | None, completion: int | None) -> None:
    """Counted in lists, by modality."""
    reported = read_generate_response({"usageMetadata": {"promptTokenCount": 37, **details}}).usage
    assert reported is not None
    usage = count_generate(Counts(reported))
    assert (usage.prompt_tokens, usage.audio_prompt_tokens, usage.audio_completion_tokens) == (37, prompt, completion)


def test_audio_of_an_interaction() -> None:
    """Its API writes the modality in lower case."""
    usage = {"total_output_tokens": 40, "output_tokens_by_modality": [{"modality": "audio", "tokens": 40}]}
    reported = read_interaction({"usage": usage}).usage
    assert reported is not None
    assert count_interaction(Counts(reported)) == TokenUsage(None, 40, audio_completion_tokens=40)
