"""What happens to a sidecar while it works: scrapes, reloads, killed workers, a collector that is away."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from typing import Self

from soak.gateway import Series, SoakGateway, total
from soak.ledger import Kill
from support.sidecar import workers_of
from support.waiting import wait_for

from extproc.config.address import HostPort
from extproc.demo.process import claim_port
from extproc.demo.stack import fetch

_COUNTS = ("_total", "_count", "_bucket", "_sum")
_OURS = ("ai_", "extproc_")
_READY_SECONDS = 60.0  # behind several kills in a row the supervisor takes its time
_BROKEN_SETTINGS = ("{", "max_body_bytes: no", '{"max_streams": -1}', '{"no_such_setting": 1}', "\0")


class Collector:
    """A context: an OTLP collector in a process of its own, which may be away for a while."""

    def __init__(self) -> None:
        self.address = claim_port(HostPort("127.0.0.1", 0), "")
        self._process: subprocess.Popen[bytes] | None = None
        self.outages = 0

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Be there."""
        command = [sys.executable, "-m", "bench.collector", str(self.address)]
        self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL)

    def stop(self) -> None:
        """Be away."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()
        self.outages += 1

    @property
    def is_there(self) -> bool:
        """Whether it runs."""
        return self._process is not None and self._process.returncode is None


class Chaos:
    """Does one thing or another to a gateway. Each call takes no longer than the thing itself.

    Of two workers only the second is killed, so that there is one whose memory can be compared over the whole time.
    """

    def __init__(self, gateway: SoakGateway, collector: Collector, dice: random.Random, workers: int) -> None:
        self._gateway = gateway
        self._collector = collector
        self._dice = dice
        self._last: Series = {}
        self._last_worker = workers - 1
        self.kills: list[Kill] = []
        self.done: Counter[str] = Counter()
        self.faults: list[str] = []

    @property
    def pids(self) -> dict[str, int]:
        """The processes of the sidecar, by name."""
        workers = {f"worker {index}": pid for index, pid in sorted(workers_of(self._gateway.pid).items())}
        return {"supervisor": self._gateway.pid, **workers}

    def scrape(self) -> None:
        """Ask for metrics; no count may be less than it was."""
        series = self._gateway.scrape()
        now = {key: value for key, value in series.items() if key[0].endswith(_COUNTS)}
        ours = {key: value for key, value in self._last.items() if key[0].startswith(_OURS)}
        self.faults += [
            f"a count went backwards: {key[0]}" for key, value in ours.items() if now.get(key, -1.0) < value
        ]
        self._last = now
        self.done["scrapes"] += 1

    def look(self) -> None:
        """Ask for pages of the admin port."""
        for page in ("livez", "readyz", "status"):
            fetch(f"http://{self._gateway.stack.metrics}/{page}")
        self.done["looks"] += 1

    def reload(self) -> None:
        """Have other settings taken."""
        level = self._dice.choice(("info", "warning"))
        more = {"log_level": level, "max_label_values": self._dice.choice((200, 300)), "slow_message_seconds": 1.0}
        self._gateway.configure(more)
        self._gateway.signal(signal.SIGHUP)
        self.done["reloads"] += 1

    def reload_badly(self) -> None:
        """Have settings refused."""
        self._gateway.write(self._dice.choice(_BROKEN_SETTINGS))
        self._gateway.signal(signal.SIGHUP)
        self.done["bad reloads"] += 1

    def kill(self) -> None:
        """Kill the last worker; return when there is another in its place."""
        pid = workers_of(self._gateway.pid)[self._last_worker]
        at_seconds = time.time()
        os.kill(pid, signal.SIGKILL)
        self.kills.append(Kill(self._last_worker, at_seconds))
        self.done["worker kills"] += 1
        wait_for(self._are_all_ready, _READY_SECONDS)
        self.kills[-1] = Kill(self._last_worker, at_seconds, time.time())

    def _are_all_ready(self) -> bool:
        series = self._gateway.scrape()
        restarts = total(series, "extproc_worker_restarts_total")
        return restarts == len(self.kills) and total(series, "extproc_workers_ready") == self._last_worker + 1

    def toggle_collector(self) -> None:
        """Have the collector go, or come back."""
        if self._collector.is_there:
            self._collector.stop()
            self.done["collector outages"] += 1
        else:
            self._collector.start()


def settings_with(collector: HostPort) -> dict[str, object]:
    """Return settings that send traces and metrics there."""
    otlp = {"name": "collector", "host": collector.host, "port": collector.port}
    exporters = {"otlp": [otlp]}
    telemetry = {"metric_reporting_period": 2, "trace_sample_rate": 0.2, "exporters": exporters}
    return {"usage": {"estimate": "off"}, "telemetry": telemetry}
