"""AWS event-stream frames: `application/vnd.amazon.eventstream`.

https://smithy.io/2.0/aws/amazon-eventstream.html
https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_InvokeModelWithResponseStream.html

    total length (4) | headers length (4) | CRC of these 8 bytes (4) | headers | payload | CRC of all before it (4)

Owns: frames, their headers and both checksums. A frame whose content does not fit its checksum is lost alone; behind
lengths that do not fit theirs there is no telling where the next frame starts. Must not know what an event says.
"""

from __future__ import annotations

import binascii
import zlib
from collections.abc import Iterator, Mapping
from struct import Struct, error

import msgspec

from extproc.codec.document import REFUSALS
from extproc.codec.payload import NOTHING, Payload
from extproc.errors import DecodeError, Reason

_PRELUDE = Struct(">III")
_CRC = Struct(">I")
_SHORT = Struct(">H")
_OVERHEAD_BYTES = _PRELUDE.size + _CRC.size

# Type of a header's value -> its length; types 6 (bytes) and 7 (string) say theirs in two bytes.
_VALUE_BYTES = {0: 0, 1: 0, 2: 1, 3: 2, 4: 4, 5: 8, 8: 8, 9: 16}
_COUNTED_TYPES = (6, 7)

# Bedrock's InvokeModelWithResponseStream wraps what the model said in these events, as base64.
_WRAPPED_EVENT = "chunk"


class _Wrapper(msgspec.Struct, gc=False):
    """Whatever else there is in it never becomes a value: nobody has looked at its shape."""

    bytes: str = ""


_decode_wrapper = msgspec.json.Decoder(_Wrapper).decode


class EventStreamDecoder:
    """Bytes of frames in, payloads out.

    `max_frame_bytes` bounds what is held back of one frame. Of a larger one nothing is kept but that it was lost.
    """

    is_sequence = True

    def __init__(self, max_frame_bytes: int) -> None:
        self._max_frame_bytes = max_frame_bytes
        self._held = bytearray()
        self._bytes_to_skip = 0

    def feed(self, chunk: bytes) -> Iterator[Payload]:
        """Yield the events that `chunk` completes; raise DecodeError(CORRUPT_FRAME) for lengths that can't be."""
        skipped = min(self._bytes_to_skip, len(chunk))
        self._bytes_to_skip -= skipped
        self._held += memoryview(chunk)[skipped:]
        start = 0
        try:
            while len(self._held) - start >= _PRELUDE.size:
                end = start + self._frame_bytes(start)
                if end - start > self._max_frame_bytes:
                    self._bytes_to_skip = max(0, end - len(self._held))
                    yield Payload(b"", lost=Reason.TOO_LARGE)
                elif end > len(self._held):
                    break
                else:
                    yield from _read_frame(bytes(self._held[start:end]))
                start = min(end, len(self._held))
        finally:
            del self._held[:start]

    def finish(self) -> Iterator[Payload]:
        """Raise DecodeError(TRUNCATED) if the body stopped inside a frame."""
        if self._held or self._bytes_to_skip:
            raise DecodeError(Reason.TRUNCATED)
        return iter(())

    def _frame_bytes(self, start: int) -> int:
        total, headers, checksum = _PRELUDE.unpack_from(self._held, start)
        lengths = bytes(self._held[start : start + _PRELUDE.size - _CRC.size])
        if zlib.crc32(lengths) != checksum or total < headers + _OVERHEAD_BYTES:
            raise DecodeError(Reason.CORRUPT_FRAME)
        return int(total)


def _read_frame(frame: bytes) -> Iterator[Payload]:
    """Yield what a whole frame says."""
    headers_end = _PRELUDE.size + _PRELUDE.unpack_from(frame)[1]
    content_end = len(frame) - _CRC.size
    try:
        headers = _read_headers(frame[_PRELUDE.size : headers_end])
    except (error, KeyError, IndexError, UnicodeDecodeError):
        headers = None
    if headers is None or zlib.crc32(frame[:content_end]) != _CRC.unpack_from(frame, content_end)[0]:
        yield Payload(b"", lost=Reason.CORRUPT_FRAME)
        return
    data = frame[headers_end:content_end]
    word = headers.get(":exception-type") or headers.get(":error-code")
    if headers.get(":message-type") in ("exception", "error"):
        yield Payload(data, error=word or "error")
    elif headers.get(":event-type") == _WRAPPED_EVENT:
        yield _unwrap(data)
    else:
        yield Payload(data, event=headers.get(":event-type", "")) if data else NOTHING


def _read_headers(data: bytes) -> Mapping[str, str]:
    """Return the headers whose values are strings; raise where there are none, or not where they should be."""
    headers: dict[str, str] = {}
    position = 0
    while position < len(data):
        name_end = position + 1 + data[position]
        kind = data[name_end]
        value = name_end + 1
        if kind in _COUNTED_TYPES:
            length = _SHORT.unpack_from(data, value)[0]
            value += _SHORT.size
        else:
            length = _VALUE_BYTES[kind]
        if value + length > len(data):
            raise IndexError
        if kind == _COUNTED_TYPES[1]:
            headers[data[position + 1 : name_end].decode()] = data[value : value + length].decode()
        position = value + length
    return headers


def _unwrap(data: bytes) -> Payload:
    """Return what the model said in a `chunk` event: `{"bytes": "<base64>"}`, with padding beside it."""
    try:
        inner = binascii.a2b_base64(_decode_wrapper(data).bytes)
    except REFUSALS:
        inner = b""
    return Payload(inner) if inner else Payload(b"", lost=Reason.NOT_JSON)
