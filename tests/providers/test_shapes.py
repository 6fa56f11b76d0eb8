from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extproc.providers import (
    anthropic_complete,
    anthropic_messages,
    bedrock_converse,
    bedrock_llama,
    bedrock_titan,
    cohere,
    gemini_generate,
    llama_cpp,
    ollama,
    openai_chat,
    openai_responses,
    tgi,
    uncounted,
    vertex_predict,
    watsonx,
)
from extproc.providers.base import Flavour
from extproc.providers.shapes import SHAPES, detect_response

DOCUMENTS: list[tuple[dict[str, object], Flavour | None]] = [
    ({"candidates": []}, gemini_generate.GENERATE),
    ({"usageMetadata": {}}, gemini_generate.GENERATE),
    ({"type": "message", "content": []}, anthropic_messages.MESSAGES),
    ({"type": "message_start", "message": {}}, anthropic_messages.MESSAGES),
    ({"type": "content_block_delta", "index": 0, "delta": {}}, anthropic_messages.MESSAGES),
    ({"type": "message_delta", "delta": {}, "usage": {}}, anthropic_messages.MESSAGES),
    ({"object": "response"}, openai_responses.RESPONSES),
    ({"type": "response.created", "response": {}}, openai_responses.RESPONSES),
    ({"object": "text_completion", "choices": []}, openai_chat.COMPLETIONS),
    ({"choices": [], "usage": None}, openai_chat.CHAT),
    ({"object": "conversation.response", "outputs": []}, openai_chat.CHAT),
    ({"type": "conversation.response.started", "conversation_id": "c"}, openai_chat.CHAT),
    ({"object": "list", "data": [{"embedding": []}], "usage": {}}, openai_chat.EMBEDDINGS),
    ({"object": "list", "data": [{"relevance_score": 0.5}], "usage": {"total_tokens": 9}}, uncounted.UNCOUNTED),
    ({"results": [{"relevance_score": 0.5}]}, uncounted.UNCOUNTED),
    ({"output": {}, "stopReason": "end_turn"}, bedrock_converse.CONVERSE),
    ({"messageStart": {"role": "assistant"}}, bedrock_converse.CONVERSE),
    ({"generation": "hi", "generation_token_count": 1}, bedrock_llama.LLAMA),
    ({"inputTextTokenCount": 3, "results": []}, bedrock_titan.TEXT),
    ({"inputTextTokenCount": 3, "embedding": []}, bedrock_titan.EMBEDDINGS),
    ({"embeddings": [{"embeddingType": "TEXT", "embedding": []}]}, bedrock_titan.EMBEDDINGS),
    ({"type": "completion", "completion": " hi"}, anthropic_complete.COMPLETE),
    ({"message": {}, "usage": {"tokens": {}}}, cohere.CHAT),
    ({"type": "message-start", "delta": {}}, cohere.CHAT),
    ({"event_type": "stream-start", "is_finished": False}, cohere.LEGACY_CHAT),
    ({"generation_id": "g", "text": "hi"}, cohere.LEGACY_CHAT),
    ({"response_type": "embeddings_by_type", "meta": {}}, cohere.EMBED),
    ({"model": "m", "done": False, "message": {}}, ollama.CHAT),
    ({"model": "m", "done": True, "response": ""}, ollama.GENERATE),
    ({"model_id": "m", "results": [{"generated_text": "hi"}]}, watsonx.GENERATION),
    ({"predictions": [{"embeddings": {"statistics": {}}}]}, vertex_predict.EMBEDDINGS),
    ({"content": "hi", "tokens_predicted": 1}, llama_cpp.COMPLETION),
    ({"generated_text": "hi"}, tgi.GENERATE),
    ({"token": {}, "index": 1}, tgi.GENERATE),
    ({"type": "message", "text": "hello"}, None),
    ({"choices": ["a", "b"]}, None),
    ({"candidates": ["a", "b"]}, None),
    ({"object": "list", "data": []}, None),
    ({"object": "list", "data": [], "usage": {"total_tokens": 1}}, None),
    ({"usage": {"prompt_tokens": 1}}, None),
    ({"status": "done", "message": "hello", "model": "T"}, None),
    ({"type": ["message"]}, None),
    ({"type": {}, "object": [], "done": {}, "results": 7, "predictions": [1], "usage": []}, None),
    ({}, None),
]


@pytest.mark.parametrize(("document", "flavour"), DOCUMENTS)
def test_an_answer_is_known_by_its_shape(document: dict[str, object], flavour: Flavour | None) -> None:
    """Where the path says nothing, and whatever strange things stand in the places that are looked at."""
    assert detect_response(document) is flavour


def test_every_shape_is_tried() -> None:
    """By a document of the list above."""
    assert {flavour.name for _, flavour in SHAPES} == {flavour.name for _, flavour in DOCUMENTS if flavour}


@given(
    st.dictionaries(
        st.sampled_from(sorted({key for document, _ in DOCUMENTS for key in document})),
        st.none() | st.integers() | st.text(max_size=3)
        | st.lists(st.integers() | st.dictionaries(st.just("a"), st.none()))
        | st.dictionaries(st.sampled_from(["tokens", "embeddings"]), st.none() | st.lists(st.none())),
    )
)  # fmt: skip
def test_no_document_is_too_strange(document: dict[str, object]) -> None:
    """It has a shape, or none."""
    assert detect_response(document) is None or detect_response(document) in [flavour for _, flavour in SHAPES]
