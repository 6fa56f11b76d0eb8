"""Recorded OpenAI streams whose client did not ask for usage: asking for it changes nothing of what the client sees.

What the option would have added to each answer is put into it here as OpenAI and Azure do it. The recordings are other
people's data and stay outside the project; without them these tests are skipped.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from support.everything import Everything
from support.messages import protocol, request_body, request_headers, response_body, response_headers
from test_recordings import cut

from extproc.include_usage import append_options
from extproc.injection import KNOWN_PROVIDERS, Injector
from extproc.policy import Policy
from extproc.usage import UsageRecord
from extproc.wire.ext_proc_pb2 import ProcessingResponse

pytestmark = pytest.mark.recordings

USAGE = b'{"prompt_tokens":11,"completion_tokens":7,"total_tokens":18}'


def is_asked_in(case: dict[str, Any], request: dict[str, Any]) -> bool:
    """Say whether a recording is one of those that are meant."""
    apis = case["api"] in ("chat", "completions")
    return (
        apis and bool(case["response_streamed"]) and "stream_options" not in request and request.get("stream") is True
    )


def with_usage(body: bytes) -> bytes:
    """Return an answer as it would have been with the option: null in each chunk, and a chunk with usage."""
    body = re.sub(rb"(data: ?\{[^\r\n]*)\}(?=\r?\n)", rb'\1,"usage":null}', body)
    last = b'data: {"id":"x","object":"chat.completion.chunk","choices":[],"usage":%s}\n\n' % USAGE
    head, done, tail = body.rpartition(b"data: [DONE]")
    return head + last + done + tail


def play(case: dict[str, Any], asked: bytes, body: bytes, how: str) -> tuple[bytes, bytes, UsageRecord]:
    """Return what goes on of a request and of its answer, and what is counted."""
    heard = Everything()
    injector = Injector(KNOWN_PROVIDERS, overrides_false=False, max_event_bytes=1 << 20)
    session = heard.processor(policy=Policy(injector=injector)).open_session([], 0.0)
    headers = {":method": "POST", ":path": case["path"], ":authority": case["host"], "content-type": "application/json"}
    session.receive(request_headers(headers, config=protocol()), 0.0)
    sent = passed_on(session.receive(request_body(asked), 0.0), "request_body", asked)
    session.receive(response_headers({":status": "200", "content-type": case["response_content_type"]}), 1.0)
    passed = [passed_on(session.receive(response_body(chunk), 2.0), "response_body", chunk) for chunk in cut(body, how)]
    passed.append(passed_on(session.receive(response_body(b"", end=True), 2.0), "response_body", b""))
    (record,) = heard.records
    return sent, b"".join(passed), record


def passed_on(reply: bytes | None, phase: str, chunk: bytes) -> bytes:
    """Return what Envoy passes on of a chunk."""
    mutation = getattr(ProcessingResponse.FromString(reply or b""), phase).response.body_mutation
    kind = mutation.WhichOneof("mutation")
    return mutation.body if kind == "body" else b"" if kind == "clear_body" else chunk


@pytest.mark.parametrize("how", ["whole", "lines", "7", "random"])
def test_the_client_sees_the_recorded_bytes(recordings: Path, how: str) -> None:
    """Of each such recording, whether the server knows the option or not; if it does, usage is reported."""
    edited = 0
    for path in sorted(recordings.glob("*/request.json")):
        case = json.loads((path.parent / "case.json").read_text())
        asked = path.read_bytes()
        if not is_asked_in(case, json.loads(asked)):
            continue
        body = (path.parent / "response.body").read_bytes()
        sent, seen, record = play(case, asked, body, how)
        assert seen == body, path.parent.name
        if record.include_usage is None:  # a provider that reports usage in any case
            assert sent == asked
            continue
        assert sent == append_options(asked)
        edited += 1
        _, seen, record = play(case, asked, with_usage(body), how)
        assert seen == body, path.parent.name
        assert record.usage is not None
        assert record.usage.total_tokens == 18
    assert edited == 4  # two of chat, two of completions
