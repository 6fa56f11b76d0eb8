"""What a mock provider answers, before it is HTTP."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from extproc.demo.mock.coding import encode_parts

JSONValue = Any


@dataclass(frozen=True, slots=True)
class Reported:
    """The usage a reply reports, by the contract of the gateway, worked out by the mock and not read from the reply."""

    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int | None = None
    cache_creation_tokens: int | None = None
    reasoning_tokens: int | None = None
    billed_input_tokens: int | None = None
    billed_output_tokens: int | None = None

    @property
    def total_tokens(self) -> int:
        """Both together."""
        return self.prompt_tokens + self.completion_tokens


@dataclass(frozen=True, slots=True)
class Reply:
    """A JSON document, or events that are sent one by one."""

    document: JSONValue = None
    events: tuple[bytes, ...] = ()
    status: int = 200
    content_type: str = "application/json"
    headers: tuple[tuple[str, str], ...] = field(default=())
    reported: Reported | None = None
    model: str | None = None
    codings: tuple[str, ...] = ()

    @property
    def parts(self) -> tuple[bytes, ...]:
        """The body as it is sent: event by event, or whole."""
        return tuple(encode_parts(self.codings, self.events or (encode(self.document),)))

    @property
    def body(self) -> bytes:
        """The whole body, as the bytes a client gets."""
        return b"".join(self.parts)


def encode(document: JSONValue) -> bytes:
    """Return a document as JSON."""
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()


def sse(document: JSONValue, event: str | None = None, *, line_end: str = "\n") -> bytes:
    """Return a document as one server-sent event."""
    name = f"event: {event}{line_end}".encode() if event else b""
    end = line_end.encode()
    return name + b"data: " + encode(document) + end + end


def ndjson(document: JSONValue) -> bytes:
    """Return a document as one line of newline-delimited JSON."""
    return encode(document) + b"\n"
