from __future__ import annotations

from support.messages import protocol, request_headers, response_body, response_headers

from extproc.include_usage import UsageFilter
from extproc.injection import KNOWN_PROVIDERS, Injection, Injector
from extproc.providers.detect import Detector
from extproc.question import Question
from extproc.server.unread import Unread
from extproc.wire.envoy import CONTINUE, Phase, decode_request, read_modes

HEADERS = {":method": "POST", ":authority": "api.openai.com", ":path": "/v1/chat/completions"}
QUESTION = b'{"model":"gpt-4o","messages":[],"stream":true}'
EVENTS = {":status": "200", "content-type": "text/event-stream"}
USAGE = b'data: {"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":4}}\n\n'


def asked(*, is_sent: bool) -> Injection:
    """Return what has asked for usage in a client's place, in a request that has gone on, or is about to."""
    injector = Injector(KNOWN_PROVIDERS, overrides_false=False, max_event_bytes=1000)
    question = Question(None)
    question.read_headers(HEADERS, Detector())
    injection = injector.begin(question, HEADERS)
    assert injection is not None
    injection.end_request(QUESTION, {"stream": True}, None, 0.0)
    assert injection.edited is not None
    if is_sent:
        injection.edited = None
    return injection


def answer(unread: Unread, message: bytes) -> bytes | None:
    request, phase = decode_request(message)
    return unread.answer(phase, request)


class Broken(UsageFilter):
    """A filter that fails while it holds something back."""

    def feed(self, chunk: bytes) -> bytes:
        raise KeyError(chunk)

    def release(self) -> bytes:
        return b"held"


def build(injection: Injection, bugs: list[Exception]) -> Unread:
    request, _ = decode_request(request_headers(config=protocol()))
    return Unread(bugs.append, read_modes(request), injection)


def test_an_answer_to_an_edited_request_is_still_filtered() -> None:
    """The client has not asked for what was added; the stream is needed until that is known."""
    bugs: list[Exception] = []
    unread = build(asked(is_sent=True), bugs)
    assert unread.must_stay
    answer(unread, response_headers(EVENTS))
    assert unread.must_stay
    assert answer(unread, response_body(USAGE)) != CONTINUE[Phase.RESPONSE_BODY]
    assert (unread.must_stay, bugs) == (True, [])


def test_where_nothing_is_to_be_taken_out_the_stream_may_go() -> None:
    """An answer that is no stream, or one whose headers were not shown."""
    for message in (response_headers({":status": "400", "content-type": "application/json"}), response_body(USAGE)):
        unread = build(asked(is_sent=True), [])
        answer(unread, message)
        assert not unread.must_stay


def test_an_edit_that_has_not_gone_on_is_not_made() -> None:
    """So that there is nothing to take out."""
    injection = asked(is_sent=False)
    assert not build(injection, []).must_stay
    assert (injection.edited, injection.outcome) == (None, None)


def test_a_bug_in_what_is_left_of_an_edit_ends_it() -> None:
    """The rest goes on as it comes."""
    bugs: list[Exception] = []
    injection = asked(is_sent=True)
    unread = build(injection, bugs)
    answer(unread, response_headers(EVENTS))
    injection.filter = Broken(null=True, max_event_bytes=1)
    reply = answer(unread, response_body(USAGE))
    assert reply is not None
    assert b"held" + USAGE in reply
    assert not unread.must_stay
    assert [type(bug) for bug in bugs] == [KeyError]
