"""What is collected of the exchange around a call, through a session, as Envoy shows it."""

from __future__ import annotations

import json
import random
import re
from typing import Any

import pytest
from support.everything import Everything
from support.messages import (
    REQUEST,
    RESPONSE,
    protocol,
    request_body,
    request_headers,
    response_body,
    response_headers,
    response_trailers,
    untyped_context,
)

from extproc.server.surroundings import LabelSource, Rule, Survey, Surveyor, split_address
from extproc.surroundings import UNKNOWN_LABEL
from extproc.trace_context import Sampling, format_b3, format_traceparent
from extproc.usage import Completion
from extproc.wire.ext_proc_pb2 import Metadata, ProcessingRequest, ProcessingResponse

TRACE, SPAN, OTHER_SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331", "00f067aa0ba902b7"
TRACEPARENT = f"00-{TRACE}-{SPAN}-01"


def surveyor(**options: Any) -> Surveyor:
    return Surveyor(**{"random_bits": random.getrandbits, **options})


def play(
    surveyor: Surveyor,
    headers: dict[str, str] | None = None,
    *,
    answer: dict[str, str] | None = None,
    grpc: tuple[tuple[str, str | bytes], ...] = (),
    request_attributes: dict[str, Any] | None = None,
    response_attributes: dict[str, Any] | None = None,
    metadata: Metadata | None = None,
    late_metadata: Metadata | None = None,
) -> tuple[Everything, list[ProcessingResponse]]:
    """Play an exchange; return what was heard of it, and the replies."""
    heard = Everything()
    processor = heard.processor(surveyor=surveyor)
    session = processor.open_session(grpc, 10.0)
    first = request_headers(REQUEST | (headers or {}), config=protocol(), metadata_context=metadata)
    messages = [
        with_attributes(first, request_attributes),
        request_body(),
        with_attributes(response_headers(RESPONSE | (answer or {})), response_attributes),
        response_body(end=True, metadata_context=late_metadata),
    ]
    replies = [session.receive(message, 10.0 + index) for index, message in enumerate(messages)]
    session.closed(Completion.COMPLETE, 20.0)
    return heard, [ProcessingResponse.FromString(reply or b"") for reply in replies]


def with_attributes(message: bytes, attributes: dict[str, Any] | None) -> bytes:
    request = ProcessingRequest.FromString(message)
    if attributes:
        request.attributes["envoy.filters.http.ext_proc"].update(attributes)
    return request.SerializeToString()


def claims(namespace: str = "envoy.filters.http.jwt_authn", **values: Any) -> Metadata:
    metadata = Metadata()
    metadata.filter_metadata[namespace].update(values)
    return metadata


def test_the_request_is_known_without_its_query() -> None:
    """In which some clients send their key."""
    heard, _ = play(
        surveyor(), {":path": "/v1/chat/completions?key=secret#x", ":scheme": "https", ":authority": "a:8080"}
    )
    around = heard.surroundings
    assert (around.method, around.scheme, around.host, around.port) == ("POST", "https", "a", 8080)
    assert around.path == "/v1/chat/completions"
    assert around.trace is None
    assert heard.bugs == []


def test_a_key_in_a_path_or_a_label_is_not_told() -> None:
    """Clients get headers and paths wrong, and what they put there may be a key."""
    labels = (LabelSource(header="x-team"), LabelSource(header="x-user"))
    headers = {":path": "/v1/sk-proj-12345678/chat", "x-team": "Bearer abc", "x-user": "ann"}
    heard, _ = play(surveyor(labels=labels), headers)
    assert heard.surroundings.path == "[redacted]"
    assert heard.surroundings.labels == ("[redacted]", "ann")


def test_envoy_tells_route_and_upstream_by_attributes() -> None:
    """Those of the response are known once there is one."""
    heard, _ = play(
        surveyor(),
        request_attributes={"xds.route_name": "openai"},
        response_attributes={"upstream.address": "10.0.0.7:443", "upstream.tls_version": "TLSv1.3"},
    )
    around = heard.surroundings
    assert (around.route, around.upstream_address, around.upstream_port) == ("openai", "10.0.0.7", 443)
    assert around.tls_version == "TLSv1.3"


def test_without_bodies_the_upstream_is_told_with_the_trailers() -> None:
    """It is the only message there is of an answer then; Envoy's own usage comes in it as well."""
    heard = Everything()
    session = heard.processor(surveyor=surveyor()).open_session((), 10.0)
    session.receive(request_headers(REQUEST, config=protocol()), 10.0)
    trailers = response_trailers(metadata_context=untyped_context(token_usage={"input_tokens": 1}))
    session.receive(with_attributes(trailers, {"upstream.address": "10.0.0.7:443"}), 11.0)
    session.closed(Completion.COMPLETE, 12.0)
    assert heard.bugs == []
    assert (heard.surroundings.upstream_address, heard.surroundings.upstream_port) == ("10.0.0.7", 443)


@pytest.mark.parametrize(
    ("address", "split"),
    [
        ("api.openai.com", ("api.openai.com", None)),
        ("api.openai.com:443", ("api.openai.com", 443)),
        ("[::1]:8080", ("::1", 8080)),
        ("[::1]", ("::1", None)),
        ("::1", ("::1", None)),
        ("a:99999", ("a", None)),
        ("a:x", ("a", None)),
        ("a:123456", ("a", None)),
        ("", (None, None)),
        ("user:password@example.com:80", ("example.com", 80)),
        ("user@[::1]:80", ("::1", 80)),
    ],
)
def test_an_address_is_a_host_and_perhaps_a_port(address: str, split: tuple[str | None, int | None]) -> None:
    """As it stands in :authority."""
    assert split_address(address) == split


@pytest.mark.parametrize(
    ("headers", "grpc", "parent"),
    [
        ({"traceparent": TRACEPARENT}, (), SPAN),
        ({}, (("traceparent", TRACEPARENT),), SPAN),
        # Envoy's span of its call to us is the nearer one.
        ({"traceparent": TRACEPARENT}, (("traceparent", f"00-{TRACE}-{OTHER_SPAN}-01"),), OTHER_SPAN),
        ({"traceparent": TRACEPARENT}, (("traceparent", "nonsense"), ("traceparent-bin", b"x")), SPAN),
        ({"b3": f"{TRACE}-{SPAN}-1"}, (), SPAN),
    ],
)
def test_a_trace_goes_on_from_its_nearest_parent(
    headers: dict[str, str], grpc: tuple[tuple[str, str | bytes], ...], parent: str
) -> None:
    """That is Envoy's span if it traces as well, else the client's."""
    options = surveyor(sampling=Sampling(rate=0.0), propagators=("tracecontext", "b3"))
    heard, _ = play(options, headers, grpc=grpc)
    trace = heard.surroundings.trace
    assert trace is not None
    assert (f"{trace.trace_id:032x}", f"{trace.parent_span_id:016x}", trace.is_sampled) == (TRACE, parent, True)


def test_what_callers_say_is_left_alone_without_propagation() -> None:
    """Then every exchange is a trace of its own."""
    heard, _ = play(surveyor(sampling=Sampling()), {"traceparent": TRACEPARENT}, grpc=(("traceparent", TRACEPARENT),))
    trace = heard.surroundings.trace
    assert trace is not None
    assert trace.parent_span_id is None
    assert trace.trace_id != int(TRACE, 16)


def test_the_upstream_is_told_of_the_span_of_its_call() -> None:
    """If it is to be: in each form that is asked for, with the reply to the request's headers."""
    inject = {"traceparent": format_traceparent, "b3": format_b3}
    heard, replies = play(surveyor(sampling=Sampling(), propagators=("tracecontext",), inject=inject))
    trace = heard.surroundings.trace
    assert trace is not None
    options = replies[0].request_headers.response.header_mutation.set_headers
    told = {option.header.key: option.header.raw_value.decode() for option in options}
    assert told == {"traceparent": format_traceparent(trace), "b3": format_b3(trace)}
    assert not any(reply.response_headers.response.HasField("header_mutation") for reply in replies)


def test_nothing_is_told_upstream_unasked() -> None:
    """No header of a request changes."""
    _, replies = play(surveyor(sampling=Sampling(), propagators=("tracecontext",)))
    assert not any(reply.request_headers.response.HasField("header_mutation") for reply in replies)


JWT = "envoy.filters.http.jwt_authn"


@pytest.mark.parametrize(
    ("value", "label"),
    [
        ("blue", "blue"),
        (42, "42.0"),
        (0.5, "0.5"),
        (True, "True"),
        (["a"], UNKNOWN_LABEL),
        ({}, UNKNOWN_LABEL),
        (None, UNKNOWN_LABEL),
        ("", UNKNOWN_LABEL),
        ("a\nb", "a\ufffdb"),
    ],
)
def test_a_label_from_metadata_is_printed_as_kgateway_prints_it(value: object, label: str) -> None:
    """So that its dashboards go on."""
    options = surveyor(labels=(LabelSource(JWT, ("principal", "team")),))
    heard, _ = play(options, metadata=claims(principal={"team": value}))
    assert heard.surroundings.labels == (label,)


def test_a_label_stands_that_was_found_first() -> None:
    """Any message may bring the metadata; what is nowhere is unknown."""
    options = surveyor(labels=(LabelSource(JWT, ("a",)), LabelSource(JWT, ("b",)), LabelSource("else", ("a",))))
    heard, _ = play(options, metadata=claims(a="first"), late_metadata=claims(a="second", b="late"))
    assert heard.surroundings.labels == ("first", "late", UNKNOWN_LABEL)


@pytest.mark.parametrize(
    ("source", "label"),
    [
        (LabelSource(value="eu"), "eu"),
        (LabelSource(header="x-team"), "red"),
        (LabelSource(header="x-none"), UNKNOWN_LABEL),
        (LabelSource(header="x-meta", header_key="customer_id"), "acme"),
        (LabelSource(header="x-meta", header_key="number"), "1.0"),
        (LabelSource(header="x-meta", header_key="none"), UNKNOWN_LABEL),
        (LabelSource(header="x-team", header_key="customer_id"), UNKNOWN_LABEL),
        (LabelSource(header="x-list", header_key="customer_id"), UNKNOWN_LABEL),
        (LabelSource(header="x-long", header_key="customer_id"), UNKNOWN_LABEL),
        (LabelSource(header="x-none", header_key="customer_id"), UNKNOWN_LABEL),
    ],
)
def test_a_label_may_come_from_a_header_or_be_fixed(source: LabelSource, label: str) -> None:
    """Also from a member of a header that is JSON."""
    headers = {
        "x-team": "red",
        "x-meta": json.dumps({"customer_id": "acme", "number": 1}),
        "x-list": "[]",
        "x-long": json.dumps({"customer_id": "a" * 20_000}),
    }
    heard, _ = play(surveyor(labels=(source,)), headers)
    assert heard.surroundings.labels == (label,)


def test_headers_are_reported_where_that_is_asked_for_and_credentials_never() -> None:
    """By their names, and by what they look like."""
    secrets = {"authorization": "Bearer x", "x-api-key": "k", "cookie": "c", "x-custom": "Bearer sk-123456789012"}
    options = surveyor(is_reported=lambda name: name != "x-denied")
    heard, _ = play(
        options,
        {"user-agent": "curl", "x-denied": "no", "x-long": "a" * 2000} | secrets,
        answer={"x-request-id": "7", "set-cookie": "c"},
    )
    around = heard.surroundings
    assert dict(around.request_headers) == {
        "user-agent": ("curl",),
        "x-custom": ("[redacted]",),
        "x-long": ("a" * 1024,),
    }
    assert dict(around.response_headers) == {"content-type": ("application/json",), "x-request-id": ("7",)}


def test_headers_are_reported_as_far_as_there_is_room() -> None:
    """A client may send many, and they are in several spans of a batch: what does not fit is left out, and no more."""
    many = {f"x-{number}": "v" * 2000 for number in range(20)}
    heard, _ = play(surveyor(is_reported=lambda name: name.startswith("x-")), many | {"x-last": "v"})
    told = dict(heard.surroundings.request_headers)
    assert sum(len(name) + sum(map(len, values)) for name, values in told.items()) <= 4096
    assert list(told) == ["x-0", "x-1", "x-2", "x-last"]


def test_no_header_is_reported_unasked() -> None:
    """Not one."""
    heard, _ = play(surveyor(), {"user-agent": "curl"})
    assert (heard.surroundings.request_headers, heard.surroundings.response_headers) == ((), ())


def rule(authority: str, path: str, rate: float) -> Rule:
    return Rule(re.compile(authority), re.compile(path), Sampling("always_on" if rate else "always_off"))


@pytest.mark.parametrize(
    ("path", "index", "is_sampled"),
    [("/a/x?y", 0, False), ("/b", 1, True), ("/c", None, False)],
)
def test_the_first_rule_that_fits_stands(path: str, index: int | None, is_sampled: bool) -> None:
    """It samples as it says."""
    options = surveyor(
        sampling=Sampling("always_off"),
        rules=(rule(".*", "/a/.*", 0), rule(r"api\.openai\.com", "/b", 1), rule("other", ".*", 1)),
    )
    heard, _ = play(options, {":path": path})
    trace = heard.surroundings.trace
    assert trace is not None
    assert (heard.surroundings.rule, trace.is_sampled) == (index, is_sampled)


@pytest.mark.parametrize(("path", "is_skipped"), [("/foo/1?x", True), ("/foo/1/2", False), ("/v1/x", False)])
def test_paths_can_be_left_out(path: str, is_skipped: bool) -> None:
    """The exchange is known all the same: who bills goes by all of them."""
    heard, _ = play(surveyor(skip_paths=(re.compile("/foo/[^/]+"),)), {":path": path})
    assert heard.surroundings.is_skipped is is_skipped


def test_the_time_a_message_takes_here_is_added_up() -> None:
    """By the clock that the messages are stamped by: each is taken as lasting from its stamp to now."""
    times = iter(range(100))
    heard, _ = play(surveyor(clock=lambda: 10.25 + next(times)))
    assert heard.surroundings.processing_seconds == pytest.approx(4 * 0.25)


def test_an_exchange_whose_headers_are_not_shown_has_a_trace_all_the_same() -> None:
    """Envoy may be told to skip them."""
    heard = Everything()
    options = surveyor(sampling=Sampling(), propagators=("tracecontext",))
    processor = heard.processor(surveyor=options)
    session = processor.open_session((("traceparent", TRACEPARENT),), 0.0)
    for message in (request_body(), response_headers(), response_body(end=True)):
        session.receive(message, 1.0)
    trace = heard.surroundings.trace
    assert trace is not None
    assert f"{trace.trace_id:032x}" == TRACE


def fail(*_: object) -> bool:
    raise RuntimeError


@pytest.mark.parametrize("method", ["take", "build"])
def test_a_bug_in_the_survey_costs_no_count(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither while it looks, nor when it sums up."""
    monkeypatch.setattr(Survey, method, fail)
    heard, replies = play(surveyor())
    assert [type(bug) for bug in heard.bugs] == [RuntimeError]
    assert heard.failed == [("exchange", "internal")]
    (record,) = heard.records
    assert record.usage is not None
    assert record.usage.total_tokens == 7
    assert record.surroundings is None
    assert replies[3].HasField("dynamic_metadata")
