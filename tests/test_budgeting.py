"""Budgets of `extproc serve`, alone and with workers, as a process that Envoy would ask."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from support.ratelimited import RateLimitClient
from support.sidecar import Sidecar
from support.waiting import wait_for

from extproc.budgeting import Budgeting
from extproc.config.budgets import BudgetSettings
from extproc.config.settings import Settings
from extproc.errors import SettingsError
from extproc.wire import ratelimit_pb2 as pb

FILE = """
domain: d
descriptors:
  - key: tenant
    rate_limit:
      unit: year
      requests_per_unit: {}
"""
WORKERS = pytest.mark.parametrize("workers", ["1", "2"])


class Subject(Sidecar):
    """A sidecar with limits in a file of their own."""

    def __init__(self, folder: Path, *flags: str) -> None:
        self.limits, self.settings = folder / "limits.yaml", folder / "extproc.yaml"
        self.limits.write_text(FILE.format(1000))
        budgets = {"listen": "127.0.0.1:0", "files": [str(self.limits)]}
        self.settings.write_text(json.dumps({"budgets": budgets, "config_poll_seconds": 0.05}))
        super().__init__(folder, "--config", str(self.settings), *flags)

    @property
    def budgets(self) -> str:
        """Where Envoy asks."""
        address: str = self.events("ready")[0]["budgets"]
        return address

    def is_over(self, client: RateLimitClient) -> bool:
        """Say whether tenant a is over its limit."""
        return client.charge("d", 0, ("tenant", "a")).overall_code == pb.RateLimitResponse.OVER_LIMIT


@WORKERS
def test_there_is_one_ledger_and_limits_change_while_it_is_kept(tmp_path: Path, workers: str) -> None:
    """A file of limits is looked at as those of settings are; bad limits change nothing, and nothing is forgotten."""
    with Subject(tmp_path, "--workers", workers) as sidecar, RateLimitClient(sidecar.budgets) as client:
        client.charge("d", 600, ("tenant", "a"))
        assert not sidecar.is_over(client)
        sidecar.limits.write_text(FILE.format(500))
        wait_for(lambda: sidecar.is_over(client))
        sidecar.limits.write_text(FILE.format("many"))
        wait_for(lambda: sidecar.events("a setting is wrong"))
        assert f"{sidecar.limits}:7: descriptors[0].rate_limit" in sidecar.events("a setting is wrong")[0]["problem"]
        assert sidecar.is_over(client)
        sidecar.limits.write_text(FILE.format(2000))
        wait_for(lambda: not sidecar.is_over(client))
        assert client.charge("d", 0, ("tenant", "a")).statuses[0].limit_remaining == 1400
        assert sidecar.stop() == 0
        assert len(sidecar.events("settings reloaded")) == 2


@WORKERS
def test_what_is_decided_is_in_status_and_metrics(tmp_path: Path, workers: str) -> None:
    """Of the process that Envoy asks, and without what clients have sent."""
    with Subject(tmp_path, "--workers", workers) as sidecar, RateLimitClient(sidecar.budgets) as client:
        client.charge("d", 1001, ("tenant", "sesame"))
        status = json.loads(sidecar.get("/status")[1])
        rule = {"domain": "d", "rule": "tenant", "requests_per_unit": 1000, "unit": "year"}
        assert status["budgets"] == {"listen": sidecar.budgets, "rules": [rule]}
        metrics = sidecar.get("/metrics")[1]
        assert 'extproc_budget_decisions_total{code="over_limit",domain="d",rule="tenant"} 1.0' in metrics
        assert 'extproc_budget_hits_total{domain="d",rule="tenant"} 1001.0' in metrics
        assert "sesame" not in f"{metrics}{status}{sidecar.log}"


@WORKERS
def test_an_address_that_is_taken_is_told_at_the_start(tmp_path: Path, workers: str) -> None:
    """With exit code 2, as of any setting that cannot work."""
    (tmp_path / "other").mkdir()
    with Subject(tmp_path) as sidecar:
        budgets = json.dumps({"listen": sidecar.budgets})
        other = Sidecar(tmp_path / "other", "--workers", workers, environ={"EXTPROC_BUDGETS": budgets})
        assert other.process.wait(30) == 2
        assert f"budgets.listen: cannot listen on {sidecar.budgets}: Address already in use" in other.log


def test_a_worker_that_dies_takes_no_budget_with_it(tmp_path: Path) -> None:
    """The ledger is the supervisor's."""
    with Subject(tmp_path, "--workers", "2") as sidecar, RateLimitClient(sidecar.budgets) as client:
        client.charge("d", 2000, ("tenant", "a"))
        victim, _ = sidecar.workers
        os.kill(victim, signal.SIGKILL)
        wait_for(lambda: len(sidecar.workers) == 2 and victim not in sidecar.workers)
        assert sidecar.is_over(client)
        assert sidecar.stop(signal.SIGINT) == 0


@pytest.mark.parametrize(("host", "allowed", "is_refused"), [("0.0.0.0", False, True), ("0.0.0.0", True, False)])  # noqa: S104 - on a free port
def test_others_reach_it_only_where_that_is_wanted(host: str, allowed: bool, is_refused: bool) -> None:
    """Of a name that is only known at the start too."""
    settings = Settings(budgets=BudgetSettings(listen=f"{host}:0"), allow_plaintext=allowed)
    budgeting = Budgeting(settings, CollectorRegistry())
    if is_refused:
        with pytest.raises(SettingsError, match=r"budgets\.listen: other machines can reach 0\.0\.0\.0:0"):
            budgeting.start(settings)
    else:
        budgeting.start(settings)
    budgeting.stop()


def test_without_budgets_there_is_nothing_of_them() -> None:
    """Neither a port nor a metric, nor the library."""
    registry, settings = CollectorRegistry(), Settings()
    budgeting = Budgeting(settings, registry)
    budgeting.start(settings)
    budgeting.apply(settings)
    budgeting.stop()
    assert (budgeting.describe(), budgeting.place(), list(registry.collect())) == ({}, {}, [])
    code = "import sys, extproc.app, extproc.supervisor; sys.exit('throttled' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
