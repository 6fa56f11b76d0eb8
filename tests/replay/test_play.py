from __future__ import annotations

from dataclasses import replace

import pytest
from support.captures import CHUNK, COUNTS, capture, events

from extproc.errors import SettingsError
from extproc.providers.detect import Detector
from extproc.readers import Limits
from extproc.replay.play import Observer, Split, parse_split, play
from extproc.usage import Completion, UsageSource

OBSERVER = Observer(Limits(), Detector())
STREAM = capture(response=events(CHUNK, CHUNK | {"usage": COUNTS, "choices": []}), response_type="text/event-stream")


@pytest.mark.parametrize("how", ["whole", "lines", "1", "7", "1000000"])
def test_a_stream_is_counted_however_it_is_cut(how: str) -> None:
    """By the same exchange as the sidecar's."""
    record = play(STREAM, OBSERVER, parse_split(how))
    assert record == play(STREAM, OBSERVER, Split())
    assert (record.usage_source, record.completion) == (UsageSource.REPORTED, Completion.COMPLETE)
    assert record.usage is not None
    assert record.usage.total_tokens == 27


def test_a_capture_has_no_times() -> None:
    """What the replay took is not what the provider took."""
    record = play(STREAM, OBSERVER, Split())
    assert (record.time_to_first_token_seconds, record.duration_seconds) == (None, 0)


@pytest.mark.parametrize(
    ("how", "chunks"),
    [("whole", [b"a\nb\r\nc"]), ("lines", [b"a\n", b"b\r\n", b"c"]), ("2", [b"a\n", b"b\r", b"\nc"])],
)
def test_how_a_body_is_cut(how: str, chunks: list[bytes]) -> None:
    """An empty one is in no chunk."""
    assert list(parse_split(how).cut(b"a\nb\r\nc")) == chunks
    assert list(parse_split(how).cut(b"")) == []


@pytest.mark.parametrize("text", ["", "0", "-1", "half", "1.5", "9" * 5000])
def test_a_split_that_is_none_is_refused(text: str) -> None:
    """With what is allowed."""
    with pytest.raises(SettingsError, match=r"--split: .* whole, lines or a number of bytes from 1"):
        parse_split(text)


def test_an_exchange_of_no_interest_is_left_as_the_sidecar_leaves_it() -> None:
    """At the request, so its answer is not looked at."""
    record = play(capture(authority="x.example", path="/cart", request={"item": 1}), OBSERVER, Split())
    assert (record.is_llm, record.status_code, record.completion) == (False, None, Completion.COMPLETE)


def test_a_request_without_a_body_is_played() -> None:
    """It ends with its headers."""
    record = play(replace(capture(), request=b""), OBSERVER, Split())
    assert (record.usage_source, record.request_model) == (UsageSource.REPORTED, None)


def test_a_request_without_an_answer_was_cancelled() -> None:
    """It was blocked, or given up."""
    record = play(capture(status=None), OBSERVER, Split())
    assert (record.is_llm, record.completion) == (True, Completion.CANCELLED)


@pytest.mark.parametrize("response", [None, b""])
def test_an_answer_without_a_body_ends(response: bytes | None) -> None:
    """Nothing is waited for."""
    assert play(capture(response=response), OBSERVER, Split()).completion is Completion.COMPLETE
