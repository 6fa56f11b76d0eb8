from __future__ import annotations

import json
import math
import tracemalloc
from collections.abc import Iterator

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from support.chunks import byte_by_byte, splits

from extproc.codec.document import DocumentArray, WholeDocument, decode_document
from extproc.codec.members import Members
from extproc.codec.payload import NOTHING, Payload
from extproc.errors import DecodeError, Reason

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)


VALUES_TO_CUT: list[object] = [
    -1,
    -0.5e-10,
    1e20,
    True,
    False,
    None,
    'a\u00e9\U0001f600\n"',
    [1, -2, {"b": -3}],
    {"c": []},
    {},
]


def starts(document: dict[str, object]) -> Iterator[bytes]:
    """Every start of a document that is not all of it, whoever writes it."""
    for text in (json.dumps(document).encode(), json.dumps(document, ensure_ascii=False).encode()):
        yield from (text[:length] for length in range(1, len(text)))


def reason_of(data: bytes) -> Reason:
    with pytest.raises(DecodeError) as raised:
        decode_document(data)
    return raised.value.reason


@given(JSON)
def test_json_is_what_it_says(document: object) -> None:
    """What the standard library writes is read back."""
    assert decode_document(json.dumps(document, ensure_ascii=False).encode()) == document


@given(st.dictionaries(st.text(max_size=4), JSON, max_size=4))
@example({"x": VALUES_TO_CUT})
def test_a_document_that_stops_in_the_middle_is_truncated(document: dict[str, object]) -> None:
    """Any start of an object, however far it goes, is told apart from what is no JSON."""
    assert {reason_of(start) for start in starts(document)} == {Reason.TRUNCATED}


@pytest.mark.parametrize("data", [b"<html>", b"{'a': 1}", b'{"a": 1}}', b'{"a": 1} {"b": 2}', b'{"a": nan}', b"hello"])
def test_what_is_no_json_is_said_to_be_none(data: bytes) -> None:
    """It is refused with that reason."""
    assert reason_of(data) is Reason.NOT_JSON


# Values that other parsers take and clients can have repeated to them.
ODD_VALUES = [
    b'"\\ud83d"',
    b'"\xff"',
    b"NaN",
    b"-Infinity",
    b"1e999",
    b"-1e999",
    b"9" * 5000,
    b"123456789012345678901234567890",
]


@pytest.mark.parametrize("value", ODD_VALUES)
def test_a_document_may_end_or_be_cut_off_behind_such_a_value(value: bytes) -> None:
    """The reason is the end, and not the value."""
    data = b'{"model": "a", "x": [%s]}' % value
    assert decode_document(data)["model"] == "a"
    assert MEMBERS.decode(data) == {"model": "a"}
    cut_in_a_string = b'{"x": [%s], "model": "a' % value
    assert (reason_of(cut_in_a_string), reason_of_members(cut_in_a_string)) == (Reason.TRUNCATED, Reason.TRUNCATED)
    assert reason_of(b'{"x": [%s], "model":' % value) is Reason.TRUNCATED
    assert reason_of(b'{"x": [%s], model}' % value) is Reason.NOT_JSON


def test_half_a_pair_is_read_over_however_large_the_document_is() -> None:
    """Texts are cut in the middle of an emoji, and images stand beside them."""
    data = b'{"model": "a\\ud83d\\ude00", "x": "\\\\ud83d \\uD83D", "messages": "' + b"a" * 2_000_000 + b'"}'
    assert MEMBERS.decode(data) == {"model": "a\ufffd\ufffd", "messages": True}


def test_a_raw_tab_in_a_string_is_read_over() -> None:
    """Other parsers take it."""
    assert decode_document(b'{"x": "a\tb"}') == {"x": "a\tb"}


@pytest.mark.parametrize("value", ODD_VALUES)
def test_a_value_nobody_reads_does_not_cost_the_ones_that_are_read(value: bytes) -> None:
    """In a whole document, and in one of which only some members are read."""
    assert decode_document(b'{"x": [%s], "model": "a"}' % value)["model"] == "a"
    assert MEMBERS.decode(b'{"x": [%s], "model": "a", "messages": 1, "stream": {}}' % value) == {
        "model": "a",
        "messages": True,
        "stream": None,
    }


@pytest.mark.parametrize("coding", ["utf-16", "utf-16-le", "utf-32-be"])
def test_other_unicode_encodings_are_read(coding: str) -> None:
    """As Python's own servers do."""
    data = '{"model": "a", "x": "\u00e9"}'.encode(coding)
    assert decode_document(data) == {"model": "a", "x": "\u00e9"}
    assert MEMBERS.decode(data) == {"model": "a"}
    assert MEMBERS.decode("[1]".encode(coding)) is None


def test_what_is_odd_and_large_is_not_made_into_values() -> None:
    """They would take much more memory than their bytes; the reason is the one it has."""
    data = b'{"model": "a", "x": NaN, "messages": "' + b"a" * 1024 * 1024 + b'"}'
    assert reason_of_members(data) is Reason.NOT_JSON


@pytest.mark.parametrize("data", [b"", b" \r\n"])
def test_nothing_is_empty(data: bytes) -> None:
    """White space is nothing."""
    assert reason_of(data) is Reason.EMPTY


def test_an_error_does_not_repeat_the_document() -> None:
    """Exceptions end up in logs."""
    with pytest.raises(DecodeError) as raised:
        decode_document(b'{"secret": x}')
    assert "secret" not in str(raised.value)
    assert raised.value.__cause__ is None


MEMBERS = Members(["model", "stream"], ["messages"])


def reason_of_members(data: bytes) -> Reason:
    with pytest.raises(DecodeError) as raised:
        MEMBERS.decode(data)
    return raised.value.reason


def test_only_the_named_members_become_values() -> None:
    """Of some only the presence is told; what is not there is absent; the last of two counts, as in any JSON."""
    data = b'{"model": "a", "other": [{}], "messages": [1, 2], "model": {"b": null}}'
    assert MEMBERS.decode(data) == {"model": None, "messages": True}
    assert MEMBERS.decode(b'{"model": [1], "stream": 1.5}') == {"model": None, "stream": 1.5}
    assert MEMBERS.decode(b" {} ") == {}


@pytest.mark.parametrize("data", [b"[1]", b'"text"', b"1", b"null", b"true"])
def test_a_document_that_is_no_object_has_no_members(data: bytes) -> None:
    """That is no error."""
    assert MEMBERS.decode(data) is None


@given(st.dictionaries(st.text(max_size=4) | st.sampled_from(["model", "stream"]), JSON, max_size=4))
def test_members_are_what_the_whole_document_says(document: dict[str, object]) -> None:
    """Read apart from the rest."""
    whole = {"model": "a"} | document | {"messages": [document]}
    told = {name: None if isinstance(value, list | dict) else value for name, value in whole.items()} | {
        "messages": True
    }
    expected = {name: told[name] for name in ("model", "stream", "messages") if name in told}
    assert MEMBERS.decode(json.dumps(whole).encode()) == expected
    assert MEMBERS.decode(json.dumps(whole | {"x": math.nan}).encode()) == expected


@given(st.dictionaries(st.sampled_from(["x", "model", "messages"]), JSON | st.sampled_from(VALUES_TO_CUT), min_size=1))
@example({"x": VALUES_TO_CUT, "model": VALUES_TO_CUT, "messages": VALUES_TO_CUT})
def test_an_object_that_stops_in_the_middle_is_truncated_for_its_members_too(document: dict[str, object]) -> None:
    """However far it goes."""
    assert {reason_of_members(start) for start in starts(document)} == {Reason.TRUNCATED}


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", Reason.EMPTY),
        (b" \n", Reason.EMPTY),
        (b"<html>", Reason.NOT_JSON),
        (b'{"a": 1} x', Reason.NOT_JSON),
        (b'{"a": ' + b"[" * 200_000 + b"]" * 200_000 + b"}", Reason.TOO_DEEP),
        (b'{"a": ' + b"[" * 600_000 + b"]" * 600_000 + b"}", Reason.TOO_DEEP),
        (b'{"model": ' + b"[" * 900 + b"]" * 900 + b"}", None),
    ],
)
def test_what_has_no_members_says_why(data: bytes, reason: Reason | None) -> None:
    """As a whole document does, however deep it is."""
    if reason is None:
        assert MEMBERS.decode(data) is not None
    else:
        assert reason_of_members(data) is reason


@pytest.mark.parametrize(
    ("end", "reason"),
    [
        (b'"x": 1.', Reason.TRUNCATED),
        (b'"x": -', Reason.TRUNCATED),
        (b'"x": "a', Reason.TRUNCATED),
        (b'"x": 1', Reason.TRUNCATED),
        (b'"x": a}', Reason.NOT_JSON),
        (b'"x": 1.}', Reason.NOT_JSON),
    ],
)
def test_what_is_large_says_why_too(end: bytes, reason: Reason) -> None:
    """Without becoming values."""
    assert reason_of_members(b'{"messages": "' + b"a" * 1024 * 1024 + b'", ' + end) is reason
    assert reason_of_members(b" " * 1024 * 1025) is Reason.EMPTY


def test_millions_of_values_take_no_memory() -> None:
    """They are bytes on the wire, and would be objects of dozens of bytes each."""
    data = b'{"messages": [' + b"{}," * 1_000_000 + b'{}], "model": "a"}'
    tracemalloc.start()
    assert MEMBERS.decode(data) == {"model": "a", "messages": True}
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak_bytes < 1_000_000


def test_a_whole_document_is_known_at_its_end() -> None:
    """Its bytes come out together, without a byte order mark."""
    document = WholeDocument(100)
    assert [list(document.feed(chunk)) for chunk in (b"\xef\xbb\xbf{", b'"a"', b": 1}")] == [[], [], []]
    assert list(document.finish()) == [Payload(b'{"a": 1}')]


def test_a_whole_document_has_a_bound() -> None:
    """What is left when the long parts are out counts: one byte beyond the bound is too large."""
    document = WholeDocument(4)
    list(document.feed(b"[[[["))
    with pytest.raises(DecodeError) as raised:
        document.feed(b"[")
    assert raised.value.reason is Reason.TOO_LARGE


@pytest.mark.parametrize("whole", [True, False])
def test_a_large_document_is_condensed(whole: bool) -> None:
    """And says the same; a byte order mark makes no difference."""
    body = b'\xef\xbb\xbf{"data": [' + b"0.25, " * 1000 + b'1], "text": "' + b"x" * 1000 + b'", "usage": {"n": 7}}'
    document = WholeDocument(200)
    for chunk in [body] if whole else byte_by_byte(body):
        list(document.feed(chunk))
    (payload,) = document.finish()
    assert payload.data == b'{"data": [0.25,1], "text": "' + b"x" * 32 + b'\xe2\x80\xa6", "usage": {"n": 7}}'


def elements(chunks: list[bytes], max_element_bytes: int = 10_000) -> list[bytes]:
    array = DocumentArray(max_element_bytes)
    payloads = [payload for chunk in chunks for payload in array.feed(chunk)]
    return [payload.data for payload in [*payloads, *array.finish()] if payload is not NOTHING]


@pytest.mark.parametrize("step", [1, 7, 10_000])
def test_brackets_and_empty_elements_are_counted_as_work(step: int) -> None:
    """Each is followed by itself; and the count does not depend on the chunks."""
    body = b"[" + b"[[]]," * 160 + b"," * 80 + b"1]"
    array = DocumentArray(10_000)
    chunks = [body[start : start + step] for start in range(0, len(body), step)]
    seen = [payload for chunk in chunks for payload in array.feed(chunk)]
    assert (seen.count(NOTHING), len(seen)) == (20 + 30, 50 + 160 + 1)


@given(st.data(), st.lists(JSON, max_size=5), st.sampled_from([None, 1]))
def test_the_elements_do_not_depend_on_the_chunks(
    data: st.DataObject, values: list[object], indent: int | None
) -> None:
    """Whole, byte by byte or cut anywhere: each element comes out once, as it stands."""
    body = json.dumps(values, ensure_ascii=False, indent=indent).encode()
    whole = elements([body])
    assert [json.loads(element) for element in whole] == values
    assert elements(byte_by_byte(body)) == whole
    assert elements(data.draw(splits(body))) == whole


def test_an_element_is_handed_out_when_it_is_complete() -> None:
    """An object with its own last byte: its usage is not to wait for the comma, which comes with the next one."""
    array = DocumentArray(100)
    assert list(array.feed(b' [{"a": [1, 2]')) == []
    assert list(array.feed(b"}")) == [Payload(b'{"a": [1, 2]}')]
    assert list(array.feed(b"\n,\r\n{")) == []
    assert list(array.feed(b'}, "b"')) == [Payload(b"{}")]
    assert list(array.feed(b" ,1")) == [Payload(b'"b"')]
    assert list(array.feed(b"]")) == [Payload(b"1")]


def test_brackets_and_escapes_in_strings_are_text() -> None:
    """Structure is only what stands outside of strings."""
    body = rb'[{"a": "]},[{\\"}, "\"]", {"\\": "\\\\"}]'
    assert elements(byte_by_byte(body)) == [rb'{"a": "]},[{\\"}', rb'"\"]"', rb'{"\\": "\\\\"}']


def test_what_follows_the_array_is_passed_over() -> None:
    """The body is over when the array is."""
    assert elements([b"[1]\n]} [2]", b"[3]"]) == [b"1"]


@pytest.mark.parametrize("body", [b"[", b'[{"a": 1}', b'[{"a": 1},', b'["a'])
def test_an_array_that_is_not_closed_is_truncated(body: bytes) -> None:
    """Its end is noticed to be missing."""
    array = DocumentArray(100)
    list(array.feed(body))
    with pytest.raises(DecodeError) as raised:
        array.finish()
    assert raised.value.reason is Reason.TRUNCATED


@pytest.mark.parametrize("body", [b"[[[[[[", b"[[[[[],", b"[[[{}]]]"])
def test_an_element_has_a_bound(body: bytes) -> None:
    """One byte beyond it is too large, whether its end was seen or not."""
    array = DocumentArray(4)
    with pytest.raises(DecodeError) as raised:
        list(array.feed(body))
    assert raised.value.reason is Reason.TOO_LARGE
    assert elements([b"[[[]]]"], 4) == [b"[[]]"]


@given(st.data(), st.integers(0, 20))
def test_the_bound_of_an_element_does_not_depend_on_the_chunks(data: st.DataObject, size: int) -> None:
    """An element is too large in any chunks, and the elements in front of it come out in any."""
    body = b'[{"ok": 1}, "' + b"x" * size + b'"]'

    def run(chunks: list[bytes]) -> tuple[list[bytes], Reason | None]:
        array = DocumentArray(14)
        seen: list[bytes] = []
        try:
            for chunk in chunks:
                seen.extend(payload.data for payload in array.feed(chunk))
        except DecodeError as error:
            return seen, error.reason
        return seen, None

    whole = run([body])
    assert whole[0][0] == b'{"ok": 1}'
    assert whole[1] is (Reason.TOO_LARGE if size > 11 else None)
    assert run(byte_by_byte(body)) == whole
    assert run(data.draw(splits(body))) == whole


@pytest.mark.parametrize(
    "element",
    [
        b'{"a": "' + rb"\"]}\\" * 9000 + b'"}',
        b'["' + b'", "' * 9000 + b'"]',
        b'{"a": [' + b"{}," * 9000 + b"{}]}",
        b'["x' + rb"\n" * 300 + b'"]',
    ],
)
def test_an_element_may_have_any_number_of_parts(element: bytes) -> None:
    """Strings and escapes that are more than are passed over at once."""
    body = b"[" + element + b", " + element + b"]"
    assert elements([body], 100_000) == elements([body[:7000], body[7000:]], 100_000) == [element, element]
