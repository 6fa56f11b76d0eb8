"""Our subset of envoy.data.ai.v3 against the descriptors inside the Envoy that the tests run.

No other copy of this API is at hand: it is work in progress, and newer than what other tests hold the wire against.
"""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf.descriptor_pb2 import DescriptorProto, EnumDescriptorProto, FileDescriptorProto
from support.descriptors import envoys_descriptor

from extproc.wire import ai_pb2 as ours

PACKAGES = ("envoy.data.ai.v3", "envoy.type.ai.v3")


@pytest.fixture(scope="module", name="envoys")
def _envoys() -> list[FileDescriptorProto]:
    files = ("envoy/data/ai/v3/token_usage", "envoy/data/ai/v3/request_info", "envoy/type/ai/v3/llm_protocol")
    return [envoys_descriptor(f"{file}.proto") for file in files]


def fields(message: DescriptorProto) -> dict[int, tuple[Any, ...]]:
    """Return name, kind and type of each field, by its number."""
    return {
        field.number: (field.name, field.type, field.label, field.type_name.rpartition(".")[2])
        for field in message.field
    }


def values(enum: EnumDescriptorProto) -> dict[int, str]:
    return {value.number: value.name for value in enum.value}


def own() -> FileDescriptorProto:
    described = FileDescriptorProto()
    ours.DESCRIPTOR.CopyToProto(described)
    return described


@pytest.mark.parametrize("name", list(ours.DESCRIPTOR.message_types_by_name))
def test_every_field_is_one_of_envoys(name: str, envoys: list[FileDescriptorProto]) -> None:
    """By number, name and type; what is left out is skipped."""
    (theirs,) = [message for file in envoys for message in file.message_type if message.name == name]
    (mine,) = [message for message in own().message_type if message.name == name]
    assert fields(mine).items() <= fields(theirs).items()


def test_enums_have_the_same_names_and_numbers(envoys: list[FileDescriptorProto]) -> None:
    """All of them, those inside messages too."""
    theirs = {enum.name: values(enum) for file in envoys for enum in file.enum_type}
    theirs |= {
        enum.name: values(enum) for file in envoys for message in file.message_type for enum in message.enum_type
    }
    mine = {enum.name: values(enum) for enum in own().enum_type}
    mine |= {enum.name: values(enum) for message in own().message_type for enum in message.enum_type}
    assert mine == theirs


def test_the_packages_are_those_by_which_the_messages_are_known(envoys: list[FileDescriptorProto]) -> None:
    """An Any names them."""
    assert {file.package for file in envoys} == set(PACKAGES)
