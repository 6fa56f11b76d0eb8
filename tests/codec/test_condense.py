from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.chunks import byte_by_byte, splits

from extproc.codec import condense as condensing
from extproc.codec.condense import Condenser
from extproc.errors import DecodeError, Reason

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20) | st.text('ab\\"\n\U0001f600é', min_size=50, max_size=400),
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=20,
)  # fmt: skip

# What stands behind the start of a string that is cut, and its end.
CUT = '…"'.encode()


def condense(chunks: list[bytes], max_bytes: int = 1_000_000) -> bytes:
    condenser = Condenser(max_bytes)
    for chunk in chunks:
        condenser.feed(chunk)
    return condenser.finish()


def shortened(value: Any) -> Any:
    """What is the same in a document and in what is left of it: its structure, keys and the start of each text."""
    if isinstance(value, str):
        return value[:2]
    if isinstance(value, dict):
        return {key: shortened(inner) for key, inner in value.items()}
    if not isinstance(value, list):
        return value
    ends = (0, len(value) - 1)
    return [
        shortened(inner) for index, inner in enumerate(value) if isinstance(inner, str | dict | list) or index in ends
    ]


@given(st.data(), JSON, st.booleans(), st.sampled_from([None, 1]))
def test_what_is_left_says_the_same(data: st.DataObject, value: object, ascii_only: bool, indent: int | None) -> None:
    """Structure, keys, the start of texts, and numbers that are values or the ends of an array, in any chunks."""
    body = json.dumps(value, ensure_ascii=ascii_only, indent=indent).encode()
    whole = condense([body])
    assert condense(byte_by_byte(body)) == whole
    assert condense(data.draw(splits(body))) == whole
    assert shortened(json.loads(whole)) == shortened(value)


@pytest.mark.parametrize(
    ("body", "left"),
    [
        (b"[1, 2, 3]", b"[1, 2, 3]"),
        (b"[" + b"1," * 31 + b"23]", b"[" + b"1," * 31 + b"23]"),
        (b"[" + b"1," * 31 + b"234]", b"[1,234]"),
        (b"[" + b"1, " * 99 + b"2]", b"[1,2]"),
        (b"[" + b"1, " * 99 + b"{}]", b"[1,{}]"),
        (b"[{}, " + b"1, " * 99 + b"2]", b"[{},2]"),
        (b"[[], " + b"1, " * 99 + b"[]]", b"[[],[]]"),
        (b'["a", ' + b"1, " * 99 + b'"b"]', b'["a","b"]'),
        (b'{"a":   7  , "b": [ 0.5 ]}', b'{"a":   7  , "b": [ 0.5 ]}'),
        (b"[" + b" " * 500 + b"7]", b"[7]"),
        (b"[" + b"1" * 500 + b"]", b"[" + b"1" * 64 + b"]"),
        (b'{"a": ' + b"1" * 500 + b', "b": 2}', b'{"a":' + b"1" * 64 + b',"b": 2}'),
        (b'"' + rb"\n" * 128 + b'"', b'"' + rb"\n" * 128 + b'"'),
        (b'"' + b"x" * 256 + b'"', b'"' + b"x" * 256 + b'"'),
        (b'"' + b"x" * 257 + b'"', b'"' + b"x" * 32 + CUT),
        (b'"' + rb"\n" * 200 + b'"', b'"' + rb"\n" * 16 + CUT),
        (b'"x' + rb"\n" * 200 + b'"', b'"x' + rb"\n" * 15 + CUT),
        (b'"' + rb"\u00e9" * 60 + b'"', b'"' + rb"\u00e9" * 5 + CUT),
        (b'"' + rb"\ud83d\ude00" * 30 + b'"', b'"' + rb"\ud83d\ude00" * 2 + CUT),
        ('"x{}"'.format("é" * 200).encode(), '"x{}…"'.format("é" * 15).encode()),
        (rb'["\"", "]", "\\"]', rb'["\"", "]", "\\"]'),
    ],
)
@pytest.mark.parametrize("whole", [True, False])
def test_only_what_is_long_is_left_out(body: bytes, left: bytes, whole: bool) -> None:
    """Runs of numbers but for their ends, the rest of long texts, and white space."""
    seen = condense([body] if whole else byte_by_byte(body))
    assert seen == left
    orjson.loads(seen)


@pytest.mark.parametrize("body", [b'{"a": "b', b'{"a": ', b'{"a": [1, 2', rb'{"a": "b\\', b'{"a": "b", "c', b"[[1,"])
def test_a_document_that_is_cut_off_is_cut_off(body: bytes) -> None:
    """It does not become a whole one."""
    with pytest.raises(orjson.JSONDecodeError):
        orjson.loads(condense([body]))


def test_what_is_kept_has_a_bound() -> None:
    """Structure can't be left out."""
    with pytest.raises(DecodeError) as raised:
        condense([b"[" + b"{}," * 1000], 1000)
    assert raised.value.reason is Reason.TOO_LARGE
    assert len(condense([b"[" + b"1," * 100_000 + b"1]"], 1000)) < 10


@pytest.mark.parametrize("part", [rb"\n", b"x", rb"\u00e9"])
@pytest.mark.parametrize("count", [4095, 4096, 4097, 20_000])
def test_a_string_of_any_length_has_one_end(part: bytes, count: int) -> None:
    """However many of its parts come in one chunk."""
    body = b'["' + part * count + b'", "' + part * count + b'", {"a": 1}]'
    for chunks in ([body], [body[:9000], body[9000:]]):
        assert json.loads(condense(chunks))[2] == {"a": 1}
        assert len(condense(chunks)) < 100


def test_any_number_of_short_things_comes_out() -> None:
    """More than are taken at once."""
    body = b"[" + b'{"a":1},' * 9000 + b"{}]"
    assert condense([body]) == body


class _Watched(bytes):
    """A chunk that counts how far it is searched."""

    searched_bytes = 0

    def find(self, mark: Any, start: Any = None, end: Any = None) -> int:
        found = super().find(mark, start, end)
        _Watched.searched_bytes += (end if found < 0 else found) - start
        return found


@pytest.mark.parametrize("between", [b":", b'"', b"{", b"}", b"["])
def test_many_runs_of_literals_are_searched_no_further_than_they_are_long(
    monkeypatch: pytest.MonkeyPatch, between: bytes
) -> None:
    """A mark that never comes must not be looked for behind each of them: that would be quadratic."""
    monkeypatch.setattr(_Watched, "searched_bytes", 0)
    chunk = _Watched((b"1" * 200 + between) * 2000)
    position = 0
    while position < len(chunk):
        position = condensing._end_of_literals(chunk, position) + 1
    assert position == len(chunk)
    assert _Watched.searched_bytes < 50 * len(chunk)


@pytest.mark.parametrize("count", [1023, 1024, 1025, 3071, 3072, 3073, 100_000])
def test_a_run_of_literals_of_any_length_has_one_end(count: int) -> None:
    """However often is looked for it."""
    assert condense([b'{"a":[' + b"1" * count + b',2],"b":3}']) == b'{"a":[' + b"1" * 64 + b',2],"b":3}'
