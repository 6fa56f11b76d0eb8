"""Bodies whose framing has to be told from their bytes."""

from __future__ import annotations

from fuzz import target_documents, target_frames, target_lines, target_sse
from fuzz.checking import check_framing
from fuzz.choices import Choices
from fuzz.target import Target

from extproc.codec.framing import SniffedBody, is_readable, is_stream, media_type
from extproc.errors import Reason

_TYPES = ("application/json", "text/event-stream; charset=utf-8", "application/x-ndjson", "", "a/b+json",
          "application/vnd.amazon.eventstream", "text/event-stream, text/html")  # fmt: skip
_BOUNDS = (1 << 20, 256, 16)
_ENDS = {None, Reason.EMPTY, Reason.NOT_JSON, Reason.TRUNCATED, Reason.TOO_LARGE, Reason.CORRUPT_FRAME}
_MAX_START_BYTES = 64 * 1024


def check(data: bytes) -> None:
    """Cuts change nothing, whatever the body is called and turns out to be."""
    choices = Choices(data)
    content_type, bound, places = choices.one_of(_TYPES), choices.one_of(_BOUNDS), choices.cuts(4)
    body = choices.rest()

    def sniffed() -> SniffedBody:
        return SniffedBody(content_type, max_document_bytes=bound, max_event_bytes=bound)

    _, end = check_framing(sniffed, body, places, _MAX_START_BYTES + 2 * bound)
    assert end in _ENDS
    named = body[:200].decode("latin-1")
    assert is_readable(named) or not is_stream(named)
    assert media_type(named) == media_type(media_type(named))


def seeds() -> list[bytes]:
    """Return what the framings begin with, under each name."""
    others = (target_sse, target_lines, target_frames, target_documents)
    bodies = [seed[6:] for other in others for seed in other.seeds()[:6]]
    bodies += [b"\xef\xbb\xbf \n{}", b"", b" \r\n", b"\xef\xbb", b"<html>"]
    return [bytes((number % len(_TYPES), 0, 9, 80, 150, 240)) + body for number, body in enumerate(bodies)]


TARGET = Target("bodies", check, seeds, ("extproc.codec.framing", "extproc.codec.payload"), target_sse.TARGET.words)
