from __future__ import annotations

import pytest

from bench.floor import FloorProcessor
from extproc.wire.envoy import CONTINUE, Phase
from extproc.wire.ext_proc_pb2 import (
    HeaderMap,
    HeaderValue,
    HttpHeaders,
    ProcessingMode,
    ProcessingRequest,
    ProcessingResponse,
)


def reply(message: ProcessingRequest) -> bytes | None:
    # As Envoy writes it: fields in the order of their numbers.
    return FloorProcessor().open_session((), 0.0).receive(message.SerializeToString(), 0.0)


def response_headers(**headers: str) -> ProcessingRequest:
    values = [HeaderValue(key=name.replace("_", "-"), raw_value=value.encode()) for name, value in headers.items()]
    return ProcessingRequest(response_headers=HttpHeaders(headers=HeaderMap(headers=values)))


@pytest.mark.parametrize("phase", list(Phase))
def test_each_phase_gets_its_constant(phase: Phase) -> None:
    """Found by the first byte."""
    message = ProcessingRequest()
    getattr(message, phase).SetInParent()
    message.protocol_config.SetInParent()
    assert reply(message) == CONTINUE[phase]


@pytest.mark.parametrize(("length", "is_asked"), [("1500", True), ("32768", True), ("32769", False), ("0", False)])
def test_it_asks_for_short_answers_whole_as_the_sidecar_does(length: str, is_asked: bool) -> None:
    """So that Envoy sends both the same messages."""
    said = reply(response_headers(content_type="application/json", content_length=length, server="x"))
    mode = ProcessingResponse.FromString(said or b"").mode_override.response_body_mode
    assert (mode == ProcessingMode.BUFFERED_PARTIAL) == is_asked


def test_it_asks_for_nothing_where_no_length_is_known() -> None:
    """Streams stay streams."""
    assert reply(response_headers(content_type="text/event-stream")) == CONTINUE[Phase.RESPONSE_HEADERS]
