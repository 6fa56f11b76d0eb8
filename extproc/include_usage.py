"""`stream_options.include_usage`: put into a request that streams, and what it adds taken out of the answer.

Bytes are edited and documents are not written anew, so whatever is not about usage stays as it was sent. Owns: where
the bytes go in, which bytes come out. Must not know who wants that, when, or how bytes are carried.

https://platform.openai.com/docs/api-reference/chat/create#chat-create-stream_options: with it each chunk has a member
`usage`, null in all but one more, the last, which has no choices.
"""

from __future__ import annotations

import json
import re
from typing import Final

import msgspec

from extproc.codec.document import REFUSALS, decode_document
from extproc.codec.payload import BOM
from extproc.errors import DecodeError

_OPTION: Final = b'"include_usage":true'
_ADDED: Final = b',"stream_options":{%s}' % _OPTION
_WHITE_SPACE: Final = b" \t\r\n"
_WIDE: Final = b"\0"  # in front of a brace it is a part of it, in UTF-16 or UTF-32

# A name in quotes without a backslash in front of them is in no text, where they are escaped.
_OPTIONS_NAME: Final = re.compile(rb'"stream_options"\s*:\s*')
_OPTION_MEMBER: Final = re.compile(rb'"include_usage"\s*:\s*(?:null|false)')

# The end of a line and an empty one: an event is complete. A CR that comes last may yet be half of a CRLF.
_EVENT_END: Final = re.compile(rb"(?:\r\n|\n|\r(?=[^\n])){2}")
_MAX_END_BYTES: Final = 4
_LINE_END: Final = re.compile(rb"\r\n|\n|\r")

_PIECE_BYTES: Final = 64 * 1024

_DATA: Final = b"data:"

# An event whose data is no object is left as it is, however it goes on: the last one above all, which is `[DONE]`.
_PLAIN_START: Final = re.compile(rb"[\r\n]*data:[ \t]*[^{ \t\r\n]")

# Of a longer start of an event it is not tried whether its document is complete: with each chunk, that takes time.
_MAX_WHOLE_BYTES: Final = 64 * 1024

_USAGE: Final = b'"usage"'
_USAGE_NAME: Final = re.compile(rb'"usage"\s*:')
_NULL_USAGE: Final = re.compile(rb',\s*"usage"\s*:\s*null(?=\s*[,}])|"usage"\s*:\s*null\s*,\s*')

# The same in an event of one line, the rest of which shows that it is a member of the document itself.
_PLAIN_NULL: Final = re.compile(rb',"usage":null((?:,"\w+":(?:"[^"\\]*"|null|true|false|\d+))*\}\n\n)')


def append_options(end: bytes) -> bytes | None:
    """Return the end of an object, or all of it, with the option as its last member; None if the object goes on.

    It has to have members, and none that is called stream_options.
    """
    inside = end.rstrip(_WHITE_SPACE)
    members = inside[:-1].rstrip(_WHITE_SPACE)
    if inside[-1:] != b"}" or members[-1:] == _WIDE:
        return None
    return members + _ADDED + end[len(members) :]


class _Request(msgspec.Struct, gc=False):
    stream_options: msgspec.Raw


_decode_request = msgspec.json.Decoder(_Request).decode


def set_option(document: bytes) -> bytes | None:
    """Return an object that has stream_options, with the option set in them; None where that can't be done.

    They may be null, or an object in which the option is absent, null or false.
    """
    names = _OPTIONS_NAME.findall(document)
    options = _options_of(document)
    if len(names) != 1 or options is None:
        return None  # which of them they are is not known
    changed = _option_set_in(options)
    if changed is None:
        return None
    edited = document.replace(names[0] + options, names[0] + changed, 1)
    return edited if _options_of(edited) == changed else None  # else the name was written otherwise


def _options_of(document: bytes) -> bytes | None:
    try:
        return bytes(_decode_request(document).stream_options)
    except REFUSALS:
        return None


def _option_set_in(options: bytes) -> bytes | None:
    if options == b"null":
        return b"{%s}" % _OPTION
    if options[:1] != b"{":
        return None
    changed, count = _OPTION_MEMBER.subn(_OPTION, options)
    if not count and b"include_usage" not in options:
        rest = options[1:].lstrip(_WHITE_SPACE)
        return b"{%s%s%s" % (_OPTION, b"" if rest == b"}" else b",", rest)
    is_set = count == 1 and decode_document(changed).get("include_usage") is True
    return changed if is_set else None


_ABSENT: Final = msgspec.Raw()


class _Chunk(msgspec.Struct, gc=False):
    """What is looked at in an event. It stays as it was written: a hostile one would be dozens of times as long."""

    usage: msgspec.Raw = _ABSENT
    choices: msgspec.Raw = _ABSENT


_decode_chunk = msgspec.json.Decoder(_Chunk).decode
_NO_CHOICES: Final = re.compile(rb"\[\s*\]")

# Of a larger event that only a more patient parser takes nothing is taken out.
_MAX_LENIENT_BYTES: Final = 64 * 1024


class UsageFilter:
    """Takes out of a stream of events what the option has added to it.

    Of an event of which only a part has come that part is held back, up to `max_event_bytes`; a longer one goes on as
    it is. What is known to go on does so before its event ends: behind the last chunk there may be trailers, and no
    place for what is held. With `null` members `usage` that are null go, too: with some providers these are there in
    any case.
    """

    def __init__(self, *, null: bool, max_event_bytes: int) -> None:
        self._null = null
        self._max_event_bytes = max_event_bytes
        self._held = bytearray()
        self._held_bytes = 0  # without the chunk that is being fed
        self._passed = b""  # the end of what went on of an event that is not held; empty where there is none

    @property
    def is_holding(self) -> bool:
        """Whether it holds something back."""
        return bool(self._held)

    def feed(self, chunk: bytes) -> bytes:
        """Return what goes on of a chunk and of what was held back before it."""
        if len(chunk) > _PIECE_BYTES:
            return self._feed_pieces(chunk)
        if self._passed:
            return self._pass(chunk)
        if _USAGE not in chunk and not self._held and chunk.endswith(b"\n\n"):
            return chunk
        if self._null and not self._held and chunk.find(b"\n") == len(chunk) - 2 and chunk.startswith(_DATA):
            # Most chunks are one event, and most of these end with what is to go and members that are scalars.
            plain = _PLAIN_NULL.search(chunk)
            if plain is not None and chunk.count(_USAGE) == 1:
                return chunk[: plain.start()] + plain[1]
        # Of what is held no byte is looked at again but those that may be the start of an end.
        seen = max(0, len(self._held) - _MAX_END_BYTES + 1)
        self._held += chunk
        ends = [match.end() for match in _EVENT_END.finditer(self._held, seen)]
        size = len(self._held)
        if not ends and _MAX_WHOLE_BYTES < size <= self._max_event_bytes:
            self._held_bytes = size
            return b""  # small chunks of a large event: what is held is not copied for each
        pending = bytes(self._held)
        events = [self._filter(pending[start:end]) for start, end in zip([0, *ends], ends, strict=False)]
        rest = pending[ends[-1] :] if ends else pending
        known = self._known(rest)
        if known:
            self._passed = rest[1 - _MAX_END_BYTES :]
        self._hold(b"" if known else rest)
        return b"".join((*events, known))

    def _known(self, start: bytes) -> bytes:
        """Return the start of an event if it is known before its end comes that all of it goes on; else nothing."""
        if len(start) > self._max_event_bytes or _PLAIN_START.match(start):
            return start
        may_be_whole = len(start) <= _MAX_WHOLE_BYTES and start.rstrip(_WHITE_SPACE).endswith(b"}")
        is_kept = may_be_whole and _chunk_in(start) is not None and self._filter(start) == start
        return start if is_kept else b""

    def _feed_pieces(self, chunk: bytes) -> bytes:
        """Do what `feed` does, piece by piece: what is made of a chunk's events takes many times its length."""
        before = bytes(self._held[: self._held_bytes]), self._passed
        try:
            starts = range(0, len(chunk), _PIECE_BYTES)
            return b"".join([self.feed(chunk[start : start + _PIECE_BYTES]) for start in starts])
        except Exception:
            self._hold(before[0])  # of a chunk that fails nothing has gone on
            self._passed = before[1]
            raise

    def _pass(self, chunk: bytes) -> bytes:
        """Return what goes on of a chunk behind the start of an event that is not held."""
        data = self._passed + chunk
        end = _EVENT_END.search(data)
        if end is None:
            self._passed = data[1 - _MAX_END_BYTES :]
            return chunk
        position = max(end.end() - len(self._passed), 0)
        self._passed = b""
        return chunk[:position] + (self.feed(chunk[position:]) if position < len(chunk) else b"")

    def finish(self) -> bytes:
        """Return what is left behind the last event that was complete."""
        rest = self._filter(bytes(self._held))
        self._hold(b"")
        return rest

    def release(self) -> bytes:
        """Return what is held back of earlier chunks, as it came. This can be asked when anything else has failed."""
        held = bytes(self._held[: self._held_bytes])
        self._hold(b"")
        return held

    def _hold(self, rest: bytes) -> None:
        self._held, self._held_bytes = bytearray(rest), len(rest)

    def _filter(self, event: bytes) -> bytes:
        if _USAGE not in event:
            return event
        chunk = _chunk_in(event)
        if chunk is None:
            return event
        if bytes(chunk.usage) == b"null":
            return self._without_null(event)
        if bytes(chunk.usage)[:1] != b"{" or _NO_CHOICES.fullmatch(chunk.choices) is None:
            return event
        return event[: len(event) - len(event.lstrip(b"\r\n"))]  # empty lines are of the event before

    def _without_null(self, event: bytes) -> bytes:
        # Where there are several members of that name, which of them is whose is not known.
        is_certain = self._null and len(_USAGE_NAME.findall(event)) == 1
        return _NULL_USAGE.sub(b"", event) if is_certain else event


def _chunk_in(event: bytes) -> _Chunk | None:
    """Return what the data of an event is made of; None if it is no object, or more than one line."""
    lines = [line for line in _LINE_END.split(event.removeprefix(BOM)) if line.startswith(_DATA)]
    if len(lines) != 1:
        return None
    data = lines[0][len(_DATA) :]
    try:
        return _decode_chunk(data)
    except msgspec.ValidationError:
        return None
    except REFUSALS:
        return _lenient_chunk_in(data) if len(data) <= _MAX_LENIENT_BYTES else None


def _lenient_chunk_in(data: bytes) -> _Chunk | None:
    try:
        document = decode_document(data)
    except DecodeError:
        return None
    names = {"usage", "choices"} & document.keys() if isinstance(document, dict) else ()
    members = {name: json.dumps(document[name]).encode() for name in names}
    return _Chunk(**{name: msgspec.Raw(member) for name, member in members.items()})
