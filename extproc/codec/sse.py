"""Server-sent events, by the WHATWG rules, over bytes.

https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation

Owns: lines (LF, CRLF, CR, also when a CRLF is cut in two), the byte order mark, comments, multi-line data, the event
name. `id` and `retry` steer a browser's reconnection and are passed over. One rule is relaxed on purpose: the spec
drops an event whose blank line never came, but providers do close right after the last line, so the end of the body
completes it. Lines are only decoded where they hold a name; data stays bytes, so a character cut in two is harmless.
"""

from __future__ import annotations

from collections.abc import Iterator

from extproc.codec.payload import BOM, Payload
from extproc.errors import DecodeError, Reason


class SSEDecoder:
    """Bytes of one event stream in, events out.

    `max_event_bytes` bounds what is held back of one event: its data and the line that is being received.
    """

    def __init__(self, max_event_bytes: int) -> None:
        self._max_event_bytes = max_event_bytes
        self._line = bytearray()
        self._data: list[bytes] = []
        self._data_bytes = 0
        self._event = ""
        self._cr_at_end = False
        self._at_start = True

    def feed(self, chunk: bytes) -> Iterator[Payload]:
        """Yield the events that `chunk` completes."""
        if self._cr_at_end and chunk:
            # The CR already ended its line; an LF right behind it belongs to the same ending.
            self._cr_at_end = False
            chunk = chunk.removeprefix(b"\n")
        if not chunk:
            return
        self._cr_at_end = chunk.endswith(b"\r")
        for line in chunk.splitlines(keepends=True):
            end = line.rstrip(b"\r\n")
            self._hold(end)
            if len(end) == len(line):
                return  # the last line, and its ending is yet to come
            yield from self._end_line()

    def finish(self) -> Iterator[Payload]:
        """Yield the event, if any, whose blank line never came."""
        if self._line:
            yield from self._end_line()
        yield from self._dispatch()

    def _hold(self, part: bytes) -> None:
        if len(self._line) + len(part) + self._data_bytes > self._max_event_bytes:
            raise DecodeError(Reason.TOO_LARGE)
        self._line += part

    def _end_line(self) -> Iterator[Payload]:
        line = bytes(self._line)
        self._line.clear()
        if self._at_start:
            self._at_start = False
            line = line.removeprefix(BOM)
        if line:
            self._field(line)
        else:
            yield from self._dispatch()

    def _field(self, line: bytes) -> None:
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            self._data.append(value)
            self._data_bytes += len(value) + 1  # the line feed that joins it to the next
        elif name == b"event":
            self._event = value.decode("utf-8", "replace")

    def _dispatch(self) -> Iterator[Payload]:
        data, event = self._data, self._event
        self._data, self._data_bytes, self._event = [], 0, ""
        if data:
            yield Payload(b"\n".join(data), event)
