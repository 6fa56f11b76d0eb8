"""AWS event-stream frames, as a server writes them."""

from __future__ import annotations

import base64
import json
from typing import Any

from extproc.demo.mock.eventstream import encode_block, encode_header


def frame(payload: bytes, raw_headers: bytes = b"", **headers: str) -> bytes:
    """Return one frame with both checksums; `event_type="metadata"` stands for the header `:event-type`."""
    encoded = (encode_header(f":{name.replace('_', '-')}", value) for name, value in headers.items())
    return encode_block(raw_headers + b"".join(encoded), payload)


def event(name: str, document: Any) -> bytes:
    """Return an event of ConverseStream."""
    return frame(json.dumps(document).encode(), message_type="event", event_type=name, content_type="application/json")


def chunk(document: Any) -> bytes:
    """Return a chunk of InvokeModelWithResponseStream: what a vendor's model says, wrapped."""
    return event("chunk", {"bytes": base64.b64encode(json.dumps(document).encode()).decode(), "p": "abcd"})


def exception(name: str, message: str) -> bytes:
    """Return an exception."""
    return frame(json.dumps({"message": message}).encode(), message_type="exception", exception_type=name)


def corrupt(intact: bytes) -> bytes:
    """Return the frame with its last byte, of the checksum over all of it, turned around."""
    return intact[:-1] + bytes([intact[-1] ^ 0xFF])


def unwrap(wrapped: Any) -> Any:
    """Return what a chunk of InvokeModelWithResponseStream wraps."""
    return json.loads(base64.b64decode(wrapped["bytes"]))
