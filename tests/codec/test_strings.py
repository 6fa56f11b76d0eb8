from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.chunks import byte_by_byte, splits

from extproc.codec.strings import StringScan


def length_of_first(chunks: list[bytes]) -> int | None:
    """Return where the string ends in which the chunks start; None if it does not."""
    scan, passed = StringScan(), 0
    scan.is_open = True
    for chunk in chunks:
        position = 0
        while position < len(chunk) and scan.is_open:
            position = scan.advance(chunk, position)
        passed += position
        if not scan.is_open:
            return passed
    return None


@given(st.data(), st.text(), st.booleans())
def test_a_string_ends_where_it_ends(data: st.DataObject, text: str, ascii_only: bool) -> None:
    """Whole, byte by byte or cut anywhere; what follows is none of it."""
    string = json.dumps(text, ensure_ascii=ascii_only).encode()[1:]
    body = string + b', "next"'
    for chunks in ([body], byte_by_byte(body), data.draw(splits(body))):
        assert length_of_first(chunks) == len(string)


@pytest.mark.parametrize("part", [rb"\n", rb"\"", b"x"])
@pytest.mark.parametrize("count", [0, 4095, 4096, 4097, 20_000])
def test_a_string_may_have_any_number_of_parts(part: bytes, count: int) -> None:
    """More than are taken at once."""
    assert length_of_first([part * count + b'"]']) == len(part) * count + 1


@pytest.mark.parametrize("body", [b"abc", rb"abc\"", b"abc\\", b""])
def test_a_string_that_is_cut_off_stays_open(body: bytes) -> None:
    """An escaped quote is no end."""
    assert length_of_first([body]) is None
    assert length_of_first(byte_by_byte(body)) is None
