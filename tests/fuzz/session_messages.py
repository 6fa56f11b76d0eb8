"""A stream of Envoy's messages out of choices: any phases in any order, and bodies cut anywhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from fuzz.choices import Choices
from google.protobuf.wrappers_pb2 import BoolValue, UInt64Value
from support.codings import ENCODERS
from support.exchanges import Case, load_case
from support.messages import (
    protocol,
    request_body,
    request_headers,
    request_trailers,
    response_body,
    response_headers,
    response_trailers,
    typed_context,
    untyped_context,
)

from extproc.wire.ai_pb2 import OPENAI_CHAT_COMPLETIONS, RequestInfo, TokenUsage
from extproc.wire.envoy import Phase

_FIXTURES = Path(__file__).resolve().parents[1] / "fixtures"
_MAX_ANSWER_BYTES = 3000


def _chat(answer: bytes, content_type: str = "text/event-stream") -> Case:
    asked = b'{"model": "gpt-4o", "stream": true, "messages": [{"role": "user", "content": "one two"}]}'
    return Case(request=asked, response=answer, content_type=content_type)


_SAID = b'data: {"model":"m","choices":[{"index":0,"delta":{"content":"a b "}}],"usage":null}\n\n'
_USED = b'data: {"model":"m","choices":[],"usage":{"prompt_tokens":3,"completion_tokens":4}}\n\n'

# Some of our own in front, which the fuzzer meets first; then what providers answer.
CASES = (
    _chat(_SAID * 5 + _USED + b"data: [DONE]\n\n"),
    _chat(_SAID * 3),
    Case(response=b'{"model": "m", "choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 4}}'),
    Case(
        status=400, response=b'{"error": {"message": "stream_options is not known", "type": "invalid_request_error"}}'
    ),
    Case(path="/health", authority="example.com", request=b"", method="GET", content_type="text/plain", response=b"ok"),
    *(
        case
        for case in map(load_case, (path.parent for path in sorted(_FIXTURES.glob("*/*/case.json"))))
        if len(case.response) <= _MAX_ANSWER_BYTES
    ),
)

_MODES = ("NONE", "STREAMED", "BUFFERED", "BUFFERED_PARTIAL", "FULL_DUPLEX_STREAMED", "GRPC")
_PHASES = (*Phase, Phase.RESPONSE_BODY, Phase.RESPONSE_BODY)
_GARBAGE = (b"", b"\x01garbage", b"\x2a\x7f", b"\x42\0")
_HEADERS = {"x-request-id": "r-1", "x-team": "blue", "authorization": "Bearer s3cret", "x-llm-provider": "liar"}
_TRACES = {"traceparent": "00-" + "ab" * 16 + "-" + "cd" * 8 + "-01", "tracestate": "a=b", "b3": "0"}
_ASKED = RequestInfo(model="gpt-4o", stream=BoolValue(value=True))
_USED_NATIVELY = TokenUsage(
    llm_protocol=OPENAI_CHAT_COMPLETIONS, input_tokens=UInt64Value(value=3), output_tokens=UInt64Value(value=4)
)
_CONTEXTS = (
    None,
    None,
    typed_context(request_info=_ASKED),
    typed_context(request_info=_ASKED, token_usage=_USED_NATIVELY),
    untyped_context(request_info={"model": 7}, token_usage={"inputTokens": "x", "output_tokens": -3}),
    untyped_context(other={"team": "blue"}),
)


class Messages:
    """The messages of one stream, and what was said in them."""

    def __init__(self, choices: Choices) -> None:
        self._choices = choices
        self._case = CASES[choices.number() % len(CASES)]
        coding = choices.one_of((None, None, None, *ENCODERS))
        self._response_headers = self._case.response_headers
        self._response = self._case.response
        if coding is not None:
            self._response = ENCODERS[coding](self._response)
            self._response_headers = self._response_headers | {"content-encoding": coding.lower()}
        self._modes = choices.one_of(_MODES), choices.one_of(_MODES)
        self._declares_modes = not choices.rarely()
        self._observes = choices.rarely()
        self._is_first = True
        self._sent = {Phase.REQUEST_BODY: 0, Phase.RESPONSE_BODY: 0}

    def __iter__(self) -> Iterator[bytes]:
        """Yield messages until the choices are used up: most often in their order."""
        order = (Phase.REQUEST_HEADERS, Phase.REQUEST_BODY, Phase.RESPONSE_HEADERS)
        yield from map(self._message, order if self._choices.flag() else order[: self._choices.number(4)])
        while self._choices:
            kind = self._choices.number()
            if kind < 240:
                yield self._message(_PHASES[kind % len(_PHASES)])
            elif kind < 248:
                yield _GARBAGE[kind % len(_GARBAGE)]
            else:
                yield self._choices.bytes_of(self._choices.number(64))

    def _message(self, phase: Phase) -> bytes:
        builders: dict[Phase, Callable[[], bytes]] = {
            Phase.REQUEST_HEADERS: self._request_headers,
            Phase.RESPONSE_HEADERS: self._answer_headers,
            Phase.REQUEST_TRAILERS: request_trailers,
            Phase.RESPONSE_TRAILERS: lambda: response_trailers(**self._more()),
            Phase.REQUEST_BODY: lambda: self._body(Phase.REQUEST_BODY, self._case.request),
            Phase.RESPONSE_BODY: lambda: self._body(Phase.RESPONSE_BODY, self._response),
        }
        message = builders[phase]()
        self._is_first = False
        return message

    def _more(self) -> dict[str, Any]:
        more: dict[str, Any] = {"metadata_context": self._choices.one_of(_CONTEXTS)}
        if self._is_first and self._declares_modes:
            more["protocol_config"] = protocol(*self._modes)
        if self._observes:
            more["observability_mode"] = True
        return more

    def _request_headers(self) -> bytes:
        headers = dict(self._case.request_headers)
        if self._choices.flag():
            headers |= _HEADERS
        if self._choices.flag():
            headers |= _TRACES
        if self._choices.rarely():
            headers["content-length"] = str(self._choices.number())
        if self._choices.rarely():
            headers[self._choices.one_of(tuple(headers))] = self._choices.bytes_of(20).decode("latin-1")
        more = self._more()
        config = more.pop("protocol_config", None)
        return request_headers(headers, end=self._choices.rarely(), config=config, **more)

    def _answer_headers(self) -> bytes:
        headers = dict(self._response_headers)
        if self._choices.rarely():
            headers[self._choices.one_of(tuple(headers))] = self._choices.bytes_of(20).decode("latin-1")
        return response_headers(headers, end=self._choices.rarely(), **self._more())

    def _body(self, phase: Phase, body: bytes) -> bytes:
        """Return the next piece of a body: of what comes next, of all of it again, or something else."""
        kind, length = self._choices.number(8), self._choices.number()
        if kind == 0:
            chunk = self._choices.bytes_of(length)
        else:
            start = self._sent[phase]
            chunk = body[start:] if kind <= 2 else body[start : start + 1 + length]
            self._sent[phase] = 0 if kind == 1 and start else start + len(chunk)
        end = kind == 2 or (kind == 3 and length % 2 == 1)
        build = request_body if phase is Phase.REQUEST_BODY else response_body
        # Most chunks of an answer say nothing else, and take the short way.
        return build(
            chunk, end=end, **({} if kind >= 6 and not self._observes and not self._is_first else self._more())
        )
