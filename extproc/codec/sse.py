"""Server-sent events, by the WHATWG rules, over bytes.

https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation

Owns: lines (LF, CRLF, CR, also when a CRLF is cut in two), the byte order mark, comments, multi-line data, the event
name. `id` and `retry` steer a browser's reconnection and are passed over. One rule is relaxed on purpose: the spec
drops an event whose blank line never came, but providers do close right after the last line, so the end of the body
completes it. Lines are only decoded where they hold a name; data stays bytes, so a character cut in two is harmless.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from extproc.codec.document import HeldPart
from extproc.codec.payload import BOM, NOTHING, Pause, Payload
from extproc.errors import Reason

_EVENT_FIELD = b"event: "
_DATA_FIELD = b"data: "

# Of a longer line what is data is held as data, and of any other the rest is passed over.
_MAX_LINE_BYTES = 64 * 1024


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

    `max_event_bytes` bounds what is kept of one event, when what is long in its data is left out. Of one of which more
    is left nothing is kept but that it was lost; with its blank line the next one begins.
    """

    is_sequence = True

    def __init__(self, max_event_bytes: int) -> None:
        self._line = bytearray()
        self._is_long = False  # a line whose start has been taken
        self._is_data = False  # the line that was taken last
        self._data = HeldPart(max_event_bytes)
        self._max_only_bytes = min(_MAX_LINE_BYTES, max_event_bytes)
        self._only: bytes | None = None  # the data of a single line, as most events have it; more is held in _data
        self._has_data = False
        self._event = ""
        self._cr_at_end = False
        self._at_start = True
        self._pause = Pause()

    @property
    def is_between_events(self) -> bool:
        """Whether the last event is complete and nothing of the next one has come."""
        is_fresh = self._at_start or self._cr_at_end or self._data.is_lost
        return not (is_fresh or self._line or self._has_data or self._event)

    def feed(self, chunk: bytes) -> Iterator[Payload]:
        """Yield the events that `chunk` completes. Its lines are all taken at once: a body comes in pieces."""
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
        if self._is_long:
            if self._is_data:
                self._data.add(part)
            return
        self._line += part
        if len(self._line) > _MAX_LINE_BYTES:
            self._is_long = True
            self._take_line()

    def _end_line(self) -> Iterator[Payload]:
        if self._pause.is_due():
            yield NOTHING
        if not self._is_long and not self._take_line():
            yield from self._dispatch()
        self._is_long = False
        self._line.clear()

    def _take_line(self) -> bool:
        """Take what there is of a line; say whether there is anything."""
        line = bytes(self._line)
        if self._at_start:
            self._at_start = False
            line = line.removeprefix(BOM)
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        self._is_data = name == b"data"
        if self._is_data:
            if not self._has_data and len(value) <= self._max_only_bytes and not self._is_long:
                self._only = value
            else:
                self._hold_line(value)
            self._has_data = True
        elif name == b"event":
            self._event = value.decode("utf-8", "replace")
        return bool(line)

    def _hold_line(self, value: bytes) -> None:
        if self._only is not None:
            self._data.add(self._only)
            self._only = None
        if self._has_data:
            self._data.add(b"\n")
        self._data.add(value)

    def _dispatch(self) -> Iterator[Payload]:
        data, event = self._take_data(), self._event
        has_data, self._has_data = self._has_data, False
        self._event = ""
        if has_data:
            self._pause.reset()
            yield Payload(b"", event, Reason.TOO_LARGE) if data is None else Payload(data, event)

    def _take_data(self) -> bytes | None:
        if self._only is None:
            return self._data.take()
        data, self._only = self._only, None
        return data
