"""The protocol of sessions as a state machine: several streams at a time, reloads between their messages."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule
from prometheus_client import CollectorRegistry
from support.client import ExtProcClient
from support.everything import Everything
from support.messages import (
    QUESTION,
    REQUEST,
    exchange,
    protocol,
    request_body,
    request_headers,
    request_trailers,
    response_body,
    response_headers,
    response_trailers,
)
from support.reported import build_processor
from support.waiting import wait_for

from extproc.config.settings import Settings
from extproc.metering import Metering
from extproc.observability import Counts
from extproc.server.engine import EngineChoice, EngineOptions, build_engine
from extproc.server.health import Health
from extproc.server.session import Session
from extproc.usage import Completion
from extproc.wire.envoy import Phase
from extproc.wire.ext_proc_pb2 import ProcessingResponse

MODES = st.sampled_from(["NONE", "STREAMED", "BUFFERED", "BUFFERED_PARTIAL", "FULL_DUPLEX_STREAMED"])
STREAM = {":status": "200", "content-type": "text/event-stream"}
EVENT = b'data: {"model": "m", "choices": [{"index": 0, "delta": {"content": "a b"}}], "usage": null}\n\n'
USAGE = b'data: {"model": "m", "choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 4}}\n\n'
ASKS = QUESTION[:-1] + b', "stream": true}'

# Settings that are put into force while streams are open. Prices would be loaded in a thread.
DEPLOYMENTS: list[dict[str, Any]] = [
    {},
    {"usage": {"inject_include_usage": True, "estimate": "off"}},
    {"usage": {"inject_include_usage": False, "estimate": "always", "estimate_interval_seconds": 0.1}},
    {"max_body_bytes": 1024, "max_event_bytes": 1024, "metadata_namespaces": ["mine"]},
    {"telemetry": {"custom_labels": [{"name": "team", "value": "blue"}]}, "max_label_values": 2},
    {"rate_limit": {"when": "request"}},
]

MESSAGES = st.one_of(
    st.tuples(MODES, MODES).map(lambda modes: request_headers(config=protocol(*modes))),
    st.sampled_from(
        [
            request_headers(),
            request_headers(REQUEST | {":method": "GET"}, end=True),
            request_headers(REQUEST | {":authority": "example.com", ":path": "/"}, config=protocol()),
            request_body(ASKS[:20], end=False),
            request_body(ASKS[20:]),
            request_body(ASKS),
            request_trailers(),
            response_headers(),
            response_headers(STREAM),
            response_headers({":status": "500"}, end=True),
            response_body(EVENT),
            response_body(EVENT),
            response_body(USAGE[:30]),
            response_body(USAGE[30:]),
            response_body(b"data: [DONE]\n\n", end=True),
            response_body(end=True),
            response_body(b"x" * 3000),
            response_trailers(),
            b"\x01garbage",
            b"",
        ]
    ),
)


def phase_of(reply: bytes) -> str | None:
    phase: str | None = ProcessingResponse.FromString(reply).WhichOneof("response")
    return phase


def phase_in(message: bytes) -> str | None:
    """The phase of one of the messages above."""
    heard = Everything()
    session = heard.processor().open_session((), 0.0)
    reply = session.receive(message, 0.0)
    return None if reply is None else phase_of(reply)


@dataclass(eq=False)
class Stream:
    """A session, and the phases that it was sent."""

    session: Session
    phases: Counter[str] = field(default_factory=Counter)


class SessionProtocol(RuleBasedStateMachine):
    """Whatever comes in whatever order, each message has its reply and each exchange is counted once."""

    streams = Bundle("streams")

    def __init__(self) -> None:
        super().__init__()
        self.registry = CollectorRegistry()
        self.metering = Metering(_settings({}), self.registry, Counts(self.registry))
        self.now = time.monotonic()
        self.open: list[Stream] = []
        self.phases: Counter[str] = Counter()
        self.settled = self.empty = 0

    def value(self, name: str, **labels: str) -> float:
        return self.registry.get_sample_value(name, labels) or 0.0

    @rule(target=streams, says=st.booleans())
    def begin(self, says: bool) -> Stream:
        metadata = [("x-llm-provider", "openai")] if says else []
        stream = Stream(self.metering.processor.open_session(metadata, self.now))
        self.open.append(stream)
        return stream

    @rule(stream=streams, messages=st.lists(MESSAGES, min_size=1, max_size=6), seconds=st.sampled_from([0.0, 0.3, 70]))
    def send(self, stream: Stream, messages: list[bytes], seconds: float) -> None:
        for message in messages:
            self.now += seconds
            reply, phase = stream.session.receive(message, self.now), phase_in(message)
            assert (None if reply is None else phase_of(reply)) == phase
            stream.phases.update([phase] if phase else [])

    @rule(stream=streams)
    def complete(self, stream: Stream) -> None:
        for message in (*exchange(), response_trailers()):
            assert stream.session.receive(message, self.now) is not None
        stream.phases.update(phase for phase in Phase if phase is not Phase.REQUEST_TRAILERS)

    @rule(stream=consumes(streams), completion=st.sampled_from(Completion))
    def close(self, stream: Stream, completion: Completion) -> None:
        self._close(stream, completion)

    @rule(given_settings=st.sampled_from(DEPLOYMENTS))
    def reload(self, given_settings: dict[str, Any]) -> None:
        self.metering.prepare(_settings(given_settings))()

    @rule()
    def tick(self) -> None:
        self.metering.tick()

    @invariant()
    def what_is_open_is_counted(self) -> None:
        assert self.value("extproc_streams_active") == len(self.open)
        assert self.value("extproc_extraction_errors_total", stage="exchange", reason="internal") == 0

    def teardown(self) -> None:
        for stream in list(self.open):
            self._close(stream, Completion.CANCELLED)
        self.metering.settle()
        endings = sum(self.value("extproc_exchanges_total", completion=each.value) for each in Completion)
        assert endings + self.value("extproc_exchanges_skipped_total") == self.settled
        assert self.value("extproc_streams_without_message_total") == self.empty
        assert {phase: self.value("extproc_messages_total", phase=phase) for phase in self.phases} == self.phases
        sinks = {family.name for family in self.registry.collect() if family.name == "extproc_sink_errors"}
        assert not [
            sample
            for family in self.registry.collect()
            if family.name in sinks
            for sample in family.samples
            if sample.name.endswith("_total") and sample.value
        ]

    def _close(self, stream: Stream, completion: Completion) -> None:
        stream.session.closed(completion, self.now)
        self.open.remove(stream)
        self.phases.update(stream.phases)
        self.settled += bool(stream.phases)
        self.empty += not stream.phases


def _settings(given_settings: dict[str, Any]) -> Settings:
    return Settings.model_validate({"prices": {"enabled": False}} | given_settings)


TestSessionProtocol = SessionProtocol.TestCase
TestSessionProtocol.settings = settings(max_examples=25, stateful_step_count=20)


@pytest.fixture(name="client", params=["completion_queue", "aio"], scope="module")
def _client(request: pytest.FixtureRequest) -> Iterator[ExtProcClient]:
    engine: EngineChoice = request.param
    health, registry = Health(), CollectorRegistry()
    server = build_engine(engine, build_processor(Settings(), registry), health, EngineOptions())
    port = server.start("127.0.0.1:0")
    health.set_serving(True)
    with ExtProcClient(f"127.0.0.1:{port}") as client:
        yield client
    wait_for(lambda: registry.get_sample_value("extproc_streams_active") == 0)
    server.drain(0.0)


@settings(max_examples=15)
@given(st.lists(MESSAGES, max_size=10))
def test_any_order_of_messages_is_answered_by_each_engine(client: ExtProcClient, messages: list[bytes]) -> None:
    """As the session answers it, up to where that has seen enough."""
    session = Everything().processor().open_session((), 0.0)
    expected = []
    for message in messages:
        reply = session.receive(message, 0.0)
        expected += [] if reply is None else [phase_of(reply)]
        if session.detached:
            break
    assert [phase_of(reply) for reply in client.exchange(messages)] == expected
