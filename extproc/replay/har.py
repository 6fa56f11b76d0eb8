"""Captures in a HAR file, as browsers' developer tools and proxies save them.

http://www.softwareishard.com/blog/har-12-spec/

Owns: where a HAR keeps what, and that bodies stand in it decoded: `content-encoding` is dropped. Must not know how a
capture is played. Each entry is read by itself, so that one that is broken costs no other.
"""

from __future__ import annotations

import binascii
from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any
from urllib.parse import SplitResult, urlencode, urlsplit

from pydantic import BaseModel, Field, ValidationError

from extproc.codec.document import decode_document
from extproc.codec.payload import BOM
from extproc.headers import RESPONSE_HEADERS
from extproc.providers.base import clean_name
from extproc.replay.capture import Capture, CaptureError, Source, problem_in, some

# Of a form whose text was not kept, between its parts.
_BOUNDARY = "extproc-replay"

_MULTIPART = "multipart/form-data"


class _Pair(BaseModel):
    name: str
    value: str = ""


class _Param(_Pair):
    file_name: str | None = Field(default=None, validation_alias="fileName")
    content_type: str | None = Field(default=None, validation_alias="contentType")


class _PostData(BaseModel):
    mime_type: str = Field(default="", validation_alias="mimeType")
    text: str | None = None
    params: list[_Param] | None = None


class _Request(BaseModel):
    method: str
    url: str
    headers: list[_Pair] = []
    post_data: _PostData | None = Field(default=None, validation_alias="postData")


class _Content(BaseModel):
    mime_type: str = Field(default="", validation_alias="mimeType")
    text: str | None = None
    encoding: str | None = None
    size: int | None = None


class _Response(BaseModel):
    status: int
    headers: list[_Pair] = []
    content: _Content = _Content()


class _Entry(BaseModel):
    request: _Request
    response: _Response


def find_entries(data: bytes) -> Iterator[Source] | None:
    """Return the captures in a HAR file, in its order; None if `data` is none. Raises DecodeError if it is not JSON."""
    document = decode_document(data.removeprefix(BOM))
    log = document.get("log") if isinstance(document, dict) else None
    entries = log.get("entries") if isinstance(log, dict) else None
    return _sources(entries) if isinstance(entries, list) else None


def _sources(entries: list[Any]) -> Iterator[Source]:
    for index, entry in enumerate(entries):
        name = f"entries[{index}]"
        yield Source(name, partial(read_entry, entry, name))


def read_entry(entry: Any, name: str) -> Capture:
    """Return the capture in one of `log.entries`. Raises CaptureError if it is not what an entry should be."""
    try:
        checked = _Entry.model_validate(entry)
    except ValidationError as error:
        raise CaptureError(problem_in(error)) from None
    request, response = checked.request, checked.response
    url = _split(request.url)
    body, content_type = _posted(request)
    return Capture(
        name=clean_name(f"{name} {url.hostname or ''}{url.path}") or name,
        method=request.method.upper(),
        authority=url.netloc.rpartition("@")[2],
        path=url.path,
        request=body,
        request_headers=some({"content-type": content_type}),
        # Where no answer came (blocked, aborted), browsers write 0.
        status=response.status or None,
        response=_answered(response.content),
        response_headers=_response_headers(response),
    )


def _split(url: str) -> SplitResult:
    try:
        split = urlsplit(url)
        split.port  # noqa: B018 - raises where it is none
    except ValueError:
        raise CaptureError("request.url: not a URL") from None
    return split


def _posted(request: _Request) -> tuple[bytes, str | None]:
    """Return the request's body and its content-type."""
    data = request.post_data or _PostData()
    content_type = _header(request.headers, "content-type") or data.mime_type
    if data.text or not data.params:
        return (data.text or "").encode("utf-8", "replace"), content_type
    if content_type.lower().startswith(_MULTIPART):
        return _multipart(data.params), f"{_MULTIPART}; boundary={_BOUNDARY}"
    return urlencode([(param.name, param.value) for param in data.params]).encode(), content_type


def _multipart(params: Iterable[_Param]) -> bytes:
    """Return a form as the body it was (RFC 7578), but for its boundary."""
    lines = []
    for param in params:
        about = f'form-data; name="{_quoted(param.name)}"'
        if param.file_name is not None:
            about += f'; filename="{_quoted(param.file_name)}"'
        lines += [f"--{_BOUNDARY}", f"content-disposition: {about}"]
        if param.content_type:
            lines += [f"content-type: {_quoted(param.content_type)}"]
        lines += ["", param.value]
    return "\r\n".join([*lines, f"--{_BOUNDARY}--", ""]).encode("utf-8", "replace")


def _quoted(value: str) -> str:
    return value.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")


def _answered(content: _Content) -> bytes | None:
    """Return the response's body; None where there was one and the HAR was saved without it."""
    if not content.text:
        return None if (content.size or 0) > 0 else b""
    match (content.encoding or "").lower():
        case "":
            return content.text.encode("utf-8", "replace")
        case "base64":
            try:
                return binascii.a2b_base64(content.text)
            except ValueError:
                raise CaptureError("response.content.text: not base64") from None
        case _:
            raise CaptureError("response.content.encoding: neither base64 nor absent")


def _response_headers(response: _Response) -> dict[str, str]:
    named = {pair.name.lower(): pair.value for pair in response.headers}
    wanted: dict[str, str | None] = {name: value for name, value in named.items() if name in RESPONSE_HEADERS}
    wanted["content-type"] = wanted.get("content-type") or response.content.mime_type
    # Of the body as it was on the wire, which is not the one that was kept.
    return some(wanted | {":status": None, "content-encoding": None, "content-length": None})


def _header(headers: Iterable[_Pair], name: str) -> str:
    return next((pair.value for pair in headers if pair.name.lower() == name), "")
