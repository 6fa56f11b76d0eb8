from __future__ import annotations

import gzip
import json
import tracemalloc

import pytest

from extproc.errors import Bound, Reason, Stage
from extproc.providers import openai_chat
from extproc.providers.answer import DocumentReader
from extproc.providers.shapes import detect_response
from extproc.readers import ExtractionErrors, Limits
from extproc.request_reader import RequestReader
from extproc.response_reader import ResponseReader
from extproc.usage import TokenUsage

EVENT = b'data: {"choices": [{"delta": {"content": "a"}}]}\n\n'


def test_an_error_is_kept_once_and_in_order() -> None:
    """However often it happens, an exchange has it or has it not."""
    errors = ExtractionErrors()
    for reason in (Reason.NOT_JSON, Reason.TRUNCATED, Reason.NOT_JSON):
        errors.add(Stage.RESPONSE_BODY, reason)
    assert [error.reason for error in errors.as_tuple()] == [Reason.NOT_JSON, Reason.TRUNCATED]


def test_a_request_document_that_is_no_object_is_no_document() -> None:
    """It is JSON all right, so it is no error either."""
    errors = ExtractionErrors()
    reader = RequestReader({}, Limits(), errors)
    reader.feed(b"[1, 2]")
    assert reader.finish() is None
    assert errors.as_tuple() == ()


def test_a_request_is_finished_once() -> None:
    """Nothing is read behind its end."""
    reader = RequestReader({}, Limits(), ExtractionErrors())
    reader.feed(b'{"model": "a"}')
    assert reader.finish() == {"model": "a"}
    reader.feed(b'{"model": "b"}')
    assert reader.finish() is None


def test_a_response_tells_once_that_it_is_a_stream() -> None:
    """That alone is news: the metadata says streaming from then on."""
    reader = ResponseReader({}, DocumentReader(None, detect_response), Limits(), ExtractionErrors())
    assert reader.feed(b": hello\n\n", 1.0)
    assert not reader.feed(b": hello\n\n", 2.0)
    assert reader.feed(EVENT, 3.0)
    assert not reader.feed(EVENT, 4.0)
    assert reader.clock is not None
    assert reader.clock.first_token_at == 3.0


def test_done_is_told_once_and_is_no_json_error() -> None:
    """It is the one data that is not JSON."""
    answer, errors = DocumentReader(None, detect_response), ExtractionErrors()
    reader = ResponseReader({"content-type": "text/event-stream"}, answer, Limits(), errors)
    assert reader.feed(b"data:  [DONE] \n\n", 1.0)
    assert answer.is_complete
    assert not reader.feed(b"data: [DONE]\n\n", 1.0)
    assert errors.as_tuple() == ()


def test_nothing_is_read_behind_the_end_or_a_cut() -> None:
    """The reader is done, whatever still comes."""
    for end in ("finish", "cut_off"):
        answer = DocumentReader(None, detect_response)
        reader = ResponseReader({}, answer, Limits(), ExtractionErrors())
        reader.feed(EVENT, 1.0)
        getattr(reader, end)(2.0)
        assert not reader.feed(b'data: {"model": "late"}\n\n', 3.0)
        getattr(reader, end)(4.0)
        assert answer.model is None


USAGE = b'data: {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 4}}\n\n'
DONE = b"data: [DONE]\n\n"


@pytest.mark.parametrize(
    ("body", "lacks"),
    [
        (USAGE + DONE, False),
        (b"data: pong\n\n" + USAGE + DONE, False),  # what was lost stood in front of the usage
        (USAGE + b"data: pong\n\n" + DONE, True),  # it may have held a later one
        (USAGE + b"data: pong\n\n" + USAGE, False),
        (USAGE + DONE + b"data: pong\n\n", False),  # the answer was over
        (USAGE + b"data: pong\n\n" + DONE + b"data: pong\n\n", True),
        (USAGE + b"data: " + b"x" * 2000, True),
        (USAGE + b"data: " + b"x" * 2000 + b"\n\n" + DONE, True),
        (b"data: " + b"x" * 2000 + b"\n\n" + USAGE + DONE, False),
        (USAGE + DONE + b"data: " + b"x" * 2000, False),
    ],
)
def test_it_knows_when_it_may_have_missed_usage(body: bytes, lacks: bool) -> None:
    """That is what makes a count a partial one."""
    documents = DocumentReader(None, detect_response)
    reader = ResponseReader({}, documents, Limits(max_event_bytes=1000), ExtractionErrors())
    reader.feed(body, 1.0)
    reader.finish(2.0)
    assert documents.may_lack_usage is lacks
    assert not reader.is_cut_off


@pytest.mark.parametrize(("count", "is_read"), [(1000, True), (1001, False)])
def test_a_stream_of_what_cannot_be_read_is_given_up(count: int, is_read: bool) -> None:
    """Each event costs a look, and a compressed one may hold millions."""
    documents, errors = DocumentReader(None, detect_response), ExtractionErrors()
    reader = ResponseReader({}, documents, Limits(), errors)
    reader.feed(b"data: pong\n\n" * count + USAGE, 1.0)
    assert (documents.usage is not None) is is_read
    assert [error.reason for error in errors.as_tuple()] == [Reason.NOT_JSON]
    assert documents.may_lack_usage is not is_read
    assert not reader.is_cut_off


@pytest.mark.parametrize(
    ("body", "error_type"),
    [
        (b'event: error\ndata: {"message": "no"}\n\n', "error"),
        (b"event: error\ndata: it broke\n\n", "error"),
        (b'event: error\ndata: {"error": {"type": "overloaded"}}\n\n', "overloaded"),
        (b'data: {"error": {"code": 502}}\n\nevent: error\ndata: it broke\n\n', "502"),
    ],
)
def test_an_event_called_error_is_one(body: bytes, error_type: str) -> None:
    """Whatever is in it, and no loss of anything that was to be read; the API's own word is the better one."""
    documents, errors = DocumentReader(None, detect_response), ExtractionErrors()
    reader = ResponseReader({}, documents, Limits(), errors)
    assert reader.feed(body, 1.0)
    assert documents.error_type == error_type
    assert errors.as_tuple() == ()


@pytest.mark.parametrize(
    ("filler", "weight"),
    [(b"data: {}\n\n", 1), (b": ping\n", 8), (b"\n", 8), (b"event: ping\n\n", 4)],
)
def test_a_message_may_bring_so_many_events(filler: bytes, weight: int) -> None:
    """Each takes time in which nobody else is served, also where there is nothing in it."""
    limits = Limits(max_events_per_message=100)
    for count, is_read in ((97 * weight, True), (101 * weight, False)):
        documents, errors = DocumentReader(None, detect_response), ExtractionErrors()
        reader = ResponseReader({"content-encoding": "gzip"}, documents, limits, errors)
        reader.feed(gzip.compress(b"data: {}\n\n" + filler * count + USAGE), 1.0)
        assert (documents.usage is not None, errors.bounds) == (is_read, () if is_read else (Bound.EVENTS,))


@pytest.mark.parametrize("pieces", [1, 3])
def test_a_stream_of_many_messages_may_bring_more(pieces: int) -> None:
    """It is no bound of an exchange."""
    documents, errors = DocumentReader(None, detect_response), ExtractionErrors()
    reader = ResponseReader({}, documents, Limits(max_events_per_message=100), errors)
    for _ in range(10):
        reader.feed(b"data: {}\n\n" * (90 // pieces), 1.0)
    reader.feed(USAGE, 2.0)
    assert documents.usage is not None
    assert errors.bounds == ()


DEEP = b"[" * 201 + b"]" * 201
WIDE = b"[" + b"0," * 200_000 + b"0]"
TOLD = b'"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 2}'


@pytest.mark.parametrize(
    ("member", "reason", "bound"),
    [(DEEP, Reason.TOO_DEEP, Bound.DEPTH), (WIDE.replace(b"0", b"{}"), Reason.TOO_LARGE, Bound.VALUES)],
)
def test_a_document_that_would_take_too_much_is_not_read(member: bytes, reason: Reason, bound: Bound) -> None:
    """As a whole body it is lost, as an event alone; what is only long is left out and read."""
    whole = b'{"x": ' + member + b", " + TOLD + b"}"
    documents, errors = DocumentReader(None, detect_response), ExtractionErrors()
    ResponseReader({}, documents, Limits(), errors).read_whole(whole, 1.0)
    assert (documents.usage, errors.bounds) == (None, (bound,))
    assert [error.reason for error in errors.as_tuple()] == [reason]
    documents, errors = DocumentReader(None, detect_response), ExtractionErrors()
    ResponseReader({}, documents, Limits(), errors).feed(b"data: " + whole + b"\n\n" + USAGE, 1.0)
    assert (documents.usage is not None, errors.bounds) == (True, (bound,))
    documents, errors = DocumentReader(None, detect_response), ExtractionErrors()
    ResponseReader({}, documents, Limits(), errors).feed(b"data: " + whole.replace(member, WIDE) + b"\n\n", 1.0)
    assert (documents.usage is not None, errors.bounds) == (True, ())


@pytest.mark.parametrize(("tokens", "candidates"), [(1000, 20), (4000, 5)])
def test_an_answer_with_the_probabilities_of_its_words_is_counted(tokens: int, candidates: int) -> None:
    """Evaluations ask for them: some hundred thousand values that say nothing of usage."""
    word = {"token": " word", "logprob": -1.25, "bytes": list(b" word")}
    said = [{**word, "top_logprobs": [word] * candidates}] * tokens
    choice = {"index": 0, "message": {"content": "word"}, "logprobs": {"content": said}, "finish_reason": "stop"}
    usage = {"prompt_tokens": 1, "completion_tokens": tokens}
    body = json.dumps({"object": "chat.completion", "choices": [choice], "usage": usage}).encode()
    documents, errors = DocumentReader(None, detect_response), ExtractionErrors()
    ResponseReader({}, documents, Limits(), errors).read_whole(body, 1.0)
    assert documents.usage == TokenUsage(prompt_tokens=1, completion_tokens=tokens)
    assert errors.bounds == ()


def test_an_answer_may_inflate_more_than_a_request() -> None:
    """Thousands of events that differ in one word inflate two hundred times; of a client nobody expects that."""
    event = b'data: {"choices": [{"delta": {"content": "a"}}], "x": "%s"}\n\n' % (b"x" * 700)
    body = gzip.compress(event * 4000 + USAGE)
    documents, errors = DocumentReader(None, detect_response), ExtractionErrors()
    ResponseReader({"content-encoding": "gzip"}, documents, Limits(), errors).read_whole(body, 1.0)
    assert (documents.usage is not None, errors.bounds) == (True, ())
    reader = RequestReader({"content-encoding": "gzip"}, Limits(), errors)
    assert reader.read_whole(gzip.compress(b'{"model": "m", "x": "%s"}' % (b"x" * 3_000_000))) is None
    assert errors.bounds == (Bound.RATIO,)


def test_a_large_answer_is_counted_without_being_held() -> None:
    """Thousands of vectors go by, and next to nothing of them is kept."""
    vector = b'{"object": "embedding", "index": 7, "embedding": [' + b"0.0123456789, " * 256 + b"0.5]},"
    answer, errors = DocumentReader(openai_chat.EMBEDDINGS, detect_response), ExtractionErrors()
    reader = ResponseReader({"content-type": "application/json"}, answer, Limits(), errors)
    reader.feed(b'{"object": "list", "data": [', 1.0)
    tracemalloc.start()
    for _ in range(5_000):  # 18 MB
        reader.feed(vector, 1.0)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    reader.feed(b'{}], "model": "e", "usage": {"prompt_tokens": 12, "total_tokens": 12}}', 2.0)
    reader.finish(3.0)
    assert (answer.usage, answer.model, errors.as_tuple()) == (TokenUsage(12, 0, 12), "e", ())
    assert peak_bytes < 2_000_000
