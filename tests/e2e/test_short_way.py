"""That what the real Envoy sends takes the short way: nothing else would tell if one of its releases did not."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

import pytest
from support.engine import ENGINE_ENVIRON
from support.gateway import Gateway
from support.upstream import Reply, Upstream
from support.waiting import wait_for

from extproc.demo.stack import SidecarCommand

pytestmark = pytest.mark.e2e

QUESTION = b'{"model": "gpt-4o", "stream": true, "stream_options": {"include_usage": true}, "messages": []}'
QUIET = b'data: {"model": "m", "choices": [{"delta": {"content": "a"}}], "usage": null}\n\n'
USAGE = b'data: {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 4}}\n\ndata: [DONE]\n\n'
CHUNKS = 60
PROGRAM = Path(__file__).parents[1] / "support" / "decoding_sidecar.py"


def test_chunks_that_say_nothing_are_not_decoded(upstream: Upstream, tmp_path: Path) -> None:
    """Each comes in a message of its own, because the next one waits for the client to have it."""
    has_arrived = threading.Semaphore(0)

    def answer(reply: Reply) -> None:
        reply.stream()
        for _ in range(CHUNKS):
            reply.chunk(QUIET)
            assert has_arrived.acquire(timeout=20)
        reply.chunk(USAGE)
        reply.end()

    upstream.script = answer
    decoded = tmp_path / "decoded"
    environ = ENGINE_ENVIRON | {"EXTPROC_TEST_DECODED": str(decoded)}
    sidecar = SidecarCommand((sys.executable, "-P", str(PROGRAM)), environ=environ)
    with Gateway({"openai": upstream.address}, sidecar=sidecar) as gateway:
        connection = gateway.connect()
        headers = {"content-type": "application/json", "x-request-id": "short"}
        connection.request("POST", "/openai/v1/chat/completions", QUESTION, headers)
        received = connection.getresponse()
        for _ in range(CHUNKS):
            assert received.read(len(QUIET)) == QUIET
            has_arrived.release()
        assert received.read() == USAGE
        connection.close()
        assert gateway.entry("short")["ai"]["total_tokens"] == 7
        wait_for(lambda: gateway.value("extproc_messages_total", phase="response_body") >= CHUNKS)
    # The headers of both, the question, the first chunk, what says something, and the end.
    assert int(decoded.read_text()) <= 10
