"""Server-sent events, by the WHATWG rules, over bytes.

https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation

Owns: lines (LF, CRLF, CR, also when a CRLF is cut in two), the byte order mark, comments, multi-line data, the event
name. `id` and `retry` steer a browser's reconnection and are passed over. One rule is relaxed on purpose: the spec
drops an event whose blank line never came, but providers do close right after the last line, so the end of the body
completes it. Lines are only decoded where they hold a name; data stays bytes, so a character cut in two is harmless.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from extproc.codec.payload import BOM, Payload
from extproc.errors import Reason

_EVENT_FIELD = b"event: "
_DATA_FIELD = b"data: "


def split_plain(chunk: bytes) -> Sequence[tuple[bytes, bytes]]:
    """Return name and data of each event in a chunk of whole events, written as most servers write them.

    That is one line of data, with a line in front of it if the event has a name (else b""), and a blank one. Of any
    other chunk, which may hold events all the same, nothing is returned.
    """
    if not chunk.endswith(b"\n\n") or b"\r" in chunk:
        return ()
    if chunk.startswith(_DATA_FIELD) and chunk.find(b"\n") == len(chunk) - 2:
        return ((b"", chunk[len(_DATA_FIELD) : -2]),)  # one event without a name: most chunks are
    events = []
    for event in chunk[:-2].split(b"\n\n"):
        name, line = b"", event
        if event.startswith(_EVENT_FIELD):
            name, _, line = event.partition(b"\n")
        if not line.startswith(_DATA_FIELD) or b"\n" in line:
            return ()
        events.append((name[len(_EVENT_FIELD) :], line[len(_DATA_FIELD) :]))
    return events


class SSEDecoder:
    """Bytes of one event stream in, events out.

    `max_event_bytes` bounds what is held back of one event: its data and the line that is being received. Of an event
    beyond it nothing is kept but that it was lost; with its blank line the next one begins.
    """

    is_sequence = True

    def __init__(self, max_event_bytes: int) -> None:
        self._max_event_bytes = max_event_bytes
        self._line = bytearray()
        self._data = bytearray()  # of each line, with the line feed that joins it to the next
        self._event = ""
        self._is_lost = False
        self._cr_at_end = False
        self._at_start = True

    @property
    def is_between_events(self) -> bool:
        """Whether the last event is complete and nothing of the next one has come."""
        is_fresh = self._at_start or self._cr_at_end or self._is_lost
        return not (is_fresh or self._line or self._data or self._event)

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
        if not self._is_lost and len(self._line) + len(part) + len(self._data) > self._max_event_bytes:
            self._is_lost = True
            self._data.clear()
            del self._line[1:]
        # Of a line that is lost one byte is kept: that it is not the blank one.
        self._line += part[: 1 - len(self._line)] if self._is_lost else part

    def _end_line(self) -> Iterator[Payload]:
        line = bytes(self._line)
        self._line.clear()
        if self._at_start:
            self._at_start = False
            line = line.removeprefix(BOM)
        if not line:
            yield from self._dispatch()
        elif not self._is_lost:
            self._field(line)

    def _field(self, line: bytes) -> None:
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            self._data += value
            self._data += b"\n"
        elif name == b"event":
            self._event = value.decode("utf-8", "replace")

    def _dispatch(self) -> Iterator[Payload]:
        data, event, is_lost = bytes(self._data), self._event, self._is_lost
        self._data.clear()
        self._event, self._is_lost = "", False
        if is_lost:
            yield Payload(b"", event, Reason.TOO_LARGE)
        elif data:
            yield Payload(data[:-1], event)
