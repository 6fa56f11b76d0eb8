from __future__ import annotations

import pytest

from extproc.errors import DecodeError
from extproc.wire import ratelimit_pb2 as pb
from extproc.wire.ratelimit import Answer, Descriptor, Limit, Question, Status, Unit, read_question, write_answer


def ask(*descriptors: pb.RateLimitDescriptor, hits: int = 0) -> bytes:
    """Return the message of a question."""
    return pb.RateLimitRequest(domain="d", descriptors=descriptors, hits_addend=hits).SerializeToString()


def entry(key: str, value: bytes = b"") -> pb.RateLimitDescriptor.Entry:
    return pb.RateLimitDescriptor.Entry(key=key, value=value)


@pytest.mark.parametrize(
    ("own", "of_all", "negative", "hits"),
    [
        (None, 0, False, 1),
        (None, 7, False, 7),
        (0, 7, False, 0),
        (5, 7, False, 5),
        (5, 0, True, -5),
        (None, 7, True, -7),
        (0, 0, True, 0),
        (2**64 - 1, 0, False, 2**64 - 1),
    ],
)
def test_what_a_descriptor_is_charged(own: int | None, of_all: int, negative: bool, hits: int) -> None:
    """Its own addend stands before that of the request, where 0 means one; only its own can ask and charge nothing."""
    descriptor = pb.RateLimitDescriptor(entries=[entry("k", b"v")], is_negative_hits=negative)
    if own is not None:
        descriptor.hits_addend.value = own
    (read,) = read_question(ask(descriptor, hits=of_all)).descriptors
    assert read == Descriptor((("k", "v"),), hits)


def test_a_value_may_be_any_bytes() -> None:
    """Envoy sends headers as they come; two of them that differ are two values, and one in UTF-8 is its text."""
    values = [b"", b"caf\xc3\xa9", b"caf\xe9", b"\xff", b"\xfe", b"\xed\xb3\xbf", b"\xef\xbf\xbd"]
    question = read_question(ask(*(pb.RateLimitDescriptor(entries=[entry("k", value)]) for value in values)))
    read = [value for descriptor in question.descriptors for _, value in descriptor.entries]
    assert read[1] == "café"
    assert len(set(read)) == len(values)


def test_a_descriptor_may_bring_a_limit_of_its_own() -> None:
    """From Envoy's configuration, or from metadata."""
    override = pb.RateLimitDescriptor.RateLimitOverride(requests_per_unit=3, unit="HOUR")
    question = read_question(ask(pb.RateLimitDescriptor(entries=[entry("k"), entry("l", b"w")], limit=override)))
    assert question == Question("d", (Descriptor((("k", ""), ("l", "w")), 1, Limit(3, Unit.HOUR)),))


@pytest.mark.parametrize(
    "message",
    [b"\xff", ask(pb.RateLimitDescriptor(limit=pb.RateLimitDescriptor.RateLimitOverride(requests_per_unit=3)))],
)
def test_what_cannot_be_read_is_refused(message: bytes) -> None:
    """Bytes that are no message, and a limit for which there is no window."""
    with pytest.raises(DecodeError):
        read_question(message)


def test_an_answer_says_all_of_each_descriptor() -> None:
    """Where nothing was found for one there is no limit, and no time."""
    statuses = [Status(), Status(is_over=True, limit=Limit(9, Unit.WEEK, "n"), remaining=0, reset_seconds=60)]
    message = write_answer(Answer(True, statuses, {"a": "b"}, b"body"))
    read = pb.RateLimitResponse.FromString(message)
    assert read.overall_code == pb.RateLimitResponse.OVER_LIMIT
    passed, refused = read.statuses
    assert passed == pb.RateLimitResponse.DescriptorStatus(code="OK")
    assert refused.code == pb.RateLimitResponse.OVER_LIMIT
    assert refused.current_limit == pb.RateLimitResponse.RateLimit(requests_per_unit=9, unit="WEEK", name="n")
    assert refused.duration_until_reset.seconds == 60
    assert [(each.key, each.value) for each in read.response_headers_to_add] == [("a", "b")]
    assert read.raw_body == b"body"
    assert pb.RateLimitResponse.FromString(write_answer(Answer(False, []))).overall_code == pb.RateLimitResponse.OK


def test_units_are_those_of_the_protocol() -> None:
    """By name and number."""
    assert {"UNKNOWN_UNIT": 0} | {unit.name: unit.value for unit in Unit} == dict(pb.Unit.items())
