"""The course of the demo: each request sent, and all that is known of it gathered and checked.

Owns: what was sent, what came back, what Envoy logged and what the provider reported, side by side. Prints nothing.
"""

from __future__ import annotations

import http.client
import json
import time
from dataclasses import dataclass, field
from typing import Any

from extproc.demo.access_log import AccessLog
from extproc.demo.check import Difference, check_counters, check_entry
from extproc.demo.mock.reply import Reply
from extproc.demo.mock.server import MockProviders
from extproc.demo.requests import DemoRequest
from extproc.demo.stack import Stack


@dataclass(frozen=True, slots=True)
class Exchanged:
    """One request of the demo, and all that is known of it."""

    request: DemoRequest
    differences: list[Difference]
    status: int = 0
    seconds: float = 0.0
    log_line: str = ""
    reply: Reply = field(default_factory=Reply)

    @property
    def ai(self) -> dict[str, Any]:
        """The metadata in the access log line."""
        ai: dict[str, Any] = (json.loads(self.log_line).get("ai") or {}) if self.log_line else {}
        return ai


def exchange(request: DemoRequest, stack: Stack, providers: MockProviders, log: AccessLog) -> Exchanged:
    """Send a request and check what came of it.

    Raises StackError if it failed because a process of the stack is gone.
    """
    started = time.monotonic()
    try:
        status, body = request.send(stack.gateway)
        seconds = time.monotonic() - started
        line = log.wait_for(request.request_id)
    except (OSError, http.client.HTTPException) as error:  # TimeoutError is an OSError
        stack.check()
        return Exchanged(request, [Difference(request.title, "an answer and a log line", type(error).__name__)])
    reply = providers.ledger.get(request.request_id, Reply(status=0))
    differences = check_entry(json.loads(line), reply, request.names)
    if (status, body) != (reply.status, reply.body):
        differences.append(Difference("the answer", "what the provider sent", f"other bytes, status {status}"))
    named = [Difference(f"{request.title}: {one.what}", one.expected, one.seen) for one in differences]
    return Exchanged(request, named, status, seconds, line, reply)


def check_all(done: list[Exchanged], metrics: str) -> list[Difference]:
    """Return every number that is wrong, in the access log and in the counters."""
    exchanges = [(str(one.request.names["provider"]), str(one.request.names["model"]), one.reply) for one in done]
    return [difference for one in done for difference in one.differences] + check_counters(metrics, exchanges)
