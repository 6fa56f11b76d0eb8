"""Compressed answers through the real Envoy: as they are to the client, and read by the sidecar."""

from __future__ import annotations

import json

import pytest
from support.counters import Counters
from support.gateway import Gateway

from extproc.demo.check import check_entry
from extproc.demo.mock.server import CODINGS_HEADER, MockProviders

pytestmark = pytest.mark.e2e

ASK = {"model": "gpt-4o", "messages": [{"role": "user", "content": "What is recursion?"}]}
STREAM = {"stream": True, "stream_options": {"include_usage": True}}


@pytest.mark.parametrize("streaming", [False, True], ids=["plain", "streamed"])
@pytest.mark.parametrize("codings", ["gzip", "br", "zstd", "deflate", "gzip, br"])
def test_a_compressed_answer_passes_unchanged_and_is_metered(
    codings: str, streaming: bool, gateway: Gateway, providers: MockProviders
) -> None:
    """However its codings are stacked; a stream is read event by event."""
    counters = Counters(gateway, "openai", "gpt-4o")
    body = json.dumps(ASK | STREAM if streaming else ASK).encode()
    headers = {CODINGS_HEADER: codings, "accept-encoding": codings}
    answer, content, entry = gateway.post("/openai/v1/chat/completions", body, headers)
    reply = providers.ledger[entry["request_id"]]
    assert (answer.status, answer.headers["content-encoding"], content) == (200, codings, reply.body)
    names: dict[str, object] = {"provider": "openai", "model": "gpt-4o", "operation": "chat", "streaming": streaming}
    assert [str(difference) for difference in check_entry(entry, reply, names)] == []
    assert ("time_to_first_token_ms" in entry["ai"]) is streaming
    counters.assert_moved_once_by(reply)
