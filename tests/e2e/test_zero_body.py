"""Envoy reads the usage itself, and no body goes to the sidecar: envoy/envoy-zero-body.yaml, with the real Envoy."""

from __future__ import annotations

import gzip
import json
import threading
import uuid
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from support.counters import Counters
from support.exchanges import Case, load_case, play
from support.gateway import Gateway
from support.upstream import Reply, Upstream
from support.waiting import wait_for

from extproc import semconv
from extproc.demo.bootstrap import Bootstrap
from extproc.demo.check import check_entry
from extproc.demo.mock.server import MockProviders
from extproc.headers import REQUEST_HEADERS
from extproc.sinks.metadata import build_fields

pytestmark = pytest.mark.e2e

FILE = "envoy-zero-body.yaml"
AI_PROTOCOL_MANAGER = "envoy.filters.http.ai_protocol_manager"
WAIT_SECONDS = 20
QUESTION = "What is recursion?"
MESSAGES = [{"role": "user", "content": QUESTION}]
CHAT = {"model": "gpt-4o", "messages": MESSAGES}
PATH = "/openai/v1/chat/completions"
ASK = json.dumps(CHAT).encode()
GEMINI = "/gemini/v1beta/models/gemini-2.5-flash"
CONTENTS = {"contents": [{"role": "user", "parts": [{"text": QUESTION}]}]}

USAGE = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}
ANSWER = json.dumps({"object": "chat.completion", "model": "m", "choices": [], "usage": USAGE}).encode()


@pytest.fixture(scope="module", name="zero")
def _zero(providers: MockProviders) -> Iterator[Gateway]:
    with Gateway(providers.addresses, file=FILE) as gateway:
        yield gateway


@pytest.fixture(scope="module", name="answers")
def _answers() -> Iterator[Upstream]:
    """A server whose answers a test scripts."""
    with Upstream() as upstream:
        yield upstream


@pytest.fixture(scope="module", name="front")
def _front(answers: Upstream) -> Iterator[Gateway]:
    """A gateway whose OpenAI is `answers`."""
    with Gateway({"openai": answers.address}, file=FILE) as gateway:
        yield gateway


class Messages:
    """What a gateway's sidecar was sent since this was made."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        wait_for(lambda: gateway.value("extproc_streams_active") == 0)
        self._before = self._read("extproc_messages_total", "phase")
        self._endings = self._read("extproc_exchanges_total", "completion")

    def _read(self, metric: str, label: str) -> dict[str, float]:
        return {
            dict(labels)[label]: value for (name, labels), value in self._gateway.metrics().items() if name == metric
        }

    @staticmethod
    def _grown(now: Mapping[str, float], before: Mapping[str, float]) -> dict[str, float]:
        return {name: value - before.get(name, 0) for name, value in now.items() if value > before.get(name, 0)}

    def assert_sent(self, **phases: int) -> None:
        """Wait until the stream is closed and these are its messages: they are counted when it closes."""
        wait_for(lambda: self._grown(self._read("extproc_messages_total", "phase"), self._before) == phases)

    def assert_ended(self, completion: str | None) -> None:
        """Fail if not one exchange ended so; None: none that is with an LLM did."""
        now = self._read("extproc_exchanges_total", "completion")
        assert self._grown(now, self._endings) == ({completion: 1} if completion else {})


TWO = {"request_headers": 1, "response_trailers": 1}

CALLS = [
    (PATH, CHAT, "openai", "gpt-4o", "chat", False),
    (PATH, CHAT | {"stream": True, "stream_options": {"include_usage": True}}, "openai", "gpt-4o", "chat", True),
    ("/openai/v1/responses", {"model": "gpt-5-nano", "input": QUESTION}, "openai", "gpt-5-nano", "chat", False),
    (
        "/openai/v1/responses",
        {"model": "gpt-5-nano", "input": QUESTION, "stream": True},
        "openai",
        "gpt-5-nano",
        "chat",
        True,
    ),
    (
        "/anthropic/v1/messages",
        {"model": "claude-haiku-4-5", "max_tokens": 64, "messages": MESSAGES},
        "anthropic",
        "claude-haiku-4-5",
        "chat",
        False,
    ),
    (
        "/anthropic/v1/messages",
        {
            "model": "claude-haiku-4-5",
            "max_tokens": 64,
            "stream": True,
            "messages": MESSAGES,
            "system": [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}],
        },
        "anthropic",
        "claude-haiku-4-5",
        "chat",
        True,
    ),
    (f"{GEMINI}:generateContent", CONTENTS, "gcp.gemini", "gemini-2.5-flash", "generate_content", False),
    (
        f"{GEMINI}:streamGenerateContent?alt=sse",
        CONTENTS,
        "gcp.gemini",
        "gemini-2.5-flash",
        "generate_content",
        True,
    ),
    (f"{GEMINI}:streamGenerateContent", CONTENTS, "gcp.gemini", "gemini-2.5-flash", "generate_content", True),
]


@pytest.mark.parametrize(("path", "ask", "llm", "model", "operation", "streaming"), CALLS)
def test_two_messages_meter_an_exchange(
    path: str,
    ask: dict[str, Any],
    llm: str,
    model: str,
    operation: str,
    streaming: bool,
    zero: Gateway,
    providers: MockProviders,
) -> None:
    """Bytes as the provider sent them, metadata as it reported, counters moved by that much.

    The client closes its connection with the last byte.
    """
    counters, messages = Counters(zero, llm, model), Messages(zero)
    answer, content, entry = zero.post(path, json.dumps(ask).encode())
    reply = providers.ledger[entry["request_id"]]
    assert (answer.status, content, entry["flags"]) == (200, reply.body, "-")
    assert "content-length" not in answer.headers
    names: dict[str, object] = {"provider": llm, "model": model, "operation": operation, "streaming": streaming}
    assert [str(difference) for difference in check_entry(entry, reply, names)] == []
    counters.assert_moved_once_by(reply)
    messages.assert_sent(**TWO)
    messages.assert_ended("complete")


# Fixtures whose counts Envoy does not read as they are read here, and why.
DIFFERENT = {
    "openai_chat/litellm-cache-writes": "a vendor's own name for a part",
    "openai_chat/mistral-conversation": "a shape of Mistral's",
    "openai_chat/moonshot-usage-in-choices": "usage in a place of Moonshot's",
    "openai_chat/perplexity-reasoning": "a vendor's own name for a part",
    "openai_chat/sse-no-last-blank-line": "an event without its end",
    "openai_chat/stream-groq": "usage in a place of Groq's",
    "openai_chat/writer": "a vendor's own names for parts",
}
FIXTURES = Path(__file__).resolve().parents[1] / "fixtures"
FOLDERS = [
    folder.parent
    for api in ("openai_chat", "openai_responses", "anthropic_messages", "gemini_generate")
    for folder in sorted((FIXTURES / api).glob("*/case.json"))
]


def send(reply: Reply, case: Case) -> None:
    """Answer as the case says, a stream in pieces."""
    if "event-stream" not in (case.content_type or ""):
        reply.send(case.response, case.content_type, status=case.status)
        return
    reply.stream(case.content_type or "")
    for start in range(0, len(case.response), 97):
        reply.chunk(case.response[start : start + 97])
    reply.end()


def counts(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in fields.items() if key.endswith("_tokens") and "audio" not in key}


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: f"{folder.parent.name}/{folder.name}")
def test_the_same_bodies_give_the_same_counts(folder: Path, front: Gateway, answers: Upstream) -> None:
    """Read by Envoy, or shown to the sidecar: inclusive, absent where not sent. Audio is not told apart."""
    case = load_case(folder)
    answers.script = lambda reply: send(reply, case)
    answer, content, entry = front.post(f"/openai{case.path}", case.request)
    assert (answer.status, content) == (case.status, case.response)
    shown = build_fields(play(case))
    is_same = counts(entry["ai"] or {}) == counts(shown)
    assert is_same is (f"{folder.parent.name}/{folder.name}" not in DIFFERENT)


def event(tokens: int) -> bytes:
    usage = {"prompt_tokens": 3, "completion_tokens": tokens, "total_tokens": 3 + tokens}
    chunk = {"object": "chat.completion.chunk", "model": "m", "choices": [{"delta": {"content": "a"}}], "usage": usage}
    return f"data: {json.dumps(chunk)}\n\n".encode()


def test_a_stream_of_512_events_costs_two_messages(front: Gateway, answers: Upstream) -> None:
    """And neither side is changed by a byte, whatever its spaces and the order of its members."""
    seen: list[tuple[bytes, str | None]] = []
    events = [event(number) for number in range(511)] + [b"data: [DONE]\n\n"]

    def script(reply: Reply) -> None:
        seen.append((reply.body, reply.headers["content-length"]))
        reply.stream()
        for data in events:
            reply.chunk(data)
        reply.end()

    answers.script = script
    asked = b'{"z": 1,  "stream" :true, "model":"gpt-4o", "messages": ' + b"[" * 40 + b"]" * 40 + b"}\n"
    messages = Messages(front)
    _, content, entry = front.post(PATH, asked)
    assert (content, seen) == (b"".join(events), [(asked, str(len(asked)))])
    assert (entry["ai"]["total_tokens"], entry["ai"]["usage_source"], entry["hits_addend"]) == (513, "reported", 513)
    assert (entry["ai"]["model"], entry["ai"]["streaming"]) == ("gpt-4o", True)
    assert "time_to_first_token_ms" not in entry["ai"]
    assert "finish_reason" not in entry["ai"]
    messages.assert_sent(**TWO)


def unseen(front: Gateway, body: bytes = ASK, path: str = PATH) -> tuple[int, bytes, dict[str, Any]]:
    """Ask, and fail unless the sidecar was only shown the question, and has kept what it knows of it."""
    messages = Messages(front)
    answer, content, entry = front.post(path, body)
    assert (entry["ai"]["provider"], entry["ai"]["model"]) == ("openai", "gpt-4o")
    assert (entry["ai"]["usage_source"], entry["hits_addend"]) == ("none", 0)
    assert "total_tokens" not in entry["ai"]
    messages.assert_sent(request_headers=1)
    messages.assert_ended("cancelled")
    return answer.status, content, entry


def test_an_answer_that_is_compressed_all_the_same_is_not_seen(front: Gateway, answers: Upstream) -> None:
    """Nobody asks for one: what the client can read is not passed on. It passes as it is."""
    seen: list[str | None] = []
    packed = gzip.compress(ANSWER, mtime=0)

    def script(reply: Reply) -> None:
        seen.append(reply.headers["accept-encoding"])
        reply.send(packed, content_encoding="gzip")

    answers.script = script
    assert unseen(front)[:2] == (200, packed)
    assert seen == [None]


def test_an_error_is_not_seen(front: Gateway, answers: Upstream) -> None:
    """Nothing tells it from a client that hangs up; the access log has its status."""
    error = b'{"error": {"type": "rate_limit_exceeded"}}'
    answers.script = lambda reply: reply.send(error, status=429)
    status, content, entry = unseen(front)
    assert (status, content, entry["status"]) == (429, error, 429)
    assert "error_type" not in entry["ai"]


@pytest.mark.parametrize(
    ("path", "body", "content_type"),
    [
        (PATH, event(1).replace(b'"usage": {', b'"no": {'), "text/event-stream"),
        (PATH, b'{"usage": ' + json.dumps(USAGE).encode() + b"}", "application/json"),
        (PATH, ANSWER + b"\n", "application/x-ndjson"),
        ("/openai/v1/embeddings", b'{"object": "list", "data": [], "usage": {"prompt_tokens": 5}}', "application/json"),
    ],
    ids=["no-include-usage", "no-shape", "lines", "embeddings"],
)
def test_what_envoy_reads_no_usage_in_is_not_seen(
    path: str, body: bytes, content_type: str, front: Gateway, answers: Upstream
) -> None:
    """It sends no trailers then."""
    answers.script = lambda reply: reply.send(body, content_type)
    assert unseen(front, path=path)[:2] == (200, body)


def test_an_exchange_that_is_not_with_an_llm_is_skipped(front: Gateway, answers: Upstream) -> None:
    """One message tells so, where its method does not, when the stream ends."""
    answers.script = lambda reply: reply.send(b'{"id": "vs_1"}')
    messages, skipped = Messages(front), front.value("extproc_exchanges_skipped_total")
    _, content, entry = front.post("/openai/v1/vector_stores", b'{"name": "a"}')
    assert (content, entry["ai"], entry["hits_addend"]) == (b'{"id": "vs_1"}', None, 0)
    messages.assert_sent(request_headers=1)
    messages.assert_ended(None)
    assert front.value("extproc_exchanges_skipped_total") == skipped + 1


def test_a_client_that_hangs_up_leaves_no_counts(front: Gateway, answers: Upstream) -> None:
    """Envoy tells what it has read at the end, and this is none."""
    hung_up = threading.Event()

    def script(reply: Reply) -> None:
        reply.stream()
        reply.chunk(event(1))
        hung_up.wait(WAIT_SECONDS)

    answers.script = script
    messages, request_id = Messages(front), str(uuid.uuid4())
    with closing(front.connect()) as connection:
        connection.request("POST", PATH, ASK, {"content-type": "application/json", "x-request-id": request_id})
        answer = connection.getresponse()
        assert answer.read(len(event(1))) == event(1)
        answer.close()
    entry = front.entry(request_id)
    hung_up.set()
    assert (entry["flags"], entry["ai"]["model"], entry["ai"]["usage_source"]) == ("DC", "gpt-4o", "none")
    messages.assert_sent(request_headers=1)
    messages.assert_ended("cancelled")


def test_a_stream_that_breaks_off_is_partial(front: Gateway, answers: Upstream) -> None:
    """However politely: Envoy says that usage was lost."""

    def script(reply: Reply) -> None:
        reply.stream()
        reply.chunk(event(1) + event(2)[:-2])
        reply.end()

    answers.script = script
    messages = Messages(front)
    _, _, entry = front.post(PATH, ASK)
    assert (entry["ai"]["total_tokens"], entry["ai"]["usage_source"]) == (4, "partial")
    messages.assert_sent(**TWO)


@pytest.mark.parametrize(
    "body",
    [
        ANSWER.replace(b"3", b'"three"').replace(b"4", b"-4").replace(b"7", b"null"),
        b'{"deep": ' + b"[" * 16 + b"]" * 16 + b", " + ANSWER[1:],
        ANSWER[:-2],
    ],
    ids=["malformed", "nested", "cut-off"],
)
def test_usage_that_envoy_could_not_read_is_counted_as_such(body: bytes, front: Gateway, answers: Upstream) -> None:
    """It says so, and passes the answer on."""
    labels = {"stage": "response_body", "reason": "native_failed"}
    before = front.value("extproc_extraction_errors_total", **labels)
    answers.script = lambda reply: reply.send(body)
    messages = Messages(front)
    _, content, entry = front.post(PATH, ASK)
    assert content == body
    assert (entry["ai"]["usage_source"], entry["hits_addend"]) == ("none", 0)
    messages.assert_sent(**TWO)
    assert front.value("extproc_extraction_errors_total", **labels) == before + 1


def test_a_request_that_is_no_json_passes(front: Gateway, answers: Upstream) -> None:
    """It is the provider's to refuse. The answer's model stands in for the one that is not known."""
    seen: list[bytes] = []

    def script(reply: Reply) -> None:
        seen.append(reply.body)
        reply.send(ANSWER)

    answers.script = script
    _, _, entry = front.post(PATH, b"{not json")
    assert seen == [b"{not json"]
    assert (entry["ai"]["model"], entry["ai"]["total_tokens"]) == ("m", 7)


def test_a_request_larger_than_the_buffer_is_refused(answers: Upstream) -> None:
    """By Envoy, which has to hold it to read the model; the file allows 64 MiB."""
    answers.script = lambda reply: reply.send(ANSWER)
    with Gateway({"openai": answers.address}, file=FILE, max_buffer_bytes=4096) as gateway:
        answer, _, _ = gateway.post(PATH, json.dumps(CHAT | {"user": "x" * 8192}).encode())
        assert answer.status == 413
        assert gateway.post(PATH, ASK)[2]["ai"]["total_tokens"] == 7


def test_a_sidecar_that_is_gone_costs_the_client_nothing(answers: Upstream) -> None:
    """Killed within a stream: all of it arrives, and so does the next."""
    killed = threading.Event()

    def script(reply: Reply) -> None:
        reply.stream()
        reply.chunk(event(1))
        killed.wait(WAIT_SECONDS)
        reply.chunk(event(2))
        reply.end()

    answers.script = script
    with Gateway({"openai": answers.address}, file=FILE) as gateway, closing(gateway.connect()) as connection:
        connection.request("POST", PATH, ASK, {"content-type": "application/json"})
        answer = connection.getresponse()
        received = answer.read(len(event(1)))
        assert gateway.stack.sidecar is not None
        gateway.stack.sidecar.kill()
        killed.set()
        assert received + answer.read() == event(1) + event(2)
        _, content, entry = gateway.post(PATH, ASK)
        assert (content, entry["status"], entry["ai"]) == (event(1) + event(2), 200, None)


def with_bodies(bootstrap: Bootstrap) -> None:
    """Show bodies to the sidecar as well. Envoy must not add trailers then: it would never end an answer."""
    bootstrap.ext_proc["processing_mode"] |= {
        "request_body_mode": "BUFFERED_PARTIAL",
        "response_header_mode": "SEND",
        "response_body_mode": "STREAMED",
    }
    del bootstrap.http_filter(AI_PROTOCOL_MANAGER)["response_handling"]["token_usage"]["usage_signal"]


@pytest.mark.parametrize("streaming", [False, True], ids=["plain", "streamed"])
def test_where_bodies_come_as_well_the_two_are_compared(streaming: bool, answers: Upstream) -> None:
    """Ours stand; each exchange is counted once."""
    body = event(4) + b"data: [DONE]\n\n" if streaming else ANSWER

    def outcomes() -> dict[str, float]:
        return {
            outcome: gateway.value("extproc_native_usage_total", outcome=outcome)
            for outcome in ("only", "agreed", "disagreed")
        }

    with Gateway({"openai": answers.address}, file=FILE, configure=with_bodies) as gateway:
        answers.script = lambda reply: reply.send(body, "text/event-stream" if streaming else "application/json")
        _, _, entry = gateway.post(PATH, ASK)
        assert (entry["ai"]["total_tokens"], entry["ai"]["usage_source"]) == (7, "reported")
        assert ("time_to_first_token_ms" in entry["ai"]) is streaming
        wait_for(lambda: outcomes() == {"only": 0, "agreed": 1, "disagreed": 0})
        # An event without its end: Envoy takes it for lost, and here it is read.
        lost = event(4)[:-2] if streaming else ANSWER.replace(b'"prompt_tokens": 3', b'"prompt_tokens": "3"')
        answers.script = lambda reply: reply.send(lost, "text/event-stream" if streaming else "application/json")
        gateway.post(PATH, ASK)
        wait_for(lambda: outcomes() == {"only": 0, "agreed": 2 - streaming, "disagreed": int(streaming)})
        assert gateway.value("ai_requests_total", llm="openai", model="gpt-4o") == 2
        assert gateway.value("ai_completion_tokens_total", llm="openai", model="gpt-4o") == 8


def test_the_file_forwards_what_is_read_and_keeps_what_is_written() -> None:
    """A header that is not forwarded, or a namespace that is not received, is lost without a word."""
    ext_proc = Bootstrap(FILE).ext_proc
    forwarded = {pattern["exact"] for pattern in ext_proc["forward_rules"]["allowed_headers"]["patterns"]}
    assert forwarded == REQUEST_HEADERS
    received = ext_proc["metadata_options"]["receiving_namespaces"]["untyped"]
    assert received == [*semconv.DEFAULT_NAMESPACES, semconv.RATELIMIT_NAMESPACE]
