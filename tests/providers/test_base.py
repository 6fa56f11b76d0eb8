from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extproc.providers.base import (
    MAX_NAME_CHARACTERS,
    DocumentReader,
    Flavour,
    RequestFacts,
    ResponseFacts,
    clean_name,
    error_type_of,
    objects_at,
    read_request,
    word_at,
)
from extproc.usage import TokenUsage


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        ({"type": "rate_limit_error", "code": "slow_down", "message": "sk-secret"}, "rate_limit_error"),
        ({"status": "RESOURCE_EXHAUSTED", "code": 429}, "RESOURCE_EXHAUSTED"),
        ({"code": 401, "message": "no"}, "401"),
        ({"type": None, "code": "tool_use_failed"}, "tool_use_failed"),
        ({"type": "Your key sk-secret is wrong", "code": "invalid-key"}, "invalid-key"),
        ({"type": "x" * 65}, "error"),
        ({"type": "naïve"}, "error"),
        ({"code": True}, "error"),
        ({}, "error"),
    ],
)
def test_an_error_is_known_by_a_word_of_its_api(error: object, expected: str) -> None:
    """Type, status or code, if it is a short word; never a sentence, which may repeat a key or a prompt."""
    assert error_type_of({"error": error}) == expected


@pytest.mark.parametrize("document", [{}, {"error": None}, {"error": "Incorrect API key sk-secret"}, {"error": []}])
def test_what_is_no_error_object_has_no_type(document: dict[str, object]) -> None:
    """Nothing is made up, and no message is taken for a type."""
    assert error_type_of(document) is None


@given(st.text(max_size=600))
def test_a_name_is_always_safe_to_print(text: str) -> None:
    """Whatever a client calls its model, it is one printable line of bounded length."""
    name = clean_name(text)
    assert name is None or (name.isprintable() and 0 < len(name) <= MAX_NAME_CHARACTERS)


def test_a_common_name_stays_as_it_is() -> None:
    """Slashes, colons and dots belong to model names."""
    assert clean_name(" meta-llama/Llama-3.2:free ") == "meta-llama/Llama-3.2:free"


def test_only_objects_of_an_array_are_read() -> None:
    """Anything else in it says nothing."""
    assert objects_at({"choices": [{"a": 1}, None, 7, "x", []]}, "choices") == [{"a": 1}]
    assert objects_at({"choices": {"a": 1}}, "choices") == []


FLAVOUR = Flavour(
    "test",
    None,
    None,
    lambda _: RequestFacts(),
    lambda document: ResponseFacts(
        model=document.get("model"),
        usage=document.get("usage"),
        finish_reason=document.get("finish"),
        has_content=bool(document.get("text")),
        is_last=bool(document.get("last")),
    ),
    lambda counts: TokenUsage(prompt_tokens=counts.get("in"), completion_tokens=counts.get("out")),
)


def test_the_last_reported_value_of_each_field_wins() -> None:
    """Counts are cumulative: they are never summed, and a null does not take a value back."""
    reader = DocumentReader(FLAVOUR, lambda _: None)
    for usage in ({"in": 5, "out": 1}, {"out": 7, "in": None}, None, {}, {"out": 9}):
        reader.read({"usage": usage})
    assert reader.usage == TokenUsage(prompt_tokens=5, completion_tokens=9)


def test_reading_says_whether_it_told_anything_new() -> None:
    """So that metadata is only written when there is some."""
    reader = DocumentReader(FLAVOUR, lambda _: None)
    documents = [{"model": "a"}, {"model": "b"}, {"usage": {"in": 1}}, {"usage": {"in": 1}}, {"last": True}, {}]
    assert [reader.read(document) for document in documents] == [True, False, True, False, True, False]
    assert (reader.model, reader.is_complete) == ("a", True)


@pytest.mark.parametrize("document", [None, [], "text", 7, True])
def test_what_is_no_object_says_nothing(document: object) -> None:
    """Not even a flavour is asked."""
    assert DocumentReader(FLAVOUR, lambda _: None).read(document) is False


def test_without_a_flavour_the_first_document_with_a_shape_decides() -> None:
    """Documents before it still tell of errors."""
    reader = DocumentReader(None, lambda document: FLAVOUR if "usage" in document else None)
    assert reader.read({"error": {"type": "overloaded"}})
    assert not reader.read({"hello": 1})
    assert reader.read({"usage": {"in": 3}})
    assert (reader.error_type, reader.flavour, reader.usage) == ("overloaded", FLAVOUR, TokenUsage(prompt_tokens=3))


def test_usage_without_a_single_count_is_none() -> None:
    """An object of other things is not zero tokens."""
    reader = DocumentReader(FLAVOUR, lambda _: None)
    reader.read({"usage": {"cost": 1}})
    assert reader.usage is None


@pytest.mark.parametrize(
    ("document", "ask"),
    [
        ({"model": "gpt-4o", "stream": True}, RequestFacts("gpt-4o", streaming=True)),
        ({"model": "gpt-4o", "stream": "yes"}, RequestFacts("gpt-4o")),
        ({"model": None}, RequestFacts()),
        ({"model": ["gpt-4o"]}, RequestFacts()),
        ({}, RequestFacts()),
    ],
)
def test_a_request_names_model_and_stream(document: dict[str, object], ask: RequestFacts) -> None:
    """Only a string is a model, only true asks for a stream."""
    assert read_request(document) == ask


def report(*usages: dict[str, object]) -> DocumentReader:
    reader = DocumentReader(FLAVOUR, lambda _: None)
    for usage in usages:
        reader.read({"usage": usage})
    return reader


def test_what_is_no_count_does_not_take_a_count_back() -> None:
    """It is dropped and noticed; what was said before stands."""
    reader = report({"in": 5, "out": 1}, {"in": -1, "out": "many"})
    assert (reader.usage, reader.malformed) == (TokenUsage(5, 1), True)
    reader = report({"in": 5, "tier": "standard"}, {"in": 6, "tier": "batch"})
    assert (reader.usage, reader.malformed) == (TokenUsage(6), False)


LOST = {"lost": True}


@pytest.mark.parametrize(
    ("reports", "restates", "may_lack"),
    [
        ([{"in": 3, "out": 4}, LOST], True, True),
        ([{"in": 3, "out": 4}, LOST, {"in": 3, "out": 9}], True, False),
        ([{"in": 3, "out": 4}, LOST, {}], True, True),
        ([LOST, {"in": 3, "out": 4}], True, False),
        ([LOST, {"in": 3, "out": 4}, LOST], True, True),
        # Where reports are parts of the whole, nobody knows what the lost one held.
        ([{"in": 3}, LOST, {"out": 9}], False, True),
        ([LOST, {"in": 3, "out": 4}], False, True),
    ],
)
def test_a_loss_matters_until_usage_is_stated_anew(
    reports: list[dict[str, int]], restates: bool, may_lack: bool
) -> None:
    """All of it, as most APIs do with each report."""
    reader = DocumentReader(replace(FLAVOUR, restates_usage=restates), lambda _: None)
    for usage in reports:
        if usage is LOST:
            reader.lose()
        else:
            reader.read({"usage": usage})
    assert reader.may_lack_usage is may_lack


@pytest.mark.parametrize(("event", "may_lack"), [("usage", True), ("", True), ("content", False)])
def test_only_events_that_can_have_usage_matter(event: str, may_lack: bool) -> None:
    """By their names, where the API has names."""
    reader = DocumentReader(replace(FLAVOUR, usage_events=frozenset({"usage"})), lambda _: None)
    reader.lose(event)
    assert reader.may_lack_usage is may_lack
    for flavour in (FLAVOUR, None):
        reader = DocumentReader(flavour, lambda _: None)
        reader.lose(event)
        assert reader.may_lack_usage


def test_what_is_lost_behind_the_end_does_not_matter() -> None:
    """And does not make good what was lost before."""
    reader = DocumentReader(FLAVOUR, lambda _: None)
    reader.read({"usage": {"in": 3, "out": 4}, "last": True})
    reader.lose()
    assert not reader.may_lack_usage
    reader = DocumentReader(FLAVOUR, lambda _: None)
    reader.lose()
    reader.read({"last": True})
    reader.lose()
    assert reader.may_lack_usage


def test_a_name_is_one_line() -> None:
    """What can't be printed is replaced, what is too long is cut."""
    assert clean_name(" a\nb\x7f ") == "a\ufffdb\ufffd"
    assert clean_name("x" * 300) == "x" * MAX_NAME_CHARACTERS
    assert clean_name(" \t") is None


@pytest.mark.parametrize(
    "value", ["Because the user said so.", "", "x" * 65, {"reason": "stop"}, 7, None, "naïve", "-"]
)
def test_what_is_no_word_of_an_api_is_none(value: object) -> None:
    """A sentence might repeat what a client sent."""
    assert word_at({"finish_reason": value}, "finish_reason") is None
    assert word_at({"finish_reason": "content_filter"}, "finish_reason") == "content_filter"
