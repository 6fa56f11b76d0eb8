from __future__ import annotations

from typing import Any

import pytest
from google.protobuf.struct_pb2 import Struct
from msgspec.structs import replace
from support.everything import Everything
from support.messages import REQUEST, exchange, protocol, request_body, request_headers, untyped_context

from extproc.errors import MENDS, Hindrance
from extproc.server.hindrances import Hindrances, Wanted
from extproc.usage import Completion, TokenUsage, UsageRecord
from extproc.wire.envoy import decode_request, read_modes

LLM = UsageRecord(
    is_llm=True, completion=Completion.COMPLETE, duration_seconds=1.0, request_model="m", usage=TokenUsage(1, 1)
)
HEADERS = REQUEST | {"content-type": "application/json"}
ALL = Wanted(frozenset({"envoy.ai.jwt", "envoy.ai.geo"}), attributes=True, request_id=True)


class Looking:
    """Hindrances, and what was found of them."""

    def __init__(self, wanted: Wanted | None = None) -> None:
        self.found: list[tuple[Hindrance, str]] = []
        self.hindrances = Hindrances(wanted or Wanted(), lambda *found: self.found.append(found))

    def show(self, message: bytes, record: UsageRecord = LLM, count: int = 1) -> None:
        """Show so many streams, each with this first message and this end."""
        for _ in range(count):
            request, phase = decode_request(message)
            sighting = self.hindrances.begin(read_modes(request), phase, request)
            sighting.take(request)
            self.hindrances.end(sighting, record)

    def is_decided(self, message: bytes) -> bool:
        """Say whether streams like this are of no interest any more."""
        return id(read_modes(decode_request(message)[0])) in self.hindrances.decided


def first(*modes: str, **headers: str) -> bytes:
    """Return the first message of an exchange."""
    return request_headers(HEADERS | headers, config=protocol(*modes))


def test_one_good_exchange_is_enough() -> None:
    """Nothing more is looked at then: it costs something each time."""
    looking = Looking()
    looking.show(first())
    assert looking.is_decided(first())
    assert looking.found == []


def test_other_modes_are_looked_at_for_themselves() -> None:
    """Envoy may have got another configuration, or there are several listeners."""
    looking = Looking()
    looking.show(first())
    assert not looking.is_decided(first("NONE", "NONE"))


@pytest.mark.parametrize(
    ("message", "found"),
    [
        (request_headers(HEADERS, config=protocol(), observability_mode=True), (Hindrance.OBSERVABILITY_MODE, "")),
        (request_body(protocol_config=protocol()), (Hindrance.REQUEST_HEADERS, "")),
        (
            request_headers({":path": "/", "content-type": "x"}, config=protocol()),
            (Hindrance.FORWARD_RULES, ":authority, :method"),
        ),
    ],
)
def test_some_things_are_plain_at_once(message: bytes, found: tuple[Hindrance, str]) -> None:
    """And told once."""
    looking = Looking()
    looking.show(message, count=3)
    assert looking.found == [found]


@pytest.mark.parametrize(
    ("modes", "lacking", "hindrance"),
    [
        (("NONE", "STREAMED"), {"request_model": None}, Hindrance.REQUEST_BODY),
        (("BUFFERED", "NONE"), {"usage": None}, Hindrance.RESPONSE_BODY),
    ],
)
def test_a_body_that_is_not_sent_is_missed_when_nothing_comes_in_its_place(
    modes: tuple[str, str], lacking: dict[str, Any], hindrance: Hindrance
) -> None:
    """Envoy may tell usage and model itself; it takes a while to know that it does not."""
    looking = Looking()
    looking.show(first(*modes), replace(LLM, **lacking), count=19)
    assert looking.found == []
    looking.show(first(*modes), replace(LLM, **lacking))
    assert looking.found == [(hindrance, "")]
    assert looking.is_decided(first(*modes))


@pytest.mark.parametrize("modes", [("NONE", "NONE"), ("BUFFERED", "NONE"), ("NONE", "STREAMED")])
def test_a_body_is_not_missed_where_something_came_in_its_place(modes: tuple[str, str]) -> None:
    """Once is enough: other exchanges may have had none."""
    looking = Looking()
    looking.show(first(*modes), replace(LLM, usage=None, request_model=None), count=19)
    looking.show(first(*modes), LLM)
    assert looking.is_decided(first(*modes))
    looking.show(first(*modes), replace(LLM, usage=None, request_model=None), count=100)
    assert looking.found == []


def test_bodies_that_are_sent_may_lack_anything() -> None:
    """That is told elsewhere."""
    looking = Looking()
    looking.show(first(), replace(LLM, usage=None, request_model=None), count=100)
    assert looking.found == []


def test_what_is_not_with_an_llm_says_nothing() -> None:
    """Most of it has no body, and no metadata."""
    looking = Looking(ALL)
    looking.show(first("NONE", "NONE"), UsageRecord(False, Completion.COMPLETE, 1.0), count=200)
    assert looking.found == []


def test_a_content_type_that_no_exchange_has_is_not_forwarded() -> None:
    """Every client sends one with its question."""
    looking = Looking()
    looking.show(request_headers(REQUEST, config=protocol()), count=20)
    assert looking.found == [(Hindrance.FORWARD_RULES, "content-type")]


def test_what_settings_need_is_missed_after_a_hundred_exchanges() -> None:
    """It may be absent from many; of namespaces those are told that never came."""
    looking = Looking(ALL)
    seen = request_headers(HEADERS, config=protocol(), metadata_context=untyped_context(jwt={"sub": "a"}))
    looking.show(seen)
    looking.show(first(), count=98)
    assert looking.found == []
    looking.show(first())
    assert looking.found == [
        (Hindrance.LABEL_NAMESPACES, "envoy.ai.geo"),
        (Hindrance.ATTRIBUTES, ""),
        (Hindrance.REQUEST_ID, ""),
    ]
    assert looking.is_decided(first())


def test_what_has_come_once_is_not_missed() -> None:
    """In whichever exchange."""
    looking = Looking(ALL)
    attributes = {"envoy.filters.http.ext_proc": Struct()}
    looking.show(first(**{"x-request-id": "r-1"}))
    looking.show(request_headers(HEADERS, config=protocol(), attributes=attributes))
    for namespace in ("jwt", "geo"):
        context = untyped_context(**{namespace: {"a": "b"}})
        looking.show(request_headers(HEADERS, config=protocol(), metadata_context=context))
    assert looking.is_decided(first())
    assert looking.found == []


def test_every_hindrance_has_its_mend() -> None:
    """A warning without one is a riddle."""
    assert set(MENDS) == set(Hindrance)


def test_a_session_shows_all_its_messages() -> None:
    """Metadata of a later filter comes with the answer; and it is not looked at any longer than needed."""
    heard, looking = Everything(), Looking(Wanted(frozenset({"envoy.ai.late"})))
    processor = heard.processor(hindrances=looking.hindrances)
    messages = [first(), *exchange()[1:]]
    late = decode_request(messages[2])[0]
    late.metadata_context.CopyFrom(untyped_context(late={"a": "b"}))
    messages[2] = late.SerializeToString()
    for _ in range(2):
        session = processor.open_session((), 0.0)
        for message in messages:
            assert session.receive(message, 0.0) is not None
        session.closed(Completion.COMPLETE, 0.0)
    assert looking.is_decided(first())
    assert [record.usage is not None for record in heard.records] == [True, True]
    assert (heard.bugs, looking.found) == ([], [])
