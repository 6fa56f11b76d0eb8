from __future__ import annotations

from typing import Any

import pytest
from support.exchanges import DETECTOR

from extproc.native import NativeRequest
from extproc.providers import anthropic_messages, openai_chat, openai_responses
from extproc.providers.base import Flavour
from extproc.providers.detect import Detector, Rule
from extproc.question import Question
from extproc.usage import RequestParameters

CHAT = {":authority": "api.openai.com", ":path": "/v1/chat/completions"}
UNKNOWN = {":authority": "gateway.example", ":path": "/x"}
ASKED = {"model": "m", "messages": True, "max_tokens": 9, "stop_sequences": ["a"]}


def asked(document: dict[str, Any], headers: dict[str, str], provider: str | None = None) -> Question:
    question = Question(provider)
    assert question.read_headers(headers, DETECTOR)
    question.read(document)
    return question


def test_a_path_of_an_llms_makes_a_question() -> None:
    """Whatever its document says."""
    question = asked({}, CHAT)
    assert (question.is_llm, question.provider, question.expected) == (True, "openai", openai_chat.CHAT)
    assert (question.model, question.is_streaming) == (None, False)


def test_on_any_other_path_the_document_does() -> None:
    """It names a model and gives it something; of what flavour it is, the answer tells."""
    question = asked(ASKED | {"stream": True}, UNKNOWN)
    assert (question.is_llm, question.expected) == (True, None)
    assert (question.model, question.is_streaming) == ("m", True)
    assert not asked({"model": "golf"}, UNKNOWN).is_llm


def test_a_path_that_others_have_too_needs_such_a_document() -> None:
    """Or a word of the configuration."""
    headers = {":authority": "shop.example", ":path": "/embeddings"}
    question = asked({}, headers)
    assert (question.is_llm, question.expected) == (False, None)
    question.read({"model": "m", "input": True})
    assert (question.is_llm, question.expected) == (True, openai_chat.EMBEDDINGS)
    assert asked({}, headers, "vllm").expected is openai_chat.EMBEDDINGS


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_only_posts_ask(method: str) -> None:
    """An answer that is fetched again is no new one."""
    question = Question(None)
    assert not question.read_headers(CHAT | {":method": method}, DETECTOR)
    assert not question.is_llm


def test_what_a_rule_excludes_is_no_question() -> None:
    """Whatever its path is."""
    question = Question(None)
    assert not question.read_headers(CHAT, Detector([Rule(is_llm=False)]))
    assert not question.is_llm


def test_the_configurations_word_for_the_provider_stands() -> None:
    """Above the authority."""
    question = asked({}, CHAT, "mine")
    assert (question.provider, question.said_provider) == ("mine", "mine")
    assert asked({}, CHAT).said_provider is None


def test_what_was_read_here_stands_above_what_envoy_has_read() -> None:
    """There is news only where nothing was."""
    question = Question(None)
    assert question.read_native(NativeRequest("a\nb", streaming=True))
    assert (question.model, question.is_streaming) == ("a\N{REPLACEMENT CHARACTER}b", True)
    assert not asked(ASKED, CHAT).read_native(NativeRequest("another"))


@pytest.mark.parametrize(
    ("headers", "answered", "expected"),
    [
        (CHAT, anthropic_messages.MESSAGES, RequestParameters(9)),
        (UNKNOWN, anthropic_messages.MESSAGES, RequestParameters(9, stop_sequences=("a",))),
        (UNKNOWN, None, RequestParameters(9)),
    ],
)
def test_parameters_are_read_as_the_request_is_or_its_answer(
    headers: dict[str, str], answered: Flavour | None, expected: RequestParameters
) -> None:
    """And else in the words that most servers have."""
    assert asked(ASKED, headers).parameters(answered) == expected


@pytest.mark.parametrize(
    ("path", "answered", "expected"),
    [
        ("/v1/responses", None, "conv\N{REPLACEMENT CHARACTER}"),
        ("/v1/chat/completions", None, None),
        ("/v1/messages", None, None),
        ("/x", openai_responses.RESPONSES, "conv\N{REPLACEMENT CHARACTER}"),
        ("/x", None, None),
    ],
)
def test_a_conversation_is_named_in_the_words_of_its_api(
    path: str, answered: Flavour | None, expected: str | None
) -> None:
    """And made safe to print."""
    document = {"model": "m", "input": True, "conversation": "conv\x00"}
    assert asked(document, {":authority": "gateway.example", ":path": path}).conversation_id(answered) == expected
