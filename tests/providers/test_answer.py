from __future__ import annotations

from dataclasses import replace

import pytest

from extproc.providers.answer import DocumentReader
from extproc.providers.base import Flavour, RequestFacts, ResponseFacts
from extproc.usage import TokenUsage

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
    counted="in; out",
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


def test_a_flavour_that_was_shown_stands() -> None:
    """Envoy keeps the names it was told: what comes out of turn must not take them back."""
    reader = DocumentReader(None, lambda _: FLAVOUR)
    reader.expect(None)
    reader.read({"model": "a"})
    reader.expect(None)
    assert reader.flavour is FLAVOUR


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
