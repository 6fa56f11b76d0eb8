"""The end of a sidecar under running streams, through the real Envoy: nothing is lost, and what is cut off is said."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest
from support.engine import ENGINE_ENVIRON
from support.gateway import Gateway
from support.streams import END, TOKENS, USAGE, Streams
from support.upstream import Upstream
from support.waiting import wait_for

from extproc.demo.stack import SidecarCommand, fetch
from extproc.errors import EXIT_CUT

pytestmark = pytest.mark.e2e

COUNT = 100


class Ending:
    """A gateway whose sidecar is told to end while streams run."""

    def __init__(self, folder: Path, upstream: Upstream, workers: int, **settings: str) -> None:
        self._usage = folder / "usage.jsonl"
        environ = {f"EXTPROC_{name.upper()}": value for name, value in settings.items()}
        environ |= {"EXTPROC_USAGE_LOG": str(self._usage), **ENGINE_ENVIRON}
        self.gateway = Gateway(
            {"openai": upstream.address}, sidecar=SidecarCommand(workers=workers, environ=environ, flags=())
        )

    def signal(self) -> None:
        assert self.gateway.stack.sidecar is not None
        os.kill(self.gateway.stack.sidecar.pid, signal.SIGTERM)

    def wait(self) -> int:
        """Return the exit code."""
        sidecar = self.gateway.stack.sidecar
        assert sidecar is not None
        wait_for(lambda: sidecar.returncode is not None, 60)
        assert sidecar.returncode is not None
        return sidecar.returncode

    def said(self, event: str) -> list[dict[str, Any]]:
        lines = [json.loads(line) for line in self.gateway.sidecar_log.splitlines() if line.startswith("{")]
        return [line for line in lines if line["event"] == event]

    def usage(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self._usage.read_text().splitlines()]

    def is_ready(self) -> bool:
        try:
            fetch(f"http://{self.gateway.stack.metrics}/readyz")
        except OSError:
            return False
        return True


@pytest.mark.parametrize("workers", [1, 2])
def test_running_streams_finish_and_are_counted(tmp_path: Path, upstream: Upstream, workers: int) -> None:
    """A hundred of them: each in the usage log and in Envoy's access log, and the exit code is 0."""
    ending = Ending(tmp_path, upstream, workers)
    with ending.gateway as gateway, Streams(gateway, upstream, COUNT) as streams:
        ending.signal()
        wait_for(lambda: not ending.is_ready())
        wait_for(lambda: len(ending.said("draining")) == (1 if workers == 1 else workers + 1))
        assert set(streams.finish()) == {USAGE + END}
        assert ending.wait() == 0
        entries = [gateway.entry(f"stream-{number}") for number in range(COUNT)]
        assert [entry["ai"]["total_tokens"] for entry in entries] == [TOKENS] * COUNT
        assert ending.said("exchanges were cut off") == []
        assert ending.said("stopped")
    assert [line["total_tokens"] for line in ending.usage()] == [TOKENS] * COUNT
    assert {line["completion"] for line in ending.usage()} == {"complete"}


@pytest.mark.parametrize("workers", [1, 2])
def test_what_does_not_finish_in_time_is_cut_off_and_said(tmp_path: Path, upstream: Upstream, workers: int) -> None:
    """By the exit code and in the log; the clients go on without noticing."""
    ending = Ending(tmp_path, upstream, workers, drain_seconds="0.3")
    with ending.gateway as gateway, Streams(gateway, upstream, COUNT) as streams:
        ending.signal()
        assert ending.wait() == EXIT_CUT
        *_, last = ending.said("exchanges were cut off")
        assert last["exchanges"] == COUNT
        assert set(streams.finish()) == {USAGE + END}
    assert len(ending.usage()) == COUNT
    assert {line["completion"] for line in ending.usage()} == {"truncated"}


def test_a_second_signal_cuts_off_what_runs(tmp_path: Path, upstream: Upstream) -> None:
    """At once, whatever the settings allow."""
    ending = Ending(tmp_path, upstream, 1, drain_seconds="3600")
    with ending.gateway as gateway, Streams(gateway, upstream, 10) as streams:
        ending.signal()
        wait_for(lambda: ending.said("draining"))
        ending.signal()
        assert ending.wait() == EXIT_CUT
        assert set(streams.finish()) == {USAGE + END}
    assert len(ending.usage()) == 10


def test_new_streams_are_taken_while_it_says_that_it_goes(tmp_path: Path, upstream: Upstream) -> None:
    """Who balances by health turns away first, and nothing that comes until then is lost."""
    ending = Ending(tmp_path, upstream, 1, drain_delay_seconds="3600")
    with ending.gateway as gateway:
        upstream.script = lambda reply: reply.send(b'{"choices": [], "usage": {"total_tokens": 7}}')
        ending.signal()
        wait_for(lambda: not ending.is_ready())
        _, _, entry = gateway.post("/openai/v1/chat/completions", b'{"model": "gpt-4o"}')
        assert entry["ai"]["total_tokens"] == 7
        ending.signal()
        assert ending.wait() == 0
    assert len(ending.usage()) == 1
