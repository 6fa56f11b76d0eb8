from __future__ import annotations

import gzip
from collections.abc import Mapping
from typing import Any

import pytest
from support.exchanges import DETECTOR, LIMITS

from extproc.exchange import Exchange
from extproc.injection import KNOWN_PROVIDERS, Injector, Outcome
from extproc.policy import Policy
from extproc.usage import Completion

HEADERS = {
    ":method": "POST",
    ":authority": "api.openai.com",
    ":path": "/v1/chat/completions",
    "content-type": "application/json",
}
QUESTION = b'{"model":"m","messages":[],"stream":true}'
EDITED = b'{"model":"m","messages":[],"stream":true,"stream_options":{"include_usage":true}}'
EVENTS = {":status": "200", "content-type": "text/event-stream"}
REFUSAL = (
    b'{"error":{"message":"Unrecognized request argument supplied: stream_options","type":"invalid_request_error"}}'
)


def injector(providers: frozenset[str] | None = KNOWN_PROVIDERS, *, overrides_false: bool = False) -> Injector:
    return Injector(providers, overrides_false=overrides_false, max_event_bytes=10_000)


def begin(
    by: Injector, headers: Mapping[str, str] = HEADERS, *, may_edit: bool = True, is_held: bool = False
) -> Exchange:
    """Return an exchange whose request headers were read."""
    exchange = Exchange(LIMITS, DETECTOR, provider=None, now=0.0, policy=Policy(injector=by))
    exchange.may_edit, exchange.is_held = may_edit, is_held
    exchange.request_headers(headers, end_of_stream=False, now=0.0)
    return exchange


def ask(by: Injector, question: bytes = QUESTION, **more: str) -> Exchange:
    """Return one whose request was read, too."""
    exchange = begin(by, HEADERS | {name.replace("_", "-"): value for name, value in more.items()})
    exchange.request_body(question, end_of_stream=True, now=1.0)
    return exchange


def edited(exchange: Exchange) -> bytes | None:
    return None if exchange.injection is None else exchange.injection.edited


def outcome(exchange: Exchange) -> str | None:
    exchange.close(Completion.CANCELLED, 9.0)
    assert exchange.record is not None
    return exchange.record.include_usage


def test_a_stream_without_usage_is_asked_for_it() -> None:
    """And what that adds to the answer is taken out."""
    exchange = ask(injector())
    assert edited(exchange) == EDITED
    exchange.response_headers(EVENTS, end_of_stream=False, now=2.0)
    assert exchange.injection is not None
    assert exchange.injection.filter is not None
    assert exchange.injection.filter.feed(b'data: {"choices":[],"usage":{}}\n\n') == b""
    assert outcome(exchange) == Outcome.ADDED


@pytest.mark.parametrize(
    "question",
    [
        b'{"model":"m","messages":[]}',
        b'{"model":"m","messages":[],"stream":false}',
        b'{"model":"m","messages":[],"stream":"true"}',
        b'{"model":"m","messages":[],"stream":true,"stream_options":{"include_usage":true}}',
    ],
)
def test_who_streams_not_or_asks_by_itself_is_left_alone(question: bytes) -> None:
    """Without `stream: true` the option is an error to some servers."""
    exchange = ask(injector(), question)
    assert (edited(exchange), outcome(exchange)) == (None, None)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (b"null", b'{"include_usage":true}'),
        (b'{"include_obfuscation":false}', b'{"include_usage":true,"include_obfuscation":false}'),
        (b'{"include_usage":null}', b'{"include_usage":true}'),
    ],
)
def test_other_options_are_kept(options: bytes, expected: bytes) -> None:
    """Null says nothing."""
    question = b'{"messages":[],"stream":true,"stream_options":%s}'
    assert edited(ask(injector(), question % options)) == question % expected


@pytest.mark.parametrize("overrides", [True, False])
def test_an_explicit_false_is_respected_unless_it_is_not_to_be(overrides: bool) -> None:
    """Some clients break where a chunk has no choices."""
    question = b'{"messages":[],"stream":true,"stream_options":{"include_usage":false}}'
    exchange = ask(injector(overrides_false=overrides), question)
    assert edited(exchange) == (question.replace(b"false", b"true") if overrides else None)
    assert outcome(exchange) == ("added" if overrides else "explicit_false")


@pytest.mark.parametrize(
    ("question", "headers", "expected"),
    [
        (b"\x1f\x8b...", {"content_encoding": "gzip"}, Outcome.COMPRESSED),
        (b"\x1f\x8b...", {"content_encoding": "unheard-of"}, Outcome.COMPRESSED),
        (b'{"stream": tru}', {}, Outcome.NOT_JSON),
        (b'{"stream": true', {}, Outcome.NOT_WHOLE),
        (b'{"stream": true, "x": "%s"}' % (b"x" * LIMITS.max_body_bytes), {}, None),
        (b'{"stream": true, "x": [%s1]}' % (b'"x",' * (LIMITS.max_body_bytes // 4)), {}, Outcome.TOO_LARGE),
        (b'{"stream":true,"stream_options":[]}', {}, Outcome.NOT_JSON),
        (QUESTION, {"content_digest": "sha-256=:x:"}, Outcome.SIGNED),
        (QUESTION, {"x_amz_content_sha256": "x"}, Outcome.SIGNED),
        (QUESTION.decode().encode("utf-16-be"), {}, Outcome.NOT_JSON),
        (QUESTION.decode().encode("utf-32-be"), {}, Outcome.NOT_JSON),
        (b"[]", {}, None),
        (b"", {}, None),
    ],
    ids=range(13),
)
def test_what_can_not_be_edited_safely_passes_and_is_counted(
    question: bytes, headers: dict[str, str], expected: Outcome | None
) -> None:
    """As it is."""
    exchange = ask(injector(), question, **headers)
    if expected is None and edited(exchange) is not None:
        assert edited(exchange) == question[:-1] + b',"stream_options":{"include_usage":true}}'
        return
    assert (edited(exchange), outcome(exchange)) == (None, expected)


def test_a_compressed_request_that_could_be_read_passes_too() -> None:
    """It would have to be compressed anew."""
    exchange = ask(injector(), gzip.compress(QUESTION), content_encoding="gzip")
    assert (edited(exchange), outcome(exchange)) == (None, Outcome.COMPRESSED)


@pytest.mark.parametrize(
    ("chunks", "expected", "word"),
    [
        ([QUESTION[:9], QUESTION[9:]], EDITED[9:], "added"),
        ([QUESTION[:-1], b"}"], EDITED[len(QUESTION) - 1 :], "added"),
        ([b'{"stream":true,"stream_options":', b"null}"], None, "not_whole"),
    ],
)
def test_of_a_request_in_chunks_the_last_is_edited(chunks: list[bytes], expected: bytes | None, word: str) -> None:
    """Those before it have gone on. Which is the last tells the length: its end may come when it is too late."""
    length = sum(map(len, chunks))
    exchange = begin(injector(), HEADERS | {"content-length": str(length)})
    for chunk in chunks[:-1]:
        exchange.request_body(chunk, end_of_stream=False, now=1.0)
        assert edited(exchange) is None
    exchange.request_body(chunks[-1], end_of_stream=False, now=1.0)
    assert edited(exchange) == expected
    exchange.request_body(b"", end_of_stream=True, now=1.0)
    assert outcome(exchange) == word


def test_a_request_whose_length_nobody_tells_may_be_on_its_way() -> None:
    """Then nothing of it can be changed."""
    exchange = begin(injector())
    exchange.request_body(QUESTION, end_of_stream=False, now=1.0)
    exchange.request_body(b"", end_of_stream=True, now=1.0)
    assert (edited(exchange), outcome(exchange)) == (None, Outcome.NOT_WHOLE)


@pytest.mark.parametrize("is_held", [True, False])
def test_a_request_of_which_only_a_part_is_shown_is_left_alone(is_held: bool) -> None:
    """It has no end."""
    exchange = begin(injector(), is_held=is_held)
    exchange.request_body(QUESTION[:20], end_of_stream=False, now=1.0)
    exchange.response_headers(EVENTS, end_of_stream=False, now=1.0)
    assert (edited(exchange), outcome(exchange)) == (None, Outcome.NOT_WHOLE)


@pytest.mark.parametrize("is_held", [True, False])
def test_a_request_that_ends_with_trailers_is_left_alone(is_held: bool) -> None:
    """Its last bytes have gone on, or were not said to be the last."""
    exchange = begin(injector(), is_held=is_held)
    exchange.request_body(QUESTION, end_of_stream=False, now=1.0)
    exchange.request_trailers(1.0)
    assert (edited(exchange), outcome(exchange)) == (None, Outcome.NOT_WHOLE)


@pytest.mark.parametrize(
    ("headers", "providers", "is_asked"),
    [
        ({":path": "/v1/completions"}, KNOWN_PROVIDERS, True),
        ({":path": "/v1/embeddings"}, None, False),
        ({":path": "/v1/responses"}, None, False),
        ({":authority": "api.anthropic.com", ":path": "/v1/messages"}, None, False),
        ({":authority": "gateway:8080"}, KNOWN_PROVIDERS, True),
        ({":authority": "api.mistral.ai"}, KNOWN_PROVIDERS, False),
        ({":authority": "api.mistral.ai"}, None, True),
        ({":authority": "api.deepseek.com", ":path": "/chat/completions"}, KNOWN_PROVIDERS, False),
        ({":authority": "x.openai.azure.com"}, KNOWN_PROVIDERS, True),
    ],
)
def test_who_is_asked(headers: dict[str, str], providers: frozenset[str] | None, is_asked: bool) -> None:
    """Who is known to take it, and needs it; or everybody who speaks OpenAI's chat or completions."""
    assert (begin(injector(providers), HEADERS | headers).injection is not None) == is_asked


@pytest.mark.parametrize(
    ("version", "is_asked"),
    [
        ("?api-version=2024-08-01-preview", False),
        ("?api-version=2024-09-01-preview", True),
        ("?x=1&api-version=2023-05-15", False),
        ("?api-version=preview", True),
        ("", True),
    ],
)
def test_old_versions_of_azures_api_do_not_know_the_option(version: str, is_asked: bool) -> None:
    """They answer with an error."""
    path = f"/openai/deployments/gpt-4o/chat/completions{version}"
    headers = HEADERS | {":authority": "x.openai.azure.com", ":path": path}
    assert (begin(injector(), headers).injection is not None) == is_asked


def test_where_bodies_can_not_be_changed_nobody_is_asked() -> None:
    """Envoy's mode says so."""
    assert begin(injector(), may_edit=False).injection is None


@pytest.mark.parametrize("status", [400, 422])
def test_who_refuses_the_option_is_not_asked_again(status: int) -> None:
    """The same model at the same place; others are."""
    by = injector()
    exchange = ask(by)
    headers: dict[str, Any] = {":status": str(status), "content-type": "application/json"}
    exchange.response_headers(headers, end_of_stream=False, now=2.0)
    exchange.response_body(REFUSAL, end_of_stream=True, now=2.0)
    assert outcome(exchange) == Outcome.REFUSED
    again, other = ask(by), ask(by, QUESTION.replace(b'"m"', b'"n"'))
    assert (edited(again), outcome(again)) == (None, Outcome.REFUSED)
    assert edited(other) is not None


@pytest.mark.parametrize(
    ("status", "body"), [("400", b'{"error":{"message":"no such model"}}'), ("500", REFUSAL), ("200", REFUSAL)]
)
def test_other_errors_are_no_refusal(status: str, body: bytes) -> None:
    """A client may have made a mistake of its own."""
    by = injector()
    exchange = ask(by)
    exchange.response_headers({":status": status, "content-type": "application/json"}, end_of_stream=False, now=2.0)
    exchange.response_body(body, end_of_stream=True, now=2.0)
    assert outcome(exchange) == Outcome.ADDED
    assert edited(ask(by)) is not None


def test_an_answer_that_can_not_be_stripped_is_the_last_of_its_kind() -> None:
    """It comes compressed though nobody asked for that."""
    by = injector()
    exchange = ask(by)
    exchange.response_headers(EVENTS | {"content-encoding": "gzip"}, end_of_stream=False, now=2.0)
    assert exchange.injection is not None
    assert (exchange.injection.filter, outcome(exchange)) == (None, Outcome.NOT_STRIPPED)
    assert edited(ask(by)) is None


def test_where_envoy_refuses_an_edit_nobody_is_asked_again() -> None:
    """It ends the exchange at once, and answers with an error."""
    by = injector()
    exchange = ask(by)
    exchange.close(Completion.CANCELLED, 1.01)
    assert exchange.record is not None
    assert exchange.record.include_usage == Outcome.NOT_ALLOWED
    again = ask(by)
    assert (edited(again), outcome(again)) == (None, Outcome.NOT_ALLOWED)


@pytest.mark.parametrize(("closed_at", "was_taken_before"), [(1.01, True), (2.0, False)])
def test_a_client_that_hangs_up_is_no_refusal(closed_at: float, was_taken_before: bool) -> None:
    """It takes longer, or Envoy has taken such an edit before."""
    by = injector()
    if was_taken_before:
        ask(by).response_headers(EVENTS, end_of_stream=False, now=2.0)
    ask(by).close(Completion.CANCELLED, closed_at)
    assert by.is_allowed
    assert edited(ask(by)) is not None


def test_an_exchange_that_was_not_edited_tells_nothing_of_envoy() -> None:
    """However soon it ends."""
    by = injector()
    exchange = ask(by, b'{"model":"m"}')
    exchange.close(Completion.CANCELLED, 1.01)
    assert by.is_allowed
    answered = ask(by, b'{"model":"m"}')
    answered.response_headers(EVENTS, end_of_stream=False, now=2.0)
    assert not by.is_proven(has_length=False)


def test_what_envoy_takes_of_requests_without_length_tells_nothing_of_others() -> None:
    """Its rules may forbid nothing but to put a length right."""
    by = injector()
    ask(by).response_headers(EVENTS, end_of_stream=False, now=2.0)
    ask(by).close(Completion.CANCELLED, 1.01)
    assert by.is_allowed
    ask(by, content_length=str(len(QUESTION))).close(Completion.CANCELLED, 1.01)
    assert not by.is_allowed


def test_what_envoy_takes_of_requests_with_a_length_tells_of_all() -> None:
    """They change more."""
    by = injector()
    length = str(len(QUESTION))
    ask(by, content_length=length).response_headers(EVENTS, end_of_stream=False, now=2.0)
    ask(by, content_length=length).close(Completion.CANCELLED, 1.01)
    ask(by).close(Completion.CANCELLED, 1.01)
    assert by.is_allowed


def refuse(by: Injector, body: bytes, **headers: str) -> str | None:
    """Return what becomes of an exchange that is answered with an error, cut into pieces."""
    exchange = ask(by)
    more = {name.replace("_", "-"): value for name, value in headers.items()}
    exchange.response_headers(
        {":status": "400", "content-type": "application/json"} | more, end_of_stream=False, now=2.0
    )
    for start in range(0, len(body), 7):
        exchange.response_body(body[start : start + 7], end_of_stream=start + 7 >= len(body), now=2.0)
    return outcome(exchange)


@pytest.mark.parametrize(("body", "headers"), [(REFUSAL, {}), (gzip.compress(REFUSAL), {"content_encoding": "gzip"})])
def test_a_refusal_is_read_however_it_is_sent(body: bytes, headers: dict[str, str]) -> None:
    """Or each request would be refused for what was added to it."""
    by = injector()
    assert refuse(by, body, **headers) == Outcome.REFUSED
    assert edited(ask(by)) is None


@pytest.mark.parametrize("coding", ["gzip", "unheard-of"])
def test_an_error_that_can_not_be_read_is_no_refusal(coding: str) -> None:
    """A client may have made a mistake of its own."""
    by = injector()
    assert refuse(by, REFUSAL, content_encoding=coding) == Outcome.ADDED
    assert edited(ask(by)) is not None


def test_who_has_taken_the_option_does_not_refuse_it_later() -> None:
    """Servers repeat the request in what they say of a mistake in it: of any other."""
    by = injector()
    for _ in range(2):
        ask(by).response_headers(EVENTS, end_of_stream=False, now=2.0)
        assert refuse(by, REFUSAL) == Outcome.ADDED
    assert edited(ask(by)) is not None


def test_an_error_that_is_sent_as_a_stream_is_no_sign_that_the_option_was_taken() -> None:
    """It may be the refusal, which would then be passed over for good."""
    by = injector()
    ask(by).response_headers(EVENTS | {":status": "400"}, end_of_stream=False, now=2.0)
    assert refuse(by, REFUSAL) == Outcome.REFUSED
    assert edited(ask(by)) is None


def test_an_answer_whose_headers_are_skipped_is_the_last_of_its_kind() -> None:
    """Nothing is known of its body, and nothing is taken out of it."""
    by = injector()
    exchange = ask(by)
    for _ in range(2):
        exchange.response_body(b'data: {"choices":[]}\n\n', end_of_stream=False, now=2.0)
    assert outcome(exchange) == Outcome.NOT_STRIPPED
    assert (edited(ask(by)), by.is_allowed) == (None, True)


def test_usage_in_each_chunk_is_no_ones_wish_who_does_not_ask_for_it() -> None:
    """To ask would grant what a client has asked for in vain, and each of its chunks would be another."""
    question = b'{"messages":[],"stream":true,"stream_options":{"continuous_usage_stats":true}}'
    exchange = ask(injector(), question)
    assert (edited(exchange), outcome(exchange)) == (None, Outcome.EXPLICIT_FALSE)


def test_places_that_refuse_are_bounded() -> None:
    """Clients choose the names of models."""
    by = injector()
    for number in range(5000):
        by.refuse(number)
    assert (by.is_refusing(0), by.is_refusing(4999)) == (False, True)
