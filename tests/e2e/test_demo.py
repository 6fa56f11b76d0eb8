"""`extproc demo`, as a newcomer runs it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import threading
import urllib.request
from pathlib import Path

import pytest
from support.sidecar import command
from support.waiting import wait_for

from extproc.demo.requests import demo_requests

pytestmark = pytest.mark.e2e

FREE_PORTS = ("--port", "0", "--metrics-port", "0", "--envoy-admin-port", "0")


def descendants_alive(folder: Path) -> list[str]:
    """Return the command lines of processes that have the folder in them."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if str(folder) in line:
            found.append(line)
    return found


def test_once_shows_everything_and_leaves_nothing(tmp_path: Path) -> None:
    """Envoy's lines with their metadata, the counters, the verdict; exit code 0; no process, no file."""
    environ = os.environ | {"TMPDIR": str(tmp_path)}
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
    assert descendants_alive(tmp_path) == []


def test_it_stays_up_to_be_tried_until_it_is_told_to_stop(tmp_path: Path) -> None:
    """The commands it prints work; Ctrl-C ends all of it."""
    environ = os.environ | {"TMPDIR": str(tmp_path)}
    with subprocess.Popen(
        command("demo", *FREE_PORTS), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environ
    ) as demo:
        assert demo.stdout is not None
        said: list[str] = []
        reader = threading.Thread(target=lambda: said.extend(iter(demo.stdout.readline, "")))  # type: ignore[union-attr]
        reader.start()
        try:
            wait_for(lambda: any(line.startswith("  curl -s http") for line in said), 60)
            text = "".join(said)
            url = re.search(r"curl (http://\S+/openai/v1/chat/completions)", text)
            body = re.search(r"-d '(\{.*?\})'", text)
            metrics = re.search(r"curl -s (http://\S+/metrics)", text)
            assert url is not None
            assert body is not None
            assert metrics is not None
            request = urllib.request.Request(
                url[1], body[1].encode(), {"content-type": "application/json"}, method="POST"
            )
            with urllib.request.urlopen(request, timeout=20) as answer:
                total = json.load(answer)["usage"]["total_tokens"]
            with urllib.request.urlopen(metrics[1], timeout=20) as answer:
                assert f'ai_total_tokens_total{{llm="openai",model="gpt-4o-mini"}} {total}.0' in answer.read().decode()
            demo.send_signal(signal.SIGINT)
            assert demo.wait(30) == 0
        finally:
            demo.kill()
            reader.join()
    assert list(tmp_path.iterdir()) == []
    assert descendants_alive(tmp_path) == []


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="needs /proc to see processes")
def test_killed_it_leaves_nothing_running(tmp_path: Path) -> None:
    """Even with kill -9, which lets it say nothing."""
    environ = os.environ | {"TMPDIR": str(tmp_path)}
    with subprocess.Popen(
        command("demo", *FREE_PORTS), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environ
    ) as demo:
        wait_for(lambda: len(descendants_alive(tmp_path)) == 2, 60)
        demo.kill()
    wait_for(lambda: descendants_alive(tmp_path) == [])
