from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from extproc.credentials import REDACTED
from extproc.providers.base import (
    MAX_NAME_CHARACTERS,
    Flavour,
    RequestFacts,
    clean_id,
    clean_name,
    error_type_of,
    objects_at,
    read_nothing,
    read_request,
    word_at,
)
from extproc.providers.detect import FLAVOURS

FIXTURES = Path(__file__).parents[1] / "fixtures"


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        ({"type": "rate_limit_error", "code": "slow_down", "message": "sk-secret"}, "rate_limit_error"),
        ({"status": "RESOURCE_EXHAUSTED", "code": 429}, "RESOURCE_EXHAUSTED"),
        ({"code": 401, "message": "no"}, "401"),
        ({"type": None, "code": "tool_use_failed"}, "tool_use_failed"),
        ({"type": "Your key sk-secret is wrong", "code": "invalid-key"}, "invalid-key"),
        ({"type": "x" * 65}, "error"),
        ({"type": "sk-proj-0123456789abcdef", "code": "invalid_api_key"}, "invalid_api_key"),
        ({"type": "naïve"}, "error"),
        ({"code": True}, "error"),
        ({}, "error"),
    ],
)
def test_an_error_is_known_by_a_word_of_its_api(error: object, expected: str) -> None:
    """Type, status or code, if it is a short word; never a sentence, which may repeat a key or a prompt."""
    assert error_type_of({"error": error}) == expected


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({"error": "Incorrect API key sk-secret"}, "error"),
        ({"error": "Input is too long", "error_type": "validation"}, "validation"),
        ({"error": "no", "error_type": "Your key sk-secret"}, "error"),
    ],
)
def test_a_sentence_in_the_place_of_an_error_is_one(document: dict[str, object], expected: str) -> None:
    """Known by the word beside it, if there is one; the sentence itself is never told."""
    assert error_type_of(document) == expected


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({"object": "error", "message": "no such model", "type": "invalid_model", "code": "1500"}, "invalid_model"),
        ({"object": "error", "message": "too long", "type": "BadRequestError", "code": 400}, "BadRequestError"),
        ({"object": "error", "message": "no", "type": None, "code": 429}, "429"),
        ({"object": "error", "message": "no"}, "error"),
        ({"object": "list", "type": "invalid_model"}, None),
    ],
)
def test_an_answer_may_itself_be_the_error(document: dict[str, object], expected: str | None) -> None:
    """Mistral's is, and vLLM's."""
    assert error_type_of(document) == expected


@pytest.mark.parametrize("document", [{}, {"error": None}, {"error": ""}, {"error": []}])
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


@pytest.mark.parametrize("clean", [clean_name, clean_id])
def test_a_key_in_the_place_of_a_name_is_not_told(clean: Callable[[str], str | None]) -> None:
    """It would be a label of metrics, for everybody to read."""
    assert clean("openai/sk-proj-0123456789abcdef") == REDACTED
    assert clean("openai/gpt-4o") == "openai/gpt-4o"


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


def test_a_request_may_say_nothing_that_its_path_does_not() -> None:
    """Model and streaming stand there."""
    assert read_nothing({"model": "x", "stream": True}) == RequestFacts()


@pytest.mark.parametrize(
    "flavour", [flavour for flavour in FLAVOURS.values() if flavour.quiet], ids=lambda each: each.name
)
def test_what_fits_the_quiet_shape_says_nothing(flavour: Flavour) -> None:
    """Of the events of all fixtures, whichever API they are of; and some fit."""
    assert flavour.quiet is not None
    decoder, fitting = msgspec.json.Decoder(flavour.quiet), 0
    for body in FIXTURES.glob("*/*/response.body"):
        for line in body.read_bytes().splitlines():
            data = line.removeprefix(b"data:")
            try:
                decoder.decode(data)
            except msgspec.MsgspecError:
                continue
            fitting += 1
            facts = flavour.read_response(orjson.loads(data))
            assert (facts.usage, facts.finish_reason, facts.error_type, facts.is_last) == (None, None, None, False)
    assert fitting
