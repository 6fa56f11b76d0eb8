"""A whole stream of Envoy's: any messages in any order, under several deployments."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from fuzz.choices import Choices
from fuzz.session_messages import CASES, Messages
from fuzz.target import Target
from google.protobuf.json_format import MessageToDict
from prometheus_client import CollectorRegistry
from support.everything import Everything

from extproc.config.telemetry import Telemetry
from extproc.errors import DecodeError, Stage
from extproc.injection import Injector
from extproc.policy import Policy
from extproc.server.hindrances import Hindrances, Wanted
from extproc.server.processor import Processor
from extproc.server.session import Session
from extproc.sinks.metadata import DynamicMetadata
from extproc.surveying import build_surveyor
from extproc.telemetry.metrics import MetricStore
from extproc.usage import Completion, TokenUsage, UsageRecord
from extproc.wire.envoy import decode_request
from extproc.wire.ext_proc_pb2 import CommonResponse, ProcessingMode, ProcessingRequest, ProcessingResponse

_TELEMETRY = Telemetry.model_validate(
    {
        "custom_labels": [{"name": "team", "header": "x-team"}],
        "exporters": {"otlp": [{"name": "a", "host": "localhost"}]},
        "propagators": ["tracecontext", "b3"],
    }
)
_SURVEYOR = build_surveyor(_TELEMETRY)
_COUNTERS = {
    "ai_prompt_tokens_total": "prompt_tokens",
    "ai_completion_tokens_total": "completion_tokens",
    "ai_total_tokens_total": "total_tokens",
}
_ECHO_MODES = (ProcessingMode.FULL_DUPLEX_STREAMED, ProcessingMode.GRPC)


def _count_words(text: str, model: str | None, provider: str | None) -> int:  # noqa: ARG001 - the shape that all have
    return len(text.encode().split())


@dataclass
class _Stream:
    """One stream: what was said to it, and what it said."""

    heard: Everything
    injects: bool
    is_first: bool = True
    echoed: tuple[bool, bool] = (False, False)  # bodies of requests, and of responses
    settled_with: dict[str, Any] | None = None  # the metadata there is when a reply has settled the exchange
    metadata: dict[str, Any] = field(default_factory=dict)
    understood: int = 0

    def send(self, session: Session, message: bytes, now: float) -> None:
        """Send a message, and look at what comes back."""
        settled_before = bool(self.heard.records)
        reply = session.receive(message, now)
        try:
            request, phase = decode_request(message)
        except DecodeError:
            assert reply is None, "nobody waits for a reply to what is no message"
            return
        self.understood += 1
        if self.is_first:
            self.is_first = False
            declared = request.protocol_config
            modes = (declared.request_body_mode, declared.response_body_mode)
            # What is not declared is NONE here, and nothing is sent back to it.
            self.echoed = (modes[0] in _ECHO_MODES, modes[1] in _ECHO_MODES)
        if request.observability_mode:
            assert reply is None, "nobody reads a reply"
            return
        assert reply is not None, "somebody waits for a reply"
        self._look_at(ProcessingResponse.FromString(reply), request, phase.value)
        if self.heard.records and not settled_before:
            self.settled_with = {namespace: dict(fields) for namespace, fields in self.metadata.items()}

    def _look_at(self, reply: ProcessingResponse, request: ProcessingRequest, phase: str) -> None:
        assert reply.WhichOneof("response") == phase, "it is of another phase"
        assert not reply.HasField("mode_override") or phase == "response_headers"
        if phase.endswith("_body"):
            is_echoed = self.echoed[phase == "response_body"]
            self._look_at_body(getattr(reply, phase).response, getattr(request, phase), is_echoed=is_echoed)
        elif phase.endswith("_headers"):
            mutation = getattr(reply, phase).response.header_mutation
            assert list(mutation.remove_headers) in ([], ["content-length"] if self.injects else [])
        if reply.HasField("dynamic_metadata"):
            for namespace, fields in MessageToDict(reply.dynamic_metadata).items():
                self.metadata.setdefault(namespace, {}).update(fields)

    def _look_at_body(self, common: CommonResponse, body: Any, *, is_echoed: bool) -> None:
        mutation = common.body_mutation
        kind = mutation.WhichOneof("mutation")
        assert (kind == "streamed_response") is is_echoed, "Envoy passes on what it gets back, and nothing else"
        if is_echoed:
            assert mutation.streamed_response.end_of_stream == body.end_of_stream
        if not self.injects:
            assert kind is None or is_echoed
            assert not common.HasField("header_mutation")
            assert not is_echoed or mutation.streamed_response.body == body.body, "bytes of the traffic are changed"


def check(data: bytes) -> None:
    """Each message gets its reply and each exchange is counted once, whatever comes in whatever order."""
    choices = Choices(data)
    heard = Everything()
    registry = CollectorRegistry() if choices.rarely() else None
    processor, injects = _deployment(choices, heard, registry)
    session = processor.open_session([("x-llm-provider", "openai")] if choices.flag() else [], 0.0)
    messages = Messages(choices)
    stream = _Stream(heard, injects)
    now = 0.0
    for message in messages:
        now += 0.01
        stream.send(session, message, now)
    session.closed(choices.one_of(tuple(Completion)), now + 1)
    processor.teller.drain()
    assert not heard.bugs, heard.bugs
    assert not [stage for stage, _ in heard.failed if stage is Stage.EXCHANGE]
    assert not heard.sinks_failed
    assert (heard.opened, len(heard.closed), processor.streams.open) == (1, 1, 0)
    assert sum(heard.closed[0].values()) == stream.understood
    assert len(heard.records) == (1 if stream.understood else 0)
    for record in heard.records:
        _check_record(record)
        if stream.settled_with is not None and not injects:
            _assert_told(stream.settled_with, record)
        if registry is not None:
            _assert_counted(registry, record)


def _deployment(choices: Choices, heard: Everything, registry: CollectorRegistry | None) -> tuple[Processor, bool]:
    """Return one of the ways in which sessions run, and whether it changes traffic."""
    injects, estimates, surveys, looks = (choices.flag() for _ in range(4))
    injector = Injector(None, overrides_false=choices.flag(), max_event_bytes=1 << 16) if injects else None
    policy = Policy(injector=injector)
    if estimates:
        interval = choices.one_of((0.0, 0.05, 9.0))
        policy = Policy(
            injector=injector,
            count_text=_count_words,
            estimates_whole=choices.flag(),
            estimates_requests=choices.flag(),
            estimate_interval_seconds=interval,
        )
    wanted = Wanted(frozenset({"envoy.ai"}), attributes=True, request_id=True)
    sinks = () if registry is None else MetricStore(registry).build_sinks(None, max_label_values=9)
    processor = heard.processor(
        *sinks,
        surveyor=_SURVEYOR if surveys else None,
        policy=policy,
        names_requests=choices.flag(),
        hindrances=Hindrances(wanted, lambda *_: None) if looks else None,
    )
    return processor, injects


def _check_record(record: UsageRecord) -> None:
    assert record.duration_seconds >= 0
    assert record.usage is None or record.is_llm or record.provider is not None
    if record.usage is not None:
        counts = [getattr(record.usage, name) for name in TokenUsage.__struct_fields__]
        assert all(count is None or count >= 0 for count in counts)
        assert record.usage.charged_tokens >= 0
    for seconds in (record.time_to_first_token_seconds, record.timing.last_token_seconds):
        assert seconds is None or seconds >= 0


def _assert_told(metadata: dict[str, Any], record: UsageRecord) -> None:
    """Fail unless what Envoy has in the end is what is counted."""
    expected = {name: dict(fields) for name, fields in DynamicMetadata().build(record).items() if fields}
    assert metadata == expected, (metadata, expected)


def _assert_counted(registry: CollectorRegistry, record: UsageRecord) -> None:
    """Fail unless the counters have what the record has."""
    sums: dict[str, float] = {}
    for family in registry.collect():
        for sample in family.samples:
            sums[sample.name] = sums.get(sample.name, 0.0) + sample.value
    for name, count in _COUNTERS.items():
        told = getattr(record.usage, count) if record.usage is not None and record.is_llm else None
        assert sums.get(name, 0.0) == (told or 0), name
    assert sums.get("ai_requests_total", 0.0) == (1 if record.is_llm else 0)


def seeds() -> list[bytes]:
    """Return each exchange under several deployments, in order and out of it."""
    plain = bytes((6, 5, 3, 0, 6, 60, 4, 5, 0, 6, 0, 4, 2, 0, 0, 5))
    wild = bytes(range(7, 120, 3))
    made = []
    for number in range(len(CASES)):
        injects, estimates, surveys, looks = (number >> bit & 1 for bit in range(4))
        deployment = [15 * (number % 4 == 3), injects, estimates, surveys, looks]
        deployment += [number & 1] * injects + [number % 3, number & 1, 0] * estimates + [0, 0]
        stream = [number % len(CASES), 0, number % 6, number // 2 % 6, 0, 0, 1]
        made.append(bytes(deployment + stream) + (plain if number % 3 else wild))
    return made


MODULES = ("extproc.server.session", "extproc.server.edits", "extproc.server.news", "extproc.server.telling",
           "extproc.server.surroundings", "extproc.server.hindrances", "extproc.server.processor", "extproc.exchange",
           "extproc.transcript", "extproc.injection", "extproc.details", "extproc.question")  # fmt: skip
TARGET = Target("session", check, seeds, MODULES, max_input_bytes=2048)
