"""Our subset of the rate-limit service against an independent implementation of the whole of it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from envoy_data_plane.envoy.config.core import v3 as core
from envoy_data_plane.envoy.extensions.common.ratelimit import v3 as common
from envoy_data_plane.envoy.service.ratelimit import v3 as oracle
from envoy_data_plane.envoy.type import v3 as types
from google.protobuf.descriptor import Descriptor, FieldDescriptor

from extproc.wire import ratelimit_pb2 as ours

COUNTERPARTS: dict[str, Any] = {
    "HeaderValue": core.HeaderValue,
    "RateLimitDescriptor": common.RateLimitDescriptor,
    "RateLimitDescriptor.Entry": common.RateLimitDescriptorEntry,
    "RateLimitDescriptor.RateLimitOverride": common.RateLimitDescriptorRateLimitOverride,
    "RateLimitRequest": oracle.RateLimitRequest,
    "RateLimitResponse": oracle.RateLimitResponse,
    "RateLimitResponse.DescriptorStatus": oracle.RateLimitResponseDescriptorStatus,
    "RateLimitResponse.RateLimit": oracle.RateLimitResponseRateLimit,
}

# What the oracle calls the types of fields.
NAMES = {
    FieldDescriptor.TYPE_STRING: "string",
    FieldDescriptor.TYPE_BYTES: "bytes",
    FieldDescriptor.TYPE_BOOL: "bool",
    FieldDescriptor.TYPE_UINT32: "uint32",
    FieldDescriptor.TYPE_MESSAGE: "message",
    FieldDescriptor.TYPE_ENUM: "enum",
}

# Strings that we take as bytes, which are the same on the wire: Envoy does not see to it that they are UTF-8.
TAKEN_AS_BYTES = {"RateLimitDescriptor.Entry.value"}


def descriptors() -> dict[str, Descriptor]:
    """Return all messages of ours, with those inside others."""
    outer: dict[str, Descriptor] = dict(ours.DESCRIPTOR.message_types_by_name.items())
    return outer | {f"{name}.{each.name}": each for name, one in outer.items() for each in one.nested_types}


def test_every_message_has_its_counterpart() -> None:
    """Nothing in the .proto file is left out here."""
    assert set(descriptors()) == set(COUNTERPARTS)


@pytest.mark.parametrize("name", sorted(COUNTERPARTS))
def test_every_field_is_one_of_envoys(name: str) -> None:
    """By its number, name and type."""
    theirs = {field: about.metadata["betterproto"] for field, about in COUNTERPARTS[name].__dataclass_fields__.items()}
    for field in descriptors()[name].fields:
        about = theirs[field.name]
        kind = "string" if f"{name}.{field.name}" in TAKEN_AS_BYTES else NAMES[field.type]
        assert (about.number, about.proto_type, about.repeated) == (field.number, kind, field.is_repeated)


@pytest.mark.parametrize(
    ("ours_enum", "oracle_enum", "beside"),
    [
        (ours.RateLimitResponse.Code, oracle.RateLimitResponseCode, {}),
        (ours.Unit, oracle.RateLimitResponseRateLimitUnit, {}),
        (ours.Unit, types.RateLimitUnit, {"WEEK": 7}),
    ],
)
def test_enums_have_the_same_names_and_numbers(ours_enum: Any, oracle_enum: Any, beside: dict[str, int]) -> None:
    """A unit we did not know would be taken for another."""
    known = {name.removesuffix("_UNIT"): number for name, number in ours_enum.items()}
    assert known == {member.name: member.value for member in oracle_enum} | beside


def test_what_the_oracle_writes_we_read() -> None:
    """A request with everything that one can have."""
    entry = common.RateLimitDescriptorEntry(key="k", value="v")
    limit = common.RateLimitDescriptorRateLimitOverride(requests_per_unit=7, unit=types.RateLimitUnit.YEAR)
    whole = common.RateLimitDescriptor(entries=[entry], limit=limit, hits_addend=2**40, is_negative_hits=True)
    request = oracle.RateLimitRequest(domain="d", descriptors=[whole, common.RateLimitDescriptor()], hits_addend=3)
    read = ours.RateLimitRequest.FromString(bytes(request))
    first, second = read.descriptors
    assert (read.domain, read.hits_addend) == ("d", 3)
    assert [(each.key, each.value) for each in first.entries] == [("k", b"v")]
    assert (first.limit.requests_per_unit, first.limit.unit) == (7, ours.YEAR)
    assert (first.hits_addend.value, first.is_negative_hits) == (2**40, True)
    assert not second.HasField("hits_addend")


def test_what_we_write_the_oracle_reads() -> None:
    """An answer with everything that ours have."""
    status = ours.RateLimitResponse.DescriptorStatus(code="OVER_LIMIT", limit_remaining=4)
    status.current_limit.MergeFrom(ours.RateLimitResponse.RateLimit(requests_per_unit=5, unit="YEAR", name="n"))
    status.duration_until_reset.seconds = 6
    header = ours.HeaderValue(key="h", value="w")
    written = ours.RateLimitResponse(
        overall_code="OVER_LIMIT", statuses=[status], response_headers_to_add=[header], raw_body=b"b"
    )
    read = oracle.RateLimitResponse.parse(written.SerializeToString())
    (theirs,) = read.statuses
    assert not read._unknown_fields
    assert (read.overall_code, theirs.code) == (oracle.RateLimitResponseCode.OVER_LIMIT,) * 2
    assert theirs.limit_remaining == 4
    assert theirs.duration_until_reset == timedelta(seconds=6)
    assert theirs.current_limit == oracle.RateLimitResponseRateLimit(
        requests_per_unit=5, unit=oracle.RateLimitResponseRateLimitUnit.YEAR, name="n"
    )
    assert [(each.key, each.value) for each in read.response_headers_to_add] == [("h", "w")]
    assert read.raw_body == b"b"
