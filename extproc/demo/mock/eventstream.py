"""Amazon's event stream encoding, as https://docs.aws.amazon.com/transcribe/latest/dg/event-stream.html describes it.

Owns: one message as bytes. Knows nothing of what the messages say.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping

CONTENT_TYPE = "application/vnd.amazon.eventstream"

# Header values are of many types; in events all are strings.
_STRING = 7

# The two lengths in front of a message and their checksum, and the checksum behind it.
_FRAME_BYTES = 4 + 4 + 4 + 4


def encode_message(headers: Mapping[str, str], payload: bytes) -> bytes:
    """Return one message: lengths, their CRC, headers, payload, and the CRC of all that."""
    return encode_block(b"".join(encode_header(name, value) for name, value in headers.items()), payload)


def encode_block(block: bytes, payload: bytes) -> bytes:
    """Return one message whose headers are encoded already."""
    lengths = struct.pack(">II", _FRAME_BYTES + len(block) + len(payload), len(block))
    message = lengths + _checksum(lengths) + block + payload
    return message + _checksum(message)


def encode_event(event_type: str, payload: bytes) -> bytes:
    """Return an event whose payload is JSON."""
    headers = {":event-type": event_type, ":content-type": "application/json", ":message-type": "event"}
    return encode_message(headers, payload)


def encode_header(name: str, value: str) -> bytes:
    """Return one header, whose value is a string."""
    key, text = name.encode(), value.encode()
    return struct.pack(">B", len(key)) + key + struct.pack(">BH", _STRING, len(text)) + text


def _checksum(data: bytes) -> bytes:
    return struct.pack(">I", zlib.crc32(data))
