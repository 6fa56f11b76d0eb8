from __future__ import annotations

import pytest

from extproc.headers import error_word, is_grpc, number_at


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
