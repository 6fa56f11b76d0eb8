"""`include_usage` put into requests: the document that goes on is the one that came, and the option."""

from __future__ import annotations

import json
from typing import Any

from fuzz.choices import Choices
from fuzz.json_text import JSON_WORDS
from fuzz.target import Target

from extproc.codec.document import decode_document
from extproc.codec.payload import BOM
from extproc.errors import DecodeError
from extproc.exchange import Exchange
from extproc.include_usage import set_option
from extproc.injection import Injector, Outcome
from extproc.policy import Policy
from extproc.providers.detect import Detector
from extproc.readers import Limits
from extproc.usage import Completion

_HEADERS = {
    ":method": "POST",
    ":authority": "api.openai.com",
    ":path": "/v1/chat/completions",
    "content-type": "application/json",
}
_LIMITS, _DETECTOR = Limits(), Detector()


def check(data: bytes) -> None:
    """Nothing else of the document changes, however it was written and cut; or nothing changes at all."""
    choices = Choices(data)
    is_held, overrides, place, ends_apart = choices.flag(), choices.flag(), choices.number(), choices.rarely()
    body = choices.rest()
    cut = len(body) * place // 256
    chunks = [body] if is_held else [body[:cut], body[cut:]]
    if ends_apart:
        chunks.append(b"")
    injector = Injector(None, overrides_false=overrides, max_event_bytes=1 << 20)
    exchange = Exchange(_LIMITS, _DETECTOR, provider=None, now=0.0, policy=Policy(injector=injector))
    exchange.may_edit, exchange.is_held = True, is_held
    exchange.request_headers(_HEADERS, end_of_stream=False, now=0.0)
    sent = b""
    for number, chunk in enumerate(chunks):
        exchange.request_body(chunk, end_of_stream=number == len(chunks) - 1, now=0.0)
        edited = None if exchange.injection is None else exchange.injection.edited
        sent += chunk if edited is None else edited
        if exchange.injection is not None:
            exchange.injection.edited = None
    exchange.close(Completion.CANCELLED, 9.0)
    assert exchange.record is not None
    if exchange.record.include_usage != Outcome.ADDED:
        assert sent == body
    else:
        _assert_added(_decode(body), _decode(sent))
    _check_set(body)


def _check_set(body: bytes) -> None:
    edited = set_option(body)
    if edited is not None and isinstance(before := _decode(body), dict):
        _assert_added(before, _decode(edited))


def _assert_added(before: Any, after: Any) -> None:
    assert isinstance(before, dict), "only an object is edited"
    assert isinstance(after, dict), "what was a document is none"
    options = before.get("stream_options")
    expected = before | {"stream_options": (options or {}) | {"include_usage": True}}
    # As text, in which what is not a number is what it is.
    assert json.dumps(after, sort_keys=True) == json.dumps(expected, sort_keys=True)


def _decode(body: bytes) -> Any:
    try:
        return decode_document(body.removeprefix(BOM))
    except DecodeError:
        return None


def seeds() -> list[bytes]:
    """Return requests in all the ways they are written."""
    bodies = [
        b'{"stream":true,"model":"m"}',
        b'{"stream": true, "stream_options": null, "model": "m"}',
        b'{"stream": true, "stream_options": {"include_usage": false}} \n',
        b'{"stream": true, "stream_options": {}, "messages": [{"content": "\\"stream_options\\": {}"}]}',
        b'{\n "stream": true,\n "stream_options": {\n  "a": 1\n }\n}\n',
        b'{"stream": true, "stream_\\u006fptions": {"include_usage": null}}',
        b'{"stream": true, "stream_options": {"continuous_usage_stats": true}}',
        '{"stream": true}'.encode("utf-16"),
        '\ufeff{"stream": true}'.encode(),
        b'{"stream": true, "n": NaN, "a": "\\ud800"}',
    ]
    return [bytes((held, 1, place, 0)) + body for body in bodies for held, place in ((1, 0), (0, 250), (0, 128))]


WORDS = (
    b'"stream":true',
    b'"stream_options":',
    b'"include_usage":',
    b"false",
    b"null",
    b"{}",
    b"}",
    b"\0",
    *JSON_WORDS[:20],
)
MODULES = ("extproc.include_usage", "extproc.injection", "extproc.request_reader")
TARGET = Target("request_edit", check, seeds, MODULES, WORDS, is_json=True)
