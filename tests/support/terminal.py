"""A shell in which the commands of a page are typed: in a folder with the files that it speaks of, beside a gateway.

Ports and folders of the page are those of the gateway and of the test; `extproc` is ours, and warm.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from support.captures import entry, har
from support.documented import ROOT, blocks_of
from support.pages import free_port
from support.sidecar import inherited_environ
from support.waiting import wait_for
from support.warm import write_shim

from extproc.demo.stack import Stack

_PROMETHEUS = ROOT / ".venv" / "prometheus" / "usr" / "bin"
_SECONDS = 30
_BASH = shutil.which("bash") or "bash"

# What a page shows beside a command in a file of this name.
_NAMED = re.compile(r"\A# ([\w./-]+\.(?:yaml|json))\n")

# What a long-running command says when it is ready: `serve` in its log, `run` on its screen.
_IS_READY = re.compile(r'"event": "ready"|Ctrl-C ends it')

_KRAKEND = """{"version": 3, "extra_config": {"telemetry/opentelemetry": {
  "service_name": "krakend_service", "trace_sample_rate": 0,
  "exporters": {"prometheus": [{"name": "local", "port": PORT, "process_metrics": true}]},
  "layers": {"global": {"report_headers": true}}
}}}"""
_CAPTURES = {"plain": "openai_chat/plain", "stream": "anthropic_messages/stream", "uncounted": "openai_chat/error-401"}


@dataclass(frozen=True)
class Done:
    """How a command has ended, and what it has printed."""

    code: int
    printed: str


class Terminal:
    """A context: `extproc` is loaded once in `folder`, and commands are typed in folders below it."""

    def __init__(self, folder: Path, stack: Stack, usage_log: Path) -> None:
        self._folder = folder
        self._stack = stack
        self._usage_log = usage_log
        self._port = free_port()
        self._bin = folder / "bin"
        self._bin.mkdir()
        address = folder / "warm.sock"
        write_shim(self._bin / "extproc", address)
        command = [sys.executable, "-m", "support.warm", str(address)]
        environ = inherited_environ(PYTHONPATH=f"{ROOT / 'tests'}:{ROOT}")
        if self.lacks("kubectl") and not self.lacks("kustomize"):
            kubectl = self._bin / "kubectl"
            kubectl.write_text('#!/bin/sh\nshift\nexec kustomize build "$@"\n')
            kubectl.chmod(0o755)
        self._warm = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environ)

    def __enter__(self) -> Self:
        assert self._warm.stdout is not None
        assert self._warm.stdout.read(len("ready")) == "ready"
        return self

    def __exit__(self, *_: object) -> None:
        self._warm.kill()
        self._warm.wait()
        assert self._warm.stdout is not None
        self._warm.stdout.close()

    def lacks(self, program: str) -> bool:
        """Say whether there is no such program here."""
        return shutil.which(program, path=self._path) is None

    def open(self, page: Path) -> Path:
        """Return a new folder with what the commands of a page find."""
        folder = self._folder / re.sub(r"\W", "-", page.relative_to(ROOT).as_posix())
        folder.mkdir()
        for name in ("k8s", "envoy"):
            shutil.copytree(ROOT / name, folder / name)
        for name in ("extproc.yaml", "new.yaml"):
            (folder / name).write_text("log_level: info\n")
        (folder / "krakend.json").write_text(_KRAKEND.replace("PORT", str(self._port)))
        (folder / "captured.har").write_bytes(har(entry()))
        for name, fixture in _CAPTURES.items():
            shutil.copytree(ROOT / "tests" / "fixtures" / fixture, folder / "captures" / name)
        for block in blocks_of(page):
            if (named := _NAMED.match(block.text)) is not None:
                (folder / named[1]).parent.mkdir(exist_ok=True)
                (folder / named[1]).write_text(self._adapt(block.text, folder))
        return folder

    def run(self, text: str, folder: Path) -> Done:
        """Type a command, and wait for its end."""
        done = subprocess.run(
            [_BASH, "-o", "pipefail", "-c", self._adapt(text, folder)],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            cwd=folder, env=self._environ(folder), timeout=_SECONDS, check=False,
        )  # fmt: skip
        return Done(done.returncode, done.stdout)

    def start(self, text: str, folder: Path) -> Done:
        """Type a command that runs until it is told to end; tell it as soon as it is ready."""
        log = folder / "started.log"
        typed = re.sub(r"(?<!\S)(extproc (?:serve|run))", r"exec \1", self._adapt(text, folder), count=1)
        environ = self._environ(folder)
        if "--listen" in typed or "LISTEN_ADDR=" in typed:
            del environ["EXTPROC_LISTEN"]
        with log.open("wb") as file:
            process = subprocess.Popen(
                [_BASH, "-c", typed],
                stdin=subprocess.DEVNULL, stdout=file, stderr=file, cwd=folder, env=environ, start_new_session=True,
            )  # fmt: skip
        try:
            wait_for(lambda: _IS_READY.search(log.read_text()) or process.poll() is not None, _SECONDS)
            process.send_signal(signal.SIGTERM)
            code = process.wait(_SECONDS)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        printed = log.read_text()
        return Done(code if _IS_READY.search(printed) else code or 1, printed)

    @property
    def _path(self) -> str:
        found = [self._bin, Path(sys.executable).parent, _PROMETHEUS]
        return os.pathsep.join([*map(str, found), os.environ.get("PATH", os.defpath)])

    def _environ(self, folder: Path) -> dict[str, str]:
        return inherited_environ(
            PATH=self._path,
            NO_PROXY="*",
            no_proxy="*",
            TMPDIR=str(folder),
            EXTPROC_LISTEN=f"unix:{folder}/x.sock",
            EXTPROC_ADMIN_LISTEN="127.0.0.1:0",
        )

    def _adapt(self, text: str, folder: Path) -> str:
        """Return a text with the places of this test."""
        stack = self._stack
        places = {
            r"(?:localhost|127\.0\.0\.1|10\.0\.0\.7):9901": str(stack.envoy_admin),
            r"(?:localhost|127\.0\.0\.1|10\.0\.0\.7):9092": str(stack.metrics),
            r"(?:localhost|127\.0\.0\.1):8080": str(stack.gateway),
            r"/var/log/extproc/usage\.jsonl": str(self._usage_log if "serve" not in text else folder / "usage.jsonl"),
            r"/run/extproc/": f"{folder}/",
            r"unix-abstract:[\w-]+": f"unix-abstract:{folder}",
            r"\.venv/bin/extproc": "extproc",
            r"(?m)^budgets:$": "budgets:\n  listen: 127.0.0.1:0",
            r"(?m)^usage_log: .*$": f"usage_log: {json.dumps(str(folder / 'usage.jsonl'))}",
            r"extproc run ": "extproc run --port 0 --metrics-port 0 --envoy-admin-port 0 ",
            r"extproc doctor(?! --envoy-admin)": (
                f"extproc doctor --envoy-admin http://{stack.envoy_admin} --sidecar http://{stack.metrics}"
            ),
            r"\benvoy -c ": "envoy --mode validate -c ",
            r"kubectl .*-k ": "kubectl kustomize ",
        }
        for place, ours in places.items():
            text = re.sub(place, lambda _, ours=ours: ours, text)  # type: ignore[misc]
        return text
