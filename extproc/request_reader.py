"""The request of an exchange, read as far as it can be.

Owns: a request body on its way to what is read of its document, and what becomes of bytes that are not what they should
be: the body is read no further, the reason is kept, nothing is raised. Must not know phases, or what the document says.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress

from extproc.codec.content import content_decoder
from extproc.codec.document import MAX_HELD_BYTES, WholeDocument
from extproc.codec.framing import is_readable
from extproc.codec.members import Members
from extproc.codec.multipart import FormFields, boundary_of
from extproc.codec.payload import BOM, Payload
from extproc.errors import Bound, DecodeError, Reason, Stage
from extproc.providers import parameters
from extproc.providers.base import REQUEST_INPUTS, REQUEST_MEMBERS, REQUEST_OPTIONS
from extproc.providers.counts import JSONObject
from extproc.readers import Body, ExtractionErrors, Limits


def _members_of(
    paths: Collection[str], decoded: Sequence[str] = (), present: Sequence[str] = (), short: Sequence[str] = ()
) -> Members:
    """Return what decodes the members on these paths, beside those that are read of any request."""
    inner: dict[str, set[str]] = {}
    for path in paths:
        name, dot, rest = path.partition(".")
        if dot:
            inner.setdefault(name, set()).add(rest)
    names = sorted({path for path in paths if "." not in path} - set(inner))
    scalars = (*decoded, *(name for name in names if name not in parameters.LISTS))
    lists = [name for name in names if name in parameters.LISTS]
    nested = {name: _members_of(inner[name]) for name in sorted(inner)}
    return Members(scalars, present, short=[*lists, *short], nested=nested)


_REQUEST_MEMBERS = _members_of(parameters.PATHS, REQUEST_MEMBERS, REQUEST_INPUTS, REQUEST_OPTIONS)

# What a form says in numbers.
_FORM_NUMBERS = ("n", "seed", "temperature")

# Of a JSON object: a brace, a byte order mark, or gzip's own mark.
_FIRST_BYTES = (b"{", BOM[:1], b"\x1f")


class _Form:
    """A form as a framing: its one document has the members that are read of a request, as its fields say them."""

    is_sequence = False

    def __init__(self, boundary: bytes) -> None:
        self._fields = FormFields(boundary, (*REQUEST_MEMBERS, *_FORM_NUMBERS))

    def feed(self, chunk: bytes) -> Iterator[Payload]:
        self._fields.feed(chunk)
        return iter(())

    def finish(self) -> Iterator[Payload]:
        document: dict[str, str | float | None] = dict(self._fields.fields)
        if "stream" in document:
            document["stream"] = self._fields.fields["stream"].strip().lower() == "true"
        document |= {name: _number(self._fields.fields[name]) for name in _FORM_NUMBERS if name in document}
        if not document:
            self._fields.finish()
        # Behind the fields there may be a file of which Envoy's buffer holds only the start.
        yield Payload(json.dumps(document).encode())


def _number(text: str) -> float | None:
    with suppress(ValueError):
        return float(text)
    return None


class RequestReader:
    """Reads a request body to its document. `lost` is why there is none; None as long as there may be one."""

    __slots__ = ("_body", "_content_type", "_errors", "_is_form", "_is_over", "_is_plain", "_limits", "_started",
                 "lost")  # fmt: skip

    def __init__(self, headers: Mapping[str, str], limits: Limits, errors: ExtractionErrors) -> None:
        self._errors = errors
        self._limits = limits
        self._content_type = headers.get("content-type", "")
        self._is_form = self._content_type[:10].lower() == "multipart/"
        self._started = False
        self._is_over = False
        self._body: Body | None = None
        self.lost: Reason | None = None
        coding = headers.get("content-encoding", "")
        self._is_plain = not coding and not self._is_form
        if not self._is_plain:
            try:
                self._open(coding)
            except DecodeError as error:
                self._give_up(error.reason, error.bound)

    @property
    def is_lost(self) -> bool:
        """Whether there may have been a document, and it could not be read."""
        return self.lost not in (None, Reason.EMPTY, Reason.CONTENT_TYPE)

    @property
    def has_started(self) -> bool:
        """Whether any of the body but white space was seen."""
        return self._started

    def read_whole(self, chunk: bytes) -> JSONObject | None:
        """Return what `feed` and `finish` return of a body that comes in one chunk."""
        if not self._is_plain or self._started or chunk[:1] != b"{" or len(chunk) > self._max_held_bytes:
            self.feed(chunk)
            return self.finish()
        self._started = self._is_over = True
        try:
            return _REQUEST_MEMBERS.decode(chunk)
        except DecodeError as error:
            self._give_up(error.reason, error.bound)
            return None

    def feed(self, chunk: bytes) -> None:
        """Take a chunk of the body."""
        if self._is_over or not chunk:
            return
        first_byte = b"" if self._started else chunk.lstrip()[:1]
        if first_byte:
            self._started = True
            if not self._may_be_readable(first_byte):
                self._give_up(Reason.CONTENT_TYPE)
                return
        body = self._body or self._open("")
        try:
            list(body.feed(chunk))  # run to its end; a whole document has no payload before its own
        except DecodeError as error:
            self._give_up(error.reason, error.bound)

    def finish(self) -> JSONObject | None:
        """Return what is of interest in the document, if the body was one and is an object."""
        if self._is_over:
            return None
        document: JSONObject | None = None
        body = self._body or self._open("")
        self._is_over, self._body = True, None
        try:
            for payload in body.finish():
                document = _REQUEST_MEMBERS.decode(payload.data)
        except DecodeError as error:
            self._give_up(error.reason, error.bound)
        return document

    @property
    def _max_held_bytes(self) -> int:
        return min(MAX_HELD_BYTES, self._limits.max_body_bytes)

    def _open(self, coding: str) -> Body:
        """Prepare for more than one document in one chunk; raise DecodeError where the coding is not read."""
        boundary = boundary_of(self._content_type) if self._is_form else None
        self._is_form = boundary is not None
        framing = WholeDocument(self._limits.max_body_bytes) if boundary is None else _Form(boundary)
        self._body = Body(content_decoder(coding, self._limits.inflation), framing)
        return self._body

    def _may_be_readable(self, first_byte: bytes) -> bool:
        """Say whether the body is worth reading. curl -d says "form" of JSON, so the first byte is asked too."""
        return self._is_form or is_readable(self._content_type) or first_byte in _FIRST_BYTES

    def _give_up(self, reason: Reason, bound: Bound | None = None) -> None:
        self._is_over = True
        self._body = None
        self._errors.add(Stage.REQUEST_BODY, reason, bound)
        self.lost = reason
