"""Envoy's rate-limit service between bytes and values.

Owns: how a request is read, with what stands for what is absent, and how an answer is written. Must not know limits.

https://www.envoyproxy.io/docs/envoy/latest/api-v3/service/ratelimit/v3/rls.proto
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final

from google.protobuf.message import DecodeError as ProtobufDecodeError

from extproc.errors import DecodeError, Reason
from extproc.wire import ratelimit_pb2 as pb

SERVICE: Final = "envoy.service.ratelimit.v3.RateLimitService"
METHOD: Final = "ShouldRateLimit"

# What stands for "as many as there are".
UNLIMITED: Final = 2**32 - 1


class Unit(IntEnum):
    """How long a window is, by the numbers of the protocol."""

    SECOND = 1
    MINUTE = 2
    HOUR = 3
    DAY = 4
    MONTH = 5
    YEAR = 6
    WEEK = 7


@dataclass(frozen=True, slots=True)
class Limit:
    """How much there is in a window."""

    requests_per_unit: int
    unit: Unit
    name: str = ""


@dataclass(frozen=True, slots=True)
class Descriptor:
    """What a request is: entries of key and value, from the general to the special.

    `hits` is what it is charged: 0 only asks, less gives back. `limit` is one that Envoy brings, in the place of ours.
    """

    entries: tuple[tuple[str, str], ...]
    hits: int = 1
    limit: Limit | None = None


@dataclass(frozen=True, slots=True)
class Question:
    """A request to the service."""

    domain: str
    descriptors: tuple[Descriptor, ...]


@dataclass(frozen=True, slots=True)
class Status:
    """What is said of one descriptor. Without a limit nothing was found for it."""

    is_over: bool = False
    limit: Limit | None = None
    remaining: int = 0
    reset_seconds: int = 0


@dataclass(frozen=True, slots=True)
class Answer:
    """What is said of a request, and of each of its descriptors. The body is for a client that is refused."""

    is_over: bool
    statuses: Sequence[Status]
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


def read_question(message: bytes) -> Question:
    """Return what is asked; raise DecodeError(UNDECODABLE) for what is no such message, or has no such unit."""
    try:
        request = pb.RateLimitRequest.FromString(message)
        descriptors = tuple(_read_descriptor(each, request.hits_addend) for each in request.descriptors)
    except (ProtobufDecodeError, ValueError):
        raise DecodeError(Reason.UNDECODABLE) from None
    return Question(request.domain, descriptors)


def write_answer(answer: Answer) -> bytes:
    """Return the message of an answer."""
    response = pb.RateLimitResponse(overall_code=_code(is_over=answer.is_over), raw_body=answer.body)
    for status in answer.statuses:
        written = response.statuses.add(code=_code(is_over=status.is_over), limit_remaining=status.remaining)
        if status.limit is not None:
            written.current_limit.MergeFrom(_write_limit(status.limit))
            written.duration_until_reset.seconds = status.reset_seconds
    for key, value in answer.headers.items():
        response.response_headers_to_add.add(key=key, value=value)
    return response.SerializeToString()


def _read_descriptor(descriptor: pb.RateLimitDescriptor, hits_of_all: int) -> Descriptor:
    # Who sends no number means one; only the descriptor's own may be 0.
    hits = descriptor.hits_addend.value if descriptor.HasField("hits_addend") else hits_of_all or 1
    limit = None
    if descriptor.HasField("limit"):
        limit = Limit(descriptor.limit.requests_per_unit, Unit(descriptor.limit.unit))
    # Other bytes than UTF-8 are a value like any other: who sends them is not to be free of limits.
    entries = tuple((entry.key, entry.value.decode("utf-8", "surrogateescape")) for entry in descriptor.entries)
    return Descriptor(entries, -hits if descriptor.is_negative_hits else hits, limit)


def _write_limit(limit: Limit) -> pb.RateLimitResponse.RateLimit:
    return pb.RateLimitResponse.RateLimit(
        requests_per_unit=limit.requests_per_unit, unit=limit.unit.name, name=limit.name
    )


def _code(*, is_over: bool) -> pb.RateLimitResponse.Code:
    return pb.RateLimitResponse.OVER_LIMIT if is_over else pb.RateLimitResponse.OK
