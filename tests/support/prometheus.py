"""A real Prometheus and its promtool, where the machine has them: from the system, or as .ci/run unpacks them."""

from __future__ import annotations

import json
import shutil
import subprocess
import urllib.parse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import pytest
import yaml
from support.waiting import wait_for

from extproc.config.address import HostPort
from extproc.demo.process import claim_port
from extproc.demo.stack import fetch

ROOT = Path(__file__).resolve().parents[2]
_UNPACKED = ROOT / ".venv" / "prometheus" / "usr" / "bin"


def find(program: str) -> str:
    """Return the path of a program of Prometheus'; skip the test where there is none."""
    found = shutil.which(program) or shutil.which(program, path=str(_UNPACKED))
    if found is None:
        pytest.skip(f"no {program} here: Debian has it in its package prometheus")
    return found


def check_metrics(text: str) -> str:
    """Return what promtool has to say of metrics: nothing, if they are as they should be."""
    command = [find("promtool"), "check", "metrics"]
    ended = subprocess.run(command, input=text, capture_output=True, text=True, check=False, timeout=60)
    return ended.stdout + ended.stderr + (f"exit code {ended.returncode}" if ended.returncode else "")


def promtool(*arguments: str | Path) -> str:
    """Return what promtool says, which has nothing against it."""
    command = [find("promtool"), *map(str, arguments)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=100)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


class Prometheus:
    """A context: a Prometheus that scrapes these addresses as fast as it can, and evaluates these files of rules.

    `relabel` are its `metric_relabel_configs`. It asks for the first time about five seconds after its start.
    """

    def __init__(
        self,
        folder: Path,
        *targets: str,
        rules: Sequence[Path] = (),
        relabel: Sequence[Mapping[str, Any]] = (),
        interval: str = "200ms",
    ) -> None:
        program = find("prometheus")
        address = claim_port(HostPort("127.0.0.1", 0), "prometheus")
        scrape: dict[str, Any] = {"job_name": "extproc", "static_configs": [{"targets": list(targets)}]}
        scrape["metric_relabel_configs"] = list(relabel)
        pace = {"scrape_interval": interval, "scrape_timeout": interval, "evaluation_interval": interval}
        config = {"global": pace, "scrape_configs": [scrape], "rule_files": [str(path) for path in rules]}
        (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
        self._url = f"http://{address}"
        self._log = (folder / "prometheus.log").open("wb")
        flags = {
            "config.file": folder / "prometheus.yml",
            "storage.tsdb.path": folder / "data",
            "web.listen-address": address,
            "enable-feature": "exemplar-storage",
        }
        command = [program, *(f"--{flag}={value}" for flag, value in flags.items())]
        self._process = subprocess.Popen(command, stdout=self._log, stderr=self._log)

    def __enter__(self) -> Self:
        try:
            wait_for(self._is_ready)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait()
        self._log.close()

    def query(self, expression: str) -> dict[frozenset[tuple[str, str]], float]:
        """Return what an expression is worth now, by labels."""
        result = self._ask("query", query=expression)["result"]
        return {frozenset(each["metric"].items()): float(each["value"][1]) for each in result}

    def exemplars(self, expression: str) -> list[dict[str, Any]]:
        """Return the exemplars of the series that an expression names."""
        now = self.query("vector(time())")[frozenset()]
        found = self._ask("query_exemplars", query=expression, start=str(now - 3600), end=str(now + 60))
        return [exemplar for series in found for exemplar in series["exemplars"]]

    def _ask(self, what: str, **parameters: str) -> Any:
        answer = json.loads(fetch(f"{self._url}/api/v1/{what}?{urllib.parse.urlencode(parameters)}"))
        assert answer["status"] == "success"
        return answer["data"]

    def _is_ready(self) -> bool:
        try:
            return "Ready" in fetch(f"{self._url}/-/ready")
        except OSError:
            return False
