from __future__ import annotations

import pytest

from extproc.headers import error_word, is_grpc, number_at, request_id_of


@pytest.mark.parametrize(
    ("value", "number"),
    [("0", 0), ("204", 204), ("-1", None), ("many", None), ("", None), ("9" * 19, None), ("²", None), ("1.0", None)],
)
def test_a_number_is_a_number(value: str, number: int | None) -> None:
    """Whatever else stands in its place is none."""
    assert number_at({"content-length": value}, "content-length") == number
    assert number_at({}, "content-length") is None


@pytest.mark.parametrize(
    ("value", "word"),
    [
        ("ThrottlingException", "ThrottlingException"),
        ("ValidationException:http://internal.example/coral/", "ValidationException"),
        ("Your key AKIA is wrong", None),
        ("", None),
    ],
)
def test_an_error_is_known_by_a_word(value: str, word: str | None) -> None:
    """AWS may put a URL behind it; a sentence is none."""
    assert error_word({"x-amzn-errortype": value}) == word
    assert error_word({}) is None


@pytest.mark.parametrize(
    ("content_type", "expected"),
    [("application/grpc", True), ("application/grpc+proto", True), ("application/json", False), ("", False)],
)
def test_grpc_is_known_by_its_content_type(content_type: str, expected: bool) -> None:
    """In all its forms."""
    assert is_grpc({"content-type": content_type}) is expected


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("1b4e28ba-2fa1-11d2-883f-0016d3cca427", True),
        ("Root=1-67891233-abcdef012345678912345678", True),
        ("a" * 128, True),
        ("a" * 129, False),
        ("", False),
        ("two words", False),
        ("a\nb", False),
        ("ä", False),
        ("sk-abcdefgh12345678", False),
    ],
)
def test_only_what_looks_like_an_id_is_the_id_of_a_request(value: str, told: bool) -> None:
    """A client may write in it what it likes, and it stands in logs."""
    assert request_id_of({"x-request-id": value}) == (value if told else None)
    assert request_id_of({}) is None
