"""google.protobuf.Struct as bytes, for values that are flat.

Owns: the encoding of numbers, words and truth values under their keys. protobuf's own Struct makes an object for each
of them, which costs ten times as much, on a path that every exchange takes.

https://protobuf.dev/programming-guides/encoding/ and google/protobuf/struct.proto:

    message Struct { map<string, Value> fields = 1; }     an entry of a map is a message { key = 1, value = 2 }
    message Value  { double number_value = 2; string string_value = 3; bool bool_value = 4; Struct struct_value = 5; }
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from functools import lru_cache
from typing import Final, TypeAlias

Value: TypeAlias = str | bool | int | float

# Of the fields named above: number << 3 | wire type.
_FIELDS: Final = b"\x0a"
_KEY: Final = b"\x0a"
_VALUE: Final = b"\x12"
_NUMBER: Final = b"\x11"
_STRING: Final = b"\x1a"
_BOOL: Final = b"\x20"
_STRUCT: Final = b"\x2a"

_pack_double = struct.Struct("<d").pack
_DOUBLE_BYTES = 8
# The largest length that is one byte as a varint.
MAX_ONE_BYTE = 0x7F


def encode_length(length: int) -> bytes:
    """Return a length as a varint."""
    if length <= MAX_ONE_BYTE:
        return bytes((length,))
    encoded = bytearray()
    while length > MAX_ONE_BYTE:
        encoded.append(length & MAX_ONE_BYTE | 0x80)
        length >>= 7
    encoded.append(length)
    return bytes(encoded)


def encode_struct(values: Mapping[str, Value]) -> bytes:
    """Return the Struct that has these values. Numbers become doubles, as they do in JSON."""
    return b"".join(
        [
            _number_opening(key) + _pack_double(value)
            if type(value) is int or type(value) is float
            else (_text_entry if type(value) is str else _bool_entry)(key, value)
            for key, value in values.items()
        ]
    )


def encode_nested(name: str, encoded: bytes) -> bytes:
    """Return the entry of a Struct that has an encoded Struct under a name."""
    return _struct_opening(name, len(encoded)) + encoded


def _opening(key: str, kind: bytes, value_bytes: int) -> bytes:
    """Return an entry up to its value, which is of a kind and has so many bytes."""
    name = key.encode()
    head = _KEY + encode_length(len(name)) + name + _VALUE + encode_length(len(kind) + value_bytes) + kind
    return _FIELDS + encode_length(len(head) + value_bytes) + head


# Keys are ours, and few, and so are the lengths of what is under them.
@lru_cache(maxsize=256)
def _number_opening(key: str) -> bytes:
    return _opening(key, _NUMBER, _DOUBLE_BYTES)


@lru_cache(maxsize=4096)
def _struct_opening(key: str, struct_bytes: int) -> bytes:
    return _opening(key, _STRUCT + encode_length(struct_bytes), struct_bytes)


# Words are mostly the same ones: names of models, reasons. What clients make up is short, and pushed out by others.
@lru_cache(maxsize=4096)
def _text_entry(key: str, text: str) -> bytes:
    encoded = text.encode()
    return _opening(key, _STRING + encode_length(len(encoded)), len(encoded)) + encoded


@lru_cache(maxsize=256)
def _bool_entry(key: str, truth: bool) -> bytes:
    return _opening(key, _BOOL, 1) + bytes((truth,))
