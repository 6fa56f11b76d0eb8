from __future__ import annotations

import base64
from typing import Any

import pytest
from support.captures import ANSWER, CHAT, QUESTION, SECRET, encode, entry, har

from extproc.replay.capture import Capture, CaptureError, Source
from extproc.replay.har import find_entries, read_entry


def only(data: bytes) -> Source:
    (source,) = list(find_entries(data) or ())
    return source


def read(one: Any) -> Capture:
    return only(har(one)).read()


def posted(**data: Any) -> Capture:
    one = entry()
    one["request"]["postData"] = data
    return read(one)


def test_an_entry_is_a_capture() -> None:
    """Without what the body was coded with on the wire, how long it was there, and without credentials and query."""
    capture = read(entry())
    assert capture.name == f"entries[0] api.openai.com{CHAT}"
    assert (capture.method, capture.authority, capture.path, capture.status) == ("POST", "api.openai.com", CHAT, 200)
    assert capture.request == encode(QUESTION)
    assert capture.request_headers == {"content-type": "application/json"}
    assert capture.response == encode(ANSWER)
    assert capture.response_headers == {"content-type": "application/json"}


def test_a_port_is_part_of_the_authority() -> None:
    """As the client sent it."""
    one = entry()
    one["request"]["url"] = "http://localhost:11434/api/chat"
    assert (read(one).authority, read(one).path) == ("localhost:11434", "/api/chat")


def test_a_body_may_stand_there_in_base64() -> None:
    """As browsers keep what is no text."""
    content = {"mimeType": "audio/mpeg", "encoding": "base64", "text": base64.b64encode(b"\xff\x00").decode()}
    capture = read(entry(content=content, headers=[]))
    assert capture.response == b"\xff\x00"
    assert capture.response_headers == {"content-type": "audio/mpeg"}


def test_half_of_an_emoji_costs_no_entry() -> None:
    """Clients cut texts anywhere, and proxies write down what they sent."""
    assert only(har(entry()).replace(b"gpt-4o-2024", rb"\ud83d")).read().response is not None


@pytest.mark.parametrize(("size", "response"), [(5, None), (0, b""), (-1, b""), (None, b"")])
def test_a_body_that_was_not_saved_is_not_an_empty_one(size: int | None, response: bytes | None) -> None:
    """Its size tells which it is."""
    assert read(entry(content={"size": size, "mimeType": "application/json"})).response == response


def test_a_request_that_was_blocked_has_no_answer() -> None:
    """Browsers write a status of 0."""
    assert read(entry(status=0)).status is None


def test_a_request_without_a_body_is_one() -> None:
    """GET has none."""
    one = entry()
    del one["request"]["postData"]
    assert (read(one).request, read(one).request_headers) == (b"", {})


def test_a_form_is_put_together_again() -> None:
    """Where only its fields were kept."""
    params = [{"name": "model", "value": "a b"}, {"name": "n", "value": "1"}]
    capture = posted(mimeType="application/x-www-form-urlencoded", params=params)
    assert capture.request == b"model=a+b&n=1"


def test_a_multipart_form_is_put_together_again() -> None:
    """Its files are empty: a HAR does not keep them."""
    file = {"name": 'f"', "fileName": "a\r\n.mp3", "contentType": "audio/mpeg"}
    params = [{"name": "model", "value": "whisper-1"}, file]
    capture = posted(mimeType="multipart/form-data; boundary=lost", params=params)
    assert capture.request_headers == {"content-type": "multipart/form-data; boundary=extproc-replay"}
    assert capture.request == (
        b'--extproc-replay\r\ncontent-disposition: form-data; name="model"\r\n\r\nwhisper-1\r\n'
        b'--extproc-replay\r\ncontent-disposition: form-data; name="f%22"; filename="a%0D%0A.mp3"\r\n'
        b"content-type: audio/mpeg\r\n\r\n\r\n--extproc-replay--\r\n"
    )


@pytest.mark.parametrize(
    ("one", "said"),
    [
        (SECRET, "input should be an object"),
        ({"request": {}}, "request.method: field required"),
        (entry(status=SECRET), "response.status: input should be a valid integer"),
        (entry(content={"text": "x", "encoding": "rot13"}), "response.content.encoding: neither base64 nor absent"),
        (entry(content={"text": "x", "encoding": "base64"}), "response.content.text: not base64"),
        ({**entry(), "request": {"method": "POST", "url": f"http://[{SECRET}"}}, "request.url: not a URL"),
        ({**entry(), "request": {"method": "POST", "url": f"http://x:{SECRET}/"}}, "request.url: not a URL"),
    ],
)  # fmt: skip
def test_a_broken_entry_says_what_is_wrong(one: Any, said: str) -> None:
    """In one line, without what stands there."""
    with pytest.raises(CaptureError) as raised:
        read_entry(one, "x")
    assert said in str(raised.value)
    assert "\n" not in str(raised.value)
    assert SECRET not in str(raised.value)


@pytest.mark.parametrize("data", [b"[]", b"{}", b'{"log": 1}', b'{"log": {"entries": {}}}'])
def test_what_is_no_har_is_told_apart(data: bytes) -> None:
    """From one with no entries."""
    assert find_entries(data) is None
    assert list(find_entries(b"\xef\xbb\xbf" + har()) or ()) == []
    assert find_entries(har()) is not None
