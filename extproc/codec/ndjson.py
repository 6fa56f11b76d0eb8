"""JSON documents one after the other, each on a line of its own.

https://github.com/ndjson/ndjson-spec; Ollama and Cohere's first API stream so.

Owns: lines, and telling them from one document that has line ends in it, which needs no label: in no JSON document does
one object follow another with only white space between them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from extproc.codec.document import HeldPart, WholeDocument
from extproc.codec.payload import NOTHING, Framing, Pause, Payload
from extproc.errors import Reason

# What is looked at to tell lines from one document, wherever the chunks are cut. A body whose first line is longer is
# one document, if nobody says otherwise.
_MAX_START_BYTES = 64 * 1024

_NO_SPACE = re.compile(rb"\S")


class NDJSON:
    """Bytes of lines in, one payload a line out.

    `max_line_bytes` bounds what is kept of one line, when what is long in it is left out. Of one of which more is left
    nothing is kept but that it was lost.
    """

    is_sequence = True

    def __init__(self, max_line_bytes: int) -> None:
        self._line = HeldPart(max_line_bytes)
        self._pause = Pause()

    def feed(self, chunk: bytes) -> Iterator[Payload]:
        """Yield the lines that `chunk` completes."""
        start = 0
        while (end := chunk.find(b"\n", start)) >= 0:
            self._line.add(chunk[start:end])
            yield from self.finish()
            start = end + 1
        self._line.add(chunk[start:])

    def finish(self) -> Iterator[Payload]:
        """Yield the line that is being received, if there is anything in it: the last one needs no line end."""
        data = self._line.take()
        if data is None:
            yield Payload(b"", lost=Reason.TOO_LARGE)
        elif line := data.strip():
            yield Payload(line)
        elif self._pause.is_due():
            yield NOTHING


class DocumentOrLines:
    """A body that starts with a brace: one document, or lines of them; its first line and what follows it tell.

    `is_labelled` says that the server calls it lines. Then a first line that is whole is enough, and is handed out
    with its line end; a server that answers with an error sends one document under the same label.
    """

    def __init__(self, *, is_labelled: bool, max_document_bytes: int, max_line_bytes: int) -> None:
        self._is_labelled = is_labelled
        self._max_document_bytes = max_document_bytes
        self._max_line_bytes = max_line_bytes
        self._start = bytearray()
        self._searched_bytes = 0
        self._has_line = False  # a first line that may be a document
        self._framing: Framing | None = None

    @property
    def is_sequence(self) -> bool:
        """Whether it is lines."""
        return self._framing is not None and self._framing.is_sequence

    def feed(self, chunk: bytes) -> Iterator[Payload]:
        """Yield the lines that `chunk` completes; of a document nothing before its end."""
        if self._framing is not None:
            yield from self._framing.feed(chunk)
            return
        self._start += chunk
        is_lines = self._is_lines()
        if is_lines is not None:
            yield from self._choose(is_lines=is_lines)

    def finish(self) -> Iterator[Payload]:
        """Yield what the end of the body completes."""
        if self._framing is None:
            yield from self._choose(is_lines=self._is_labelled)
        yield from self._framing.finish() if self._framing else ()

    def _choose(self, *, is_lines: bool) -> Iterator[Payload]:
        self._framing = NDJSON(self._max_line_bytes) if is_lines else WholeDocument(self._max_document_bytes)
        start = bytes(self._start)
        self._start.clear()
        return self._framing.feed(start)

    def _is_lines(self) -> bool | None:
        """Return whether it is lines; None as long as there is no telling."""
        is_long = len(self._start) >= _MAX_START_BYTES
        if not self._has_line:
            end = self._start.find(b"\n", self._searched_bytes, _MAX_START_BYTES)
            self._searched_bytes = len(self._start) if end < 0 else end
            if end < 0:
                return self._is_labelled if is_long else None
            if not self._start[:end].rstrip().endswith(b"}"):
                return False
            if self._is_labelled:
                return True
            self._has_line = True
        following = _NO_SPACE.search(self._start, self._searched_bytes, _MAX_START_BYTES)
        if following is not None:
            return following.group() == b"{"
        self._searched_bytes = len(self._start)
        return False if is_long else None
