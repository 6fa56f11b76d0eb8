"""The texts of requests and answers, for whoever counts what no provider has counted.

Owns: where a request puts what a model is given to read, whatever its API, and how values become texts. Media, names of
files and what is encrypted are no text. Must not know tokens, bytes, chunks or time.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

import orjson

from extproc.providers.counts import JSONObject

# A piece of text and the run of text it belongs to: of one choice, of a thought, of a call. What is no text is passed
# by whoever takes them.
Run: TypeAlias = str | int
Said: TypeAlias = Iterable[tuple[Run, Any]]

# What is in the names of runs that are calls of tools.
CALL: Final = "call"

# Members of requests that a model reads, in all the APIs.
_PROMPTS: Final = (
    "system", "systemInstruction", "system_instruction", "instructions", "preamble", "chat_history", "messages",
    "message", "contents", "content", "input", "inputs", "prompt", "texts", "text", "inputText", "suffix", "query",
    "documents", "instances", "requests",
)  # fmt: skip

# Members that describe what a model may call or has to answer. They are read as they stand.
_TOOLS: Final = ("tools", "functions", "toolConfig")
_SCHEMAS: Final = (*_TOOLS, "response_format", "generationConfig", "text")

# The parts of `generationConfig` and the like that are schemas and not settings.
_SCHEMA_KEYS: Final = frozenset({"schema", "json_schema", "responseSchema", "responseJsonSchema"})

# Members inside of what is read that are no text: media, references, and words of the API.
_NO_TEXT: Final = frozenset(
    {
        "audio", "b64_json", "bytes", "cachePoint", "cache_control", "call_id", "citations", "container", "data",
        "detail", "encrypted_content", "file", "fileData", "file_data", "file_id", "file_url", "filename", "format",
        "id", "image", "image_url", "images", "index", "inlineData", "inline_data", "input_audio", "media_type",
        "metadata", "mimeType", "mime_type", "model", "redactedContent", "redacted_thinking", "role", "s3Location",
        "signature", "status", "taskType", "task_type", "thoughtSignature", "thought_signature", "toolUseId",
        "tool_call_id", "tool_use_id", "type", "uri", "url", "video",
    }
)  # fmt: skip

# Members whose values are documents of the client's own: all of them is text.
_OBJECTS: Final = frozenset({"args", "arguments", "input", "json", "parameters", "response"})

# Deeper than any request; a walk must end.
_MAX_DEPTH = 24

# More values than any request of a megabyte has that is there to be read. To look at so many takes some 10 ms.
MAX_VALUES = 50_000


@dataclass(slots=True)
class Prompt:
    """What a model is given to read: texts, schemas of tools and answers, and how many messages hold them."""

    texts: list[str] = field(default_factory=list)
    schemas: list[str] = field(default_factory=list)
    has_tools: bool = False
    message_count: int = 0
    token_count: int = 0  # of what comes as tokens
    value_count: int = 0  # how many were looked at

    @property
    def is_whole(self) -> bool:
        """Whether all of the request was looked at."""
        return self.value_count <= MAX_VALUES


def read_prompt(document: JSONObject) -> Prompt:
    """Return what the request asks a model to read."""
    prompt = Prompt()
    for name in _PROMPTS:
        if name in document:
            _read(document[name], prompt, 0)
    if isinstance(document.get("input"), str) or isinstance(document.get("message"), str):
        prompt.message_count += 1  # of one message that is its text alone
    for name in _SCHEMAS:
        value = document.get(name)
        if value and isinstance(value, dict | list):
            prompt.has_tools = prompt.has_tools or name in _TOOLS
            prompt.schemas.extend(_schemas_of(value, is_config=name in ("generationConfig", "text")))
    return prompt


def _read(value: Any, prompt: Prompt, depth: int) -> None:
    prompt.value_count += 1
    if isinstance(value, str):
        if value and not value.startswith("data:"):
            prompt.texts.append(value)
        return
    if depth >= _MAX_DEPTH:
        return
    if isinstance(value, list):
        if value and type(value[0]) is int:
            prompt.token_count += len(value)
            return
        for each in value:
            if not prompt.is_whole:
                return
            _read(each, prompt, depth + 1)
    elif isinstance(value, dict):
        _read_object(value, prompt, depth)


def _read_object(value: JSONObject, prompt: Prompt, depth: int) -> None:
    prompt.message_count += "role" in value or "parts" in value
    for key, inner in value.items():
        if key in _OBJECTS and isinstance(inner, dict):
            prompt.texts.append(json_text(inner))
        elif key not in _NO_TEXT:
            _read(inner, prompt, depth + 1)


def _schemas_of(value: JSONObject | list[Any], *, is_config: bool) -> Iterator[str]:
    if not is_config:
        yield json_text(value)
    elif isinstance(value, Mapping):
        yield from (json_text(value[key]) for key in sorted(_SCHEMA_KEYS & value.keys()))


def json_text(value: Any) -> str:
    """Return a value as JSON, as short as it gets: a text as it is, nothing for what can't be written."""
    if isinstance(value, str):
        return value
    with suppress(TypeError):
        return orjson.dumps(value).decode()
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))  # takes half of a surrogate pair as well
    except (ValueError, RecursionError):
        return ""


def parts_said(run: Run, value: Any, *keys: str) -> Said:
    """Return what parts of an answer say under any of the keys: of a text, of one part, or of a list of them."""
    if isinstance(value, str):
        yield run, value
    elif isinstance(value, list):
        for each in value:
            yield from parts_said(run, each, *keys)
    elif isinstance(value, dict):
        for key in keys:
            if value.get(key):
                yield f"{run} {key}", json_text(value[key])


def no_text(document: JSONObject) -> Said:  # noqa: ARG001 - the shape all flavours share
    """Return nothing: what such a model makes is no text."""
    return ()
