"""Exchanges to play, without Envoy: as values, and as folders of fixtures."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from msgspec import structs
from support import frames
from support.codings import ENCODERS

from extproc.details import Details
from extproc.exchange import Exchange
from extproc.providers.detect import Detector
from extproc.readers import Limits
from extproc.usage import Timing, UsageRecord

LIMITS = Limits()
DETECTOR = Detector()


@dataclass(frozen=True, slots=True)
class Case:
    """One HTTP exchange."""

    path: str = "/v1/chat/completions"
    authority: str = "api.openai.com"
    method: str = "POST"
    request: bytes = b'{"model": "gpt-4o", "messages": []}'
    request_content_type: str | None = "application/json"
    status: int = 200
    response: bytes = b""
    content_type: str | None = "application/json"
    content_encoding: str | None = None
    more_response_headers: Mapping[str, str] = field(default_factory=dict)
    expected: Mapping[str, Any] = field(default_factory=dict)

    @property
    def request_headers(self) -> dict[str, str]:
        """The request's headers, as Envoy shows them."""
        headers = {":method": self.method, ":authority": self.authority, ":path": self.path}
        return headers | _some({"content-type": self.request_content_type})

    @property
    def response_headers(self) -> dict[str, str]:
        """The response's headers, as Envoy shows them."""
        named = {"content-type": self.content_type, "content-encoding": self.content_encoding}
        return {":status": str(self.status)} | _some(named) | dict(self.more_response_headers)

    def encoded(self, coding: str | None) -> Case:
        """The same exchange with its answer in a content coding, by its name in ENCODERS; None: in none."""
        if coding is None:
            return self
        return replace(self, response=ENCODERS[coding](self.response), content_encoding=coding.lower())

    def gzipped(self) -> Case:
        """The same exchange with its answer compressed."""
        return self.encoded("gzip")


def _some(headers: Mapping[str, str | None]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if value is not None}


def play(case: Case, chunks: Iterable[bytes] | None = None, *, limits: Limits = LIMITS) -> UsageRecord:
    """Return the record of an exchange that runs to its end, its answer in the given chunks."""
    exchange = Exchange(limits, DETECTOR, provider=None, now=0.0)
    exchange.request_headers(case.request_headers, end_of_stream=not case.request, now=0.0)
    exchange.request_body(case.request, end_of_stream=True, now=0.0)
    exchange.response_headers(case.response_headers, end_of_stream=False, now=1.0)
    return answer(exchange, [case.response] if chunks is None else chunks)


def answer(exchange: Exchange, chunks: Iterable[bytes]) -> UsageRecord:
    """Return the record of an exchange that gets a body, chunk by chunk, and its end.

    As in a session, a chunk that may be passed over is.
    """
    for chunk in chunks:
        if exchange.passes_over is None or not exchange.passes_over(chunk, 2.0):
            exchange.response_body(chunk, end_of_stream=False, now=2.0)
    exchange.response_body(b"", end_of_stream=True, now=3.0)
    return exchange.detailed(Details.ALL)


def uncut(record: UsageRecord) -> UsageRecord:
    """Return the record without what depends on where the answer was cut: the times between its chunks."""
    by_chunk = ("last_token_seconds", "longest_stall_seconds", "output_chunks", "chunk_gaps", "chunk_gaps_sum_seconds")
    nothing = Timing()
    timing = structs.replace(record.timing, **{name: getattr(nothing, name) for name in by_chunk})
    return structs.replace(record, timing=timing)


def load_case(folder: Path) -> Case:
    """Return the exchange in a folder: case.json, request.json or request.bin, and response.body.

    An answer in AWS frames stands in case.json as `frames`, in words and not in bytes.
    """
    about = json.loads((folder / "case.json").read_text())
    form = folder / "request.bin"
    return Case(
        path=about["path"],
        authority=about["authority"],
        request=(form if form.exists() else folder / "request.json").read_bytes(),
        request_content_type=about.get("request_content_type", "application/json"),
        status=about.get("status", 200),
        response=_framed(about["frames"]) if "frames" in about else (folder / "response.body").read_bytes(),
        content_type=about.get("content_type", "application/json"),
        more_response_headers=about.get("response_headers", {}),
        expected=about["expected"],
    )


def _framed(described: Iterable[Mapping[str, Any]]) -> bytes:
    return b"".join(_frame(each) for each in described)


def _frame(described: Mapping[str, Any]) -> bytes:
    """Return one frame: an `event` with `document`, a `chunk`, an `exception` with `message`, or a `corrupt` one."""
    match described:
        case {"event": name, "document": document}:
            return frames.event(name, document)
        case {"chunk": document}:
            return frames.chunk(document)
        case {"exception": name, "message": message}:
            return frames.exception(name, message)
        case {"corrupt": intact}:
            return frames.corrupt(_frame(intact))
    raise ValueError(f"no frame is described so: {sorted(described)}")
