"""Settings that change under load, through the real Envoy: good ones are in force, bad ones change nothing."""

from __future__ import annotations

import json
import os
import re
import signal
import threading
from pathlib import Path

import pytest
from support.crowd import crowd
from support.engine import ENGINE_ENVIRON
from support.gateway import Gateway
from support.streams import DELTA, END, PATH, TOKENS, USAGE, Streams
from support.upstream import Reply, Upstream
from support.waiting import wait_for

from extproc.demo.stack import SidecarCommand

pytestmark = pytest.mark.e2e

LOADERS = 3
TOTAL = "ai_total_tokens_total"
GOOD, BAD = {"outcome": "good"}, {"outcome": "bad"}

# Two names for the label, so that not only its values change.
NAMES = ("team", "squad")


def answer(reply: Reply) -> None:
    """Answer as a provider does, one in two ways; each costs the same."""
    if b"stream" in reply.body:
        reply.stream()
        for event in (DELTA, USAGE, END):
            reply.chunk(event)
        reply.end()
    else:
        reply.send(b'{"choices": [], "usage": {"prompt_tokens": 30, "completion_tokens": 2, "total_tokens": 32}}')


def settings(version: int) -> str:
    label = {"name": NAMES[version % 2], "value": f"v{version}"}
    return json.dumps({"config_poll_seconds": 0, "telemetry": {"custom_labels": [label]}})


class Reloaded:
    """A gateway whose sidecar has its settings in a file."""

    def __init__(self, folder: Path, upstream: Upstream, text: str, workers: int = 1) -> None:
        self.file = folder / "settings.json"
        self.file.write_text(text)
        sidecar = SidecarCommand(
            flags=("--config", str(self.file)),
            workers=workers,
            environ={"EXTPROC_USAGE_LOG": str(folder / "usage.jsonl"), **ENGINE_ENVIRON},
        )
        upstream.script = answer
        self.gateway = Gateway({"openai": upstream.address}, sidecar=sidecar)

    def reload(self, text: str, outcome: dict[str, str]) -> None:
        """Change the file, order a reload, and wait for its end."""
        before = self.reloads(outcome)
        self.file.write_text(text)
        assert self.gateway.stack.sidecar is not None
        os.kill(self.gateway.stack.sidecar.pid, signal.SIGHUP)
        wait_for(lambda: self.reloads(outcome) == before + 1)

    def reloads(self, outcome: dict[str, str]) -> int:
        """Return how many there have been. What is asked again and again is searched for, and not parsed."""
        line = rf'^extproc_config_reloads_total{{outcome="{outcome["outcome"]}"}} (\d+)'
        (found,) = re.findall(line, self.gateway.stack.scrape(), re.MULTILINE)
        return int(found)

    def labels(self) -> set[str]:
        """Return the values of our label that have been counted."""
        return set(re.findall(rf'^{TOTAL}{{.*(?:{"|".join(NAMES)})="(\w+)"', self.gateway.stack.scrape(), re.MULTILINE))

    def total(self) -> float:
        return sum(value for (name, _), value in self.gateway.metrics().items() if name == TOTAL)


class Load:
    """Exchanges of all kinds, each checked against Envoy's access log."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self.exchanges = 0
        self.failures: list[object] = []
        self._lock = threading.Lock()

    def ask(self) -> None:
        with self._lock:
            self.exchanges += 1
            more = b', "stream": true' if self.exchanges % 2 else b""
        try:
            sent, _, entry = self._gateway.post(PATH, b'{"model": "gpt-4o"%s, "messages": []}' % more)
            if (sent.status, entry["ai"]["total_tokens"], entry["ai"]["usage_source"]) != (200, TOKENS, "reported"):
                self.failures.append((sent.status, entry))
        except Exception as error:  # noqa: BLE001 - whatever it was, it is a failure
            self.failures.append(error)


@pytest.mark.parametrize(("workers", "reloads"), [(1, 14), (2, 8)])
def test_reloads_under_load_lose_nothing(tmp_path: Path, upstream: Upstream, workers: int, reloads: int) -> None:
    """So many of them, one in two of a file that is wrong: labels change with the good ones and with nothing else."""
    reloaded = Reloaded(tmp_path, upstream, settings(0), workers)
    with reloaded.gateway as gateway:
        load, good = Load(gateway), [0]
        with crowd(LOADERS, load.ask):
            for version in range(1, reloads + 1):
                if version % 2:
                    reloaded.reload(settings(version), GOOD)
                    good.append(version)
                    wait_for(lambda version=version: f"v{version}" in reloaded.labels())  # type: ignore[misc]
                else:
                    reloaded.reload(settings(version).replace("value", "valeu"), BAD)
                    assert gateway.value("extproc_config_last_reload_successful") == 0
        wait_for(lambda: gateway.value("extproc_streams_active") == 0)
        assert load.failures == []
        assert load.exchanges > reloads
        assert reloaded.labels() == {f"v{version}" for version in good}
        assert reloaded.total() == load.exchanges * TOKENS
        assert gateway.value("extproc_exchanges_total", completion="complete") == load.exchanges
        assert gateway.value("extproc_config_reloads_total", **GOOD) == reloads / 2
        assert gateway.value("extproc_config_reloads_total", **BAD) == reloads / 2
    lines = [json.loads(line) for line in (tmp_path / "usage.jsonl").read_text().splitlines()]
    assert len(lines) == load.exchanges
    assert {value for line in lines for value in line["labels"].values()} == {f"v{version}" for version in good}


@pytest.mark.parametrize("workers", [1, 2])
def test_streams_that_run_go_on_as_they_began(tmp_path: Path, upstream: Upstream, workers: int) -> None:
    """Through several reloads, and are counted under the labels of when they began."""
    reloaded = Reloaded(tmp_path, upstream, settings(0), workers)
    with reloaded.gateway as gateway:
        with Streams(gateway, upstream, 20) as streams:
            for version in (1, 2, 3):
                reloaded.reload(settings(version), GOOD)
            assert set(streams.finish()) == {USAGE + END}
            wait_for(lambda: gateway.value("extproc_streams_active") == 0)
        label = {NAMES[0]: "v0"}
        assert gateway.value(TOTAL, llm="openai", model="gpt-4o", **label) == 20 * TOKENS
        upstream.script = answer
        gateway.post(PATH, b'{"model": "gpt-4o"}')
        wait_for(lambda: reloaded.labels() == {"v0", "v3"})
        assert reloaded.total() == 21 * TOKENS


def test_a_configmap_that_changes_is_taken_without_a_signal(tmp_path: Path, upstream: Upstream) -> None:
    """Kubernetes turns a link to a new folder; the file itself is never written to."""
    for version in (1, 2):
        (tmp_path / str(version)).mkdir()
        text = json.loads(settings(version)) | {"config_poll_seconds": 0.05}
        (tmp_path / str(version) / "settings.json").write_text(json.dumps(text))
    (tmp_path / "..data").symlink_to("1")
    (tmp_path / "settings.json").symlink_to("..data/settings.json")
    upstream.script = answer
    sidecar = SidecarCommand(flags=("--config", str(tmp_path / "settings.json")), environ=ENGINE_ENVIRON)
    with Gateway({"openai": upstream.address}, sidecar=sidecar) as gateway:
        (tmp_path / "new").symlink_to("2")
        os.replace(tmp_path / "new", tmp_path / "..data")  # noqa: PTH105 - as kubelet does
        wait_for(lambda: gateway.value("extproc_config_reloads_total", **GOOD) == 1)
        gateway.post(PATH, b'{"model": "gpt-4o"}')
        assert gateway.value(TOTAL, llm="openai", model="gpt-4o", team="v2") == TOKENS


def test_a_bad_file_is_told_line_by_line(tmp_path: Path, upstream: Upstream) -> None:
    """In the log, and the process goes on."""
    reloaded = Reloaded(tmp_path, upstream, settings(0))
    with reloaded.gateway as gateway:
        reloaded.reload('{"drain_seconds": -1,\n "log_level": "loud"}', BAD)
        lines = [json.loads(line) for line in gateway.sidecar_log.splitlines()]
        problems = [line["problem"] for line in lines if line["event"] == "a setting is wrong"]
        file = reloaded.file
        assert [problem.partition(": input")[0] for problem in problems] == [
            f"{file}:1: drain_seconds",
            f"{file}:2: log_level",
        ]
        assert gateway.value("extproc_config_last_reload_successful") == 0
        reloaded.reload('{"log_level": "debug"}', GOOD)
        assert gateway.value("extproc_config_last_reload_successful") == 1
        gateway.post(PATH, b'{"model": "gpt-4o"}')
        wait_for(lambda: '"event": "exchange"' in gateway.sidecar_log)
