from __future__ import annotations

import gzip
from dataclasses import replace
from typing import Any

import pytest
from support.captures import ANSWER, CHUNK, COUNTS, QUESTION, SECRET, capture, encode, events

from extproc.errors import ExtractionError, Reason, Stage
from extproc.policy import Policy
from extproc.providers.detect import Detector, Rule
from extproc.readers import Limits
from extproc.replay.capture import Capture
from extproc.replay.explain import explain
from extproc.replay.play import Observer, Split, play
from extproc.usage import Completion, UsageRecord

NOT_OF_BODIES = (Reason.NATIVE_FAILED, Reason.UNDECODABLE, Reason.UNKNOWN_PHASE, Reason.INTERNAL)
MESSAGES = "/v1/messages"
MOVING: Any = {"usageMetadata": {"promptTokenCount": 3, "candidatesTokenCount": 1}}
STARTED = {
    "type": "message_start",
    "message": {"type": "message", "model": "claude-haiku-4-5", "usage": {"input_tokens": 3, "output_tokens": 1}},
}
USED = CHUNK | {"choices": [], "usage": COUNTS}
NO_USAGE = {key: value for key, value in ANSWER.items() if key != "usage"}
TGI = {"generated_text": SECRET}
FORM = f"multipart/form-data; boundary={SECRET}"


def why(one: Capture, limits: Limits | None = None, *rules: Rule) -> str | None:
    """Return the explanation of what becomes of a capture."""
    observer = Observer(limits or Limits(), Detector(rules))
    return explain(play(one, observer, Split()), one, observer)


def stream(*documents: Any, **changes: Any) -> Capture:
    return capture(response=events(*documents), response_type="text/event-stream", **changes)


@pytest.mark.parametrize("one", [capture(), stream(CHUNK, USED), stream(CHUNK, USED, b"[DONE]")])
def test_good_counts_need_no_explanation(one: Capture) -> None:
    """Nor is one made up."""
    assert why(one) is None


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "the client did not ask for include_usage (stream_options.include_usage: true)"),
        ({"stream_options": {"include_usage": False}}, "the client did not ask for include_usage"),
        ({"stream_options": None}, "the client did not ask for include_usage"),
        ({"stream_options": {"include_usage": True}}, "though the client asked for it"),
        ({"stream_options": SECRET}, "can't be seen: the request could not be read"),
    ],
)
def test_a_stream_without_usage(options: dict[str, Any], said: str) -> None:
    """Whose fault it is stands in the request."""
    told = why(stream(CHUNK, b"[DONE]", request={**QUESTION, "stream": True, **options})) or ""
    assert told.startswith("the stream carried no usage")
    assert said in told


def test_an_estimate_is_told_and_why_it_was_needed() -> None:
    """And why it has but one side."""
    policy = Policy(count_text=lambda text, *_: len(text))
    observer = Observer(Limits(), Detector(), policy)
    plain = stream(CHUNK, b"[DONE]")
    compressed = replace(plain, request_headers={**plain.request_headers, "content-encoding": "unknown"})
    for one, is_lacking in ((plain, False), (compressed, True)):
        told = explain(play(one, observer, Split()), one, observer) or ""
        assert "the stream carried no usage" in told
        assert told.endswith("what is shown is counted from the texts")
        assert ("the prompt could not be estimated (content_encoding)" in told) == is_lacking


def test_a_stream_on_an_unknown_path_is_asked_the_same() -> None:
    """The shape tells that it is of that API."""
    assert "did not ask for include_usage" in (why(stream(CHUNK, path="/mine", authority="x.example")) or "")


@pytest.mark.parametrize(
    ("one", "said"),
    [
        (capture(method="GET"), "not an LLM exchange: the method is GET, and only answers to POST are counted"),
        (capture(method=f"A {SECRET}"), "not an LLM exchange: the method is another one"),
        (capture(authority="x.example", path="/cart", request={"item": 1}), "name its provider on the route (x-llm-"),
        (
            capture(authority="x.example", path="/cart", request={"item": 1}),
            "no known API has the path /cart, and the request (application/json) does not name a model and give it",
        ),
        (
            capture(path="/v1/files", response={"id": 1}, request=b"model=x", request_type=FORM),
            "(multipart/form-data) does not name a model and give it something, nor is the answer (application/json)",
        ),
        (capture(path="/v1/files", request_type=f"{SECRET}/;", request={}, response={}), "(of an odd content-type)"),
        (capture(path="/v1/files", request_type="", request={}, response={}), "(of no content-type)"),
        (capture(path="/v1/moderations", response={"results": []}), "nothing is counted here by design"),
        (capture(path="/mine", response={"id": 1}), "the answer is not of the shape of any API that is read"),
        (capture(response=NO_USAGE), "the answer holds no usage: this server, or something between, leaves it out"),
        (stream(STARTED | {"message": {}}, path=MESSAGES), "the stream carried no usage: this server leaves it out"),
        (capture(path="/v1/audio/speech", response=b"", response_type="audio/mpeg"), "(audio/mpeg) is of a kind that"),
        (capture(authority="x.example", path="/generate_stream", response=TGI), "the client has to ask for it"),
        (capture(authority="x.example", path="/generate", request={}, response={}), "have such a path, and the answer"),
        (capture(authority="x.example", path="/api/chat", request={}), "have such a path, and the request (appl"),
        (capture(status=None), "the capture holds no answer: the request was blocked, or given up"),
        (capture(response=None), "the capture does not hold the answer's body: save it with content"),
        (capture(response=b""), "the answer has no body"),
        (capture(response_type="audio/mpeg"), "the answer is of type audio/mpeg, of which no usage is read"),
        (capture(coding="rot13"), "the answer has the content-encoding rot13, which is not read: with request_headers"),
        (capture(coding=f"{SECRET} {SECRET}"), "the answer has the content-encoding it has, which is not read"),
        (capture(coding="gzip"), "the answer is not of the content-encoding gzip that its headers name"),
        (capture(coding="gzip", response=gzip.compress(encode(ANSWER))[:-9]), "the answer stops in the middle"),
        (capture(response=encode(ANSWER)[:-9]), "the answer stops in the middle: it was cut off, or captured in part"),
        (capture(response=f"{{{SECRET}}}".encode()), "the answer is not JSON, or a part of it is not"),
        (stream(b"{}}", USED), "the answer is not JSON, or a part of it is not"),
        (capture(response=ANSWER | {"usage": {"prompt_tokens": SECRET}}), "held a count that is no whole number"),
        (capture(status=401, response={"error": {"type": "a_b", "message": SECRET}}), "an error (a_b, status 401)"),
        (capture(status=502, response=b"<html>", response_type="text/html"), "an error (502)"),
        (stream({"error": {"code": 502}}), "the answer is an error (502)"),
        (stream(USED, {"error": {"code": 502}}), "ended in an error (502): the counts are those reported before it"),
        (stream(USED, b"{}}"), "those here may not be the last ones"),
        (stream(STARTED, path=MESSAGES), "the answer ended early: the counts are the last ones reported before that"),
        (stream(MOVING, path="/v1/models/g:streamGenerateContent"), "the stream told no finish reason: if it was cut"),
        (capture(response=ANSWER | {"usage": {"prompt_tokens": 1}}), "the provider reported no completion tokens"),
        (capture(response=ANSWER | {"usage": {"total_tokens": 1}}), "reported no prompt and no completion tokens"),
        (capture(request=b'{"model": '), "the request stops in the middle"),
        (stream(CHUNK, request=b'{"model": '), "can't be seen: the request could not be read"),
    ],
)  # fmt: skip
def test_why_counts_are_missing_or_doubtful(one: Capture, said: str) -> None:
    """In words, and none of them from a body, a header value that is no media type, or a query."""
    told = why(one) or ""
    assert said in told
    assert SECRET not in told


def test_an_answer_that_is_cut_off_has_its_last_counts() -> None:
    """Where the coding tells that it was."""
    whole = gzip.compress(events(USED, CHUNK))
    one = replace(stream(), response=whole[:-9], response_headers={"content-encoding": "gzip"})
    assert "the answer stops in the middle" in (why(one) or "")
    assert "the answer ended early: the counts are the last ones reported before that" in (why(one) or "")


@pytest.mark.parametrize(
    ("one", "said"),
    [
        (
            capture(response=ANSWER | {"x": ["y"] * 600}),
            "the answer is more than max_body_bytes (1024) lets in: raise that",
        ),
        (
            stream(USED | {"x": ["y"] * 600}),
            "the answer is more than max_event_bytes (1025) lets in: raise that setting",
        ),
        (
            capture(request=QUESTION | {"x": ["y"] * 600}),
            "the request is more than max_body_bytes (1024) lets in: raise that",
        ),
    ],
)
def test_what_is_too_large_names_the_setting(one: Capture, said: str) -> None:
    """And what it is."""
    assert said in (why(one, Limits(max_body_bytes=1024, max_event_bytes=1025)) or "")


def test_a_rule_that_excludes_is_named() -> None:
    """It may be the mistake."""
    told = why(capture(), None, Rule(path="/v1/*", is_llm=False))
    assert told == "not an LLM exchange: detection_rules say so"


@pytest.mark.parametrize("reason", [each for each in Reason if each not in NOT_OF_BODIES])
def test_every_reason_has_words(reason: Reason) -> None:
    """What is wrong with a body is said."""
    error = ExtractionError(Stage.RESPONSE_BODY, reason)
    record = UsageRecord(True, Completion.COMPLETE, 0.0, extraction_errors=(error,))
    told = explain(record, capture(), Observer(Limits(), Detector())) or ""
    assert told.startswith("the answer ")
    assert "could not be read" not in told


def test_a_path_of_a_client_is_printed_safely() -> None:
    """In one line."""
    told = why(capture(authority="x.example", path="/a\x1b[31m\nb", request={})) or ""
    assert "/a�[31m�b" in told
