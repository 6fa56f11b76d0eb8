"""`extproc demo`, as a newcomer runs it."""

from __future__ import annotations

import json
import re
import subprocess
import urllib.request
from pathlib import Path

import pytest
from support.embedded import FREE_PORTS, Embedded, descendants_alive
from support.sidecar import command, inherited_environ
from support.waiting import wait_for

from extproc.demo.requests import demo_requests

pytestmark = pytest.mark.e2e

UNTIL = "curl -s http"


def test_once_shows_everything_and_leaves_nothing(tmp_path: Path) -> None:
    """Envoy's lines with their metadata, the counters, the verdict; exit code 0; no process, no file."""
    # A proxy for the rest of the world, and settings that are meant for another sidecar, are no matter to it.
    elsewhere = {"http_proxy": "http://127.0.0.1:9", "EXTPROC_METADATA_NAMESPACES": "other", "LISTEN_ADDR": "nowhere"}
    environ = inherited_environ(TMPDIR=str(tmp_path), **elsewhere)
    ended = subprocess.run(
        command("demo", "--once", *FREE_PORTS), capture_output=True, text=True, timeout=100, check=False, env=environ
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    lines = [json.loads(line) for line in ended.stdout.splitlines() if line.startswith("{")]
    assert len(lines) == len(demo_requests())
    assert all(line["ai"]["usage_source"] == "reported" and line["flags"] == "-" for line in lines)
    assert {line["ai"]["provider"] for line in lines} == {"openai", "anthropic", "gcp.gemini"}
    assert {line["ai"]["streaming"] for line in lines} == {True, False}
    assert "# HELP ai_completion_tokens_total Completion tokens\n" in ended.stdout
    assert re.search(r'\nai_completion_tokens_total{llm="openai",model="gpt-3.5-turbo"} \d+\.0\n', ended.stdout)
    assert "Every number is right." in ended.stdout
    assert list(tmp_path.iterdir()) == []
    assert descendants_alive(tmp_path) == {}


def test_it_stays_up_to_be_tried_until_it_is_told_to_stop(tmp_path: Path) -> None:
    """The commands it prints work; Ctrl-C, which a terminal sends to every process of the group, ends all of it."""
    with Embedded(tmp_path, "demo", until=UNTIL) as demo:
        url = re.search(r"curl (http://\S+/openai/v1/chat/completions)", demo.text)
        body = re.search(r"-d '(\{.*?\})'", demo.text)
        metrics = re.search(r"curl -s (http://\S+/metrics)", demo.text)
        assert url is not None
        assert body is not None
        assert metrics is not None
        request = urllib.request.Request(url[1], body[1].encode(), {"content-type": "application/json"}, method="POST")
        with urllib.request.urlopen(request, timeout=20) as answer:
            total = json.load(answer)["usage"]["total_tokens"]
        with urllib.request.urlopen(metrics[1], timeout=20) as answer:
            assert f'ai_total_tokens_total{{llm="openai",model="gpt-4o-mini"}} {total}.0' in answer.read().decode()
        assert demo.press_ctrl_c() == 0
        assert demo.text.endswith("Stopping ...\n")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="needs /proc to see processes")
def test_killed_it_leaves_nothing_running(tmp_path: Path) -> None:
    """Even with kill -9, which lets it say nothing."""
    environ = inherited_environ(TMPDIR=str(tmp_path))
    with subprocess.Popen(
        command("demo", *FREE_PORTS), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environ
    ) as demo:
        wait_for(lambda: len(descendants_alive(tmp_path)) == 2, 60)
        demo.kill()
    wait_for(lambda: descendants_alive(tmp_path) == {})
