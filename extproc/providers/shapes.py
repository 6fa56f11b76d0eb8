"""Which flavour a document is of, by its shape: for paths that say nothing, or say that anything may come.

Owns: what each flavour can be known by. A shape is a few names that stand together, at the top of a whole answer or of
the first event of a stream. Must not know paths or authorities.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

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
from extproc.providers.base import Flavour, first_object_at, object_at
from extproc.providers.counts import JSONObject

_Shape: TypeAlias = Callable[[JSONObject], bool]


def _has(*names: str) -> _Shape:
    """Return the shape that has all of the names."""
    return lambda document: all(name in document for name in names)


def _has_objects(name: str) -> _Shape:
    """Return the shape that has an array of objects, or an empty one, under a name."""
    return lambda document: (
        isinstance(document.get(name), list) and all(isinstance(item, dict) for item in document[name][:1])
    )


def _has_any(*names: str) -> _Shape:
    """Return the shape that has an object under one of the names."""
    return lambda document: any(isinstance(document.get(name), dict) for name in names)


def _says(key: str, *words: str) -> _Shape:
    """Return the shape that has one of the words under a key."""
    return lambda document: document.get(key) in words


# Anthropic's first event, and those that tell the API where the first was lost.
_MESSAGE_EVENTS = ("message_start", "content_block_start", "content_block_delta", "message_delta")

_has_candidates = _has_objects("candidates")
_is_message_event = _says("type", *_MESSAGE_EVENTS)


def _is_candidates(document: JSONObject) -> bool:
    return "usageMetadata" in document or _has_candidates(document)


def _is_message(document: JSONObject) -> bool:
    is_whole = document.get("type") == "message" and "content" in document
    return is_whole or _is_message_event(document)


def _is_response(document: JSONObject) -> bool:
    event = document.get("type")
    is_event = isinstance(event, str) and event.startswith("response.")
    return is_event or document.get("object") == "response"


def _is_conversation(document: JSONObject) -> bool:
    event = document.get("type")
    is_event = isinstance(event, str) and event.startswith("conversation.response.")
    return is_event or document.get("object") == "conversation.response"


def _is_ranking(document: JSONObject) -> bool:
    return "relevance_score" in first_object_at(document, "data") or "relevance_score" in first_object_at(
        document, "results"
    )


def _is_embeddings(document: JSONObject) -> bool:
    return document.get("object") == "list" and "embedding" in first_object_at(document, "data")


def _is_legacy_cohere(document: JSONObject) -> bool:
    is_event = "event_type" in document and "is_finished" in document
    return is_event or ("generation_id" in document and "text" in document)


def _is_cohere(document: JSONObject) -> bool:
    usage = object_at(document, "usage")
    return ("message" in document and "tokens" in usage) or document.get("type") == "message-start"


def _is_ollama(document: JSONObject) -> bool:
    return isinstance(document.get("done"), bool) and "model" in document


def _is_watsonx(document: JSONObject) -> bool:
    return "model_id" in document and "generated_text" in first_object_at(document, "results")


def _is_prediction(document: JSONObject) -> bool:
    return "statistics" in object_at(first_object_at(document, "predictions"), "embeddings")


# The first that fits wins.
SHAPES: tuple[tuple[_Shape, Flavour], ...] = (
    (_is_candidates, gemini_generate.GENERATE),
    (_is_message, anthropic_messages.MESSAGES),
    (_is_response, openai_responses.RESPONSES),
    (_says("object", "text_completion"), openai_chat.COMPLETIONS),
    (_has_objects("choices"), openai_chat.CHAT),
    (_is_conversation, openai_chat.CHAT),
    (_is_ranking, uncounted.UNCOUNTED),
    (_is_embeddings, openai_chat.EMBEDDINGS),
    (lambda document: "output" in document and "stopReason" in document, bedrock_converse.CONVERSE),
    (_has_any("messageStart", "contentBlockDelta"), bedrock_converse.CONVERSE),
    (_has("generation", "generation_token_count"), bedrock_llama.LLAMA),
    (_has("inputTextTokenCount", "embedding"), bedrock_titan.EMBEDDINGS),
    (lambda document: "embeddingType" in first_object_at(document, "embeddings"), bedrock_titan.EMBEDDINGS),
    (_has("inputTextTokenCount"), bedrock_titan.TEXT),
    (_says("type", "completion"), anthropic_complete.COMPLETE),
    (_is_cohere, cohere.CHAT),
    (_is_legacy_cohere, cohere.LEGACY_CHAT),
    (_says("response_type", "embeddings_floats", "embeddings_by_type"), cohere.EMBED),
    (lambda document: _is_ollama(document) and "message" in document, ollama.CHAT),
    (lambda document: _is_ollama(document) and "response" in document, ollama.GENERATE),
    (_is_watsonx, watsonx.GENERATION),
    (_is_prediction, vertex_predict.EMBEDDINGS),
    (_has("content", "tokens_predicted"), llama_cpp.COMPLETION),
    (lambda document: "generated_text" in document or _has("token", "index")(document), tgi.GENERATE),
)


def detect_response(document: JSONObject) -> Flavour | None:
    """Return the flavour of an answer by its shape."""
    return next((flavour for has_shape, flavour in SHAPES if has_shape(document)), None)
