from __future__ import annotations

from extproc.errors import ExtractionError, Reason, Stage
from extproc.providers.base import AnswerReader
from extproc.providers.detect import detect_answer
from extproc.readers import ExtractionErrors, Limits, RequestReader, ResponseReader

EVENT = b'data: {"choices": [{"delta": {"content": "a"}}]}\n\n'


def test_an_error_is_kept_once_and_in_order() -> None:
    """However often it happens, an exchange has it or has it not."""
    errors = ExtractionErrors()
    for reason in (Reason.NOT_JSON, Reason.TRUNCATED, Reason.NOT_JSON):
        errors.add(Stage.RESPONSE_BODY, reason)
    assert [error.reason for error in errors.as_tuple()] == [Reason.NOT_JSON, Reason.TRUNCATED]
    assert ExtractionError(Stage.RESPONSE_BODY, Reason.TRUNCATED) in errors


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
    reader.feed(b'{"a": 1}')
    assert reader.finish() == {"a": 1}
    reader.feed(b'{"a": 2}')
    assert reader.finish() is None


def test_a_response_tells_once_that_it_is_a_stream() -> None:
    """That alone is news: the metadata says streaming from then on."""
    reader = ResponseReader({}, AnswerReader(None, detect_answer), Limits(), ExtractionErrors())
    assert reader.feed(b": hello\n\n", 1.0)
    assert not reader.feed(b": hello\n\n", 2.0)
    assert reader.feed(EVENT, 3.0)
    assert not reader.feed(EVENT, 4.0)
    assert reader.first_token_at == 3.0


def test_done_is_told_once_and_is_no_json_error() -> None:
    """It is the one data that is not JSON."""
    answer, errors = AnswerReader(None, detect_answer), ExtractionErrors()
    reader = ResponseReader({"content-type": "text/event-stream"}, answer, Limits(), errors)
    assert reader.feed(b"data: [DONE]\n\n", 1.0)
    assert answer.is_complete
    assert not reader.feed(b"data: [DONE]\n\n", 1.0)
    assert errors.as_tuple() == ()


def test_nothing_is_read_behind_the_end_or_a_cut() -> None:
    """The reader is done, whatever still comes."""
    for end in ("finish", "cut_off"):
        answer = AnswerReader(None, detect_answer)
        reader = ResponseReader({}, answer, Limits(), ExtractionErrors())
        reader.feed(EVENT, 1.0)
        getattr(reader, end)(2.0)
        assert not reader.feed(b'data: {"model": "late"}\n\n', 3.0)
        getattr(reader, end)(4.0)
        assert answer.model is None
