from __future__ import annotations

import math
from collections.abc import Mapping

import pytest
from google.protobuf.json_format import MessageToDict
from google.protobuf.struct_pb2 import Struct
from hypothesis import given
from hypothesis import strategies as st

from extproc.wire.struct import Value, encode_length, encode_nested, encode_struct

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=300)
VALUES = st.one_of(st.booleans(), st.integers(-(2**53), 2**53), st.floats(allow_nan=False, allow_infinity=False), TEXT)


@given(st.dictionaries(TEXT, VALUES, max_size=8))
def test_protobuf_reads_what_was_written(values: Mapping[str, Value]) -> None:
    """All of it, and nothing else; numbers as doubles, truth values as such."""
    struct = Struct.FromString(encode_struct(values))
    read = MessageToDict(struct)
    assert read == values
    assert {key: type(value) is bool for key, value in read.items()} == {
        key: type(value) is bool for key, value in values.items()
    }


@given(TEXT, st.dictionaries(TEXT, VALUES, max_size=4))
def test_one_struct_stands_in_another(name: str, values: Mapping[str, Value]) -> None:
    """Under its name."""
    outer = Struct.FromString(encode_nested(name, encode_struct(values)))
    assert MessageToDict(outer) == {name: values}


def test_what_is_equal_to_python_is_not_the_same() -> None:
    """1, 1.0 and True are one key to a cache that does not look at their types."""
    for value in (True, 1, 1.0, False, 0, 0.0, "", "1"):
        struct = Struct.FromString(encode_struct({"key": value}))
        kind = struct.fields["key"].WhichOneof("kind")
        expected = "bool_value" if value is True or value is False else "number_value"
        assert kind == ("string_value" if isinstance(value, str) else expected)
    assert math.isnan(Struct.FromString(encode_struct({"key": math.nan})).fields["key"].number_value)


@pytest.mark.parametrize("length", [0, 1, 127, 128, 300, 16383, 16384, 2**31])
def test_lengths_are_varints(length: int) -> None:
    """Seven bits a byte, the lowest first, and a mark on all but the last."""
    read = sum((byte & 0x7F) << (7 * index) for index, byte in enumerate(encode_length(length)))
    assert read == length
    assert [byte >> 7 for byte in encode_length(length)] == [1] * (len(encode_length(length)) - 1) + [0]
