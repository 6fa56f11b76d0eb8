"""A client that asks for a million models, each under another name: what the sidecar holds before, meanwhile, after.

Through a real Envoy, with the benchmark's own client and provider, which answers to any name with usage: the worst
case, since every name is proven. `make names` builds them and runs this; NAMES= says how many.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from bench.load import Load, finish_load, run_load, start_load
from bench.processes import memory
from bench.subjects import Running, Subject, Upstream
from extproc.errors import StackError

_MIB: Final = 1024 * 1024
_CONNECTIONS: Final = 16
_QUIET_CONNECTIONS: Final = 4
_ROUNDS: Final = 5
_PINNED: Final = "gpt-4o-mini"  # what the benchmark's client asks for where there is one name
# Every place where names could stay: all families of metrics, and prices.
_SETTINGS: Final[dict[str, Any]] = {
    "labels": {"rules": {"model": {"pinned": [_PINNED], "rewrite": [{"pattern": r"-\d{4}-\d{2}-\d{2}$"}]}}},
    "telemetry": {"custom_labels": [{"name": "region", "value": "eu"}]},
}
_REQUESTS: Final = "ai_requests_total"
_PLACES: Final = 200
_LOOK_SECONDS: Final = 15.0


@dataclass(frozen=True, slots=True)
class Held:
    """What the sidecar holds after so many names."""

    exchanges: int
    rss_bytes: int
    series: int  # lines of a scrape that are no comments
    models: int  # values of the label model
    dropped: int  # exchanges counted as `other` for want of room
    pinned: int  # exchanges under the name that is pinned

    def __str__(self) -> str:
        """Return a row of the table."""
        counts = f"{self.series:>8,} {self.models:>7,} {self.dropped:>10,}"
        return f"{self.exchanges:>10,} {self.rss_bytes / _MIB:>9.1f} {counts}"


def look(running: Running) -> Held:
    """Return what the sidecar holds now."""
    counters = running.counters()
    models = {dict(labels)["model"]: int(value) for (name, labels), value in counters.items() if name == _REQUESTS}
    dropped = counters.get(("extproc_label_values_dropped_total", frozenset({("label", "model")})), 0)
    rss_bytes = memory(running.sidecar_pid).rss_bytes
    return Held(sum(models.values()), rss_bytes, len(counters), len(models), int(dropped), models.get(_PINNED, 0))


def measure_p99_seconds(running: Running, round_seconds: float) -> float:
    """Return the 99th percentile of a client's that asks for one model: the median of some rounds."""
    rounds = [Load("json", _QUIET_CONNECTIONS, round_seconds) for _ in range(_ROUNDS)]
    return statistics.median(run_load(each, running.port).exchange.p99_seconds for each in rounds)


def attack(running: Running, names: int) -> Iterator[Held]:
    """Ask for so many models, each once; yield what is held on the way, and at the end.

    Raises StackError if an exchange fails, or one did not end.
    """
    load = Load("json", _CONNECTIONS, seconds=names / 50 + 30, requests=names, models=max(2, names))
    process = start_load(load, running.port)
    while not _has_ended(process):
        yield look(running)
    report = finish_load(process, load)
    if report.failed or report.requests != names:
        raise StackError(f"of {names} exchanges {report.requests} ended as they should: {dict(report.errors)}")
    yield look(running)


def _has_ended(process: subprocess.Popen[str]) -> bool:
    try:
        process.wait(_LOOK_SECONDS)
    except subprocess.TimeoutExpired:
        return False
    return True


def play(names: int, round_seconds: float = 4.0) -> list[Held]:
    """Play the scenario; return what the sidecar held on the way. Prints it as it goes."""
    with (
        Upstream() as upstream,
        Running(Subject("sidecar", "completion_queue"), upstream, settings=_SETTINGS) as running,
    ):
        # So many come first, as after a restart, that all places are taken but those of what is pinned.
        held = list(attack(running, _PLACES))
        before_seconds = measure_p99_seconds(running, round_seconds)
        _say(f"{'exchanges':>10} {'RSS MiB':>9} {'series':>8} {'models':>7} {'other':>10}")
        started = time.monotonic()
        for each in attack(running, names):
            held.append(each)
            _say(str(each))
        seconds = time.monotonic() - started
        after_seconds = measure_p99_seconds(running, round_seconds)
        _say(f"{names:,} names in {seconds:.0f} s; unmetered exchanges: {running.unmetered()}")
        _say(f"p99 of one model: {before_seconds * 1e3:.2f} ms before, {after_seconds * 1e3:.2f} ms after")
        _say(f"exchanges under the pinned name: {look(running).pinned:,}")
    return held


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main() -> None:
    """Play it from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--names", type=int, default=1_000_000)
    parser.add_argument("--json", action="store_true", help="print what was held as JSON as well, as the last line")
    options = parser.parse_args()
    try:
        held = play(options.names)
    except StackError as error:
        sys.exit(f"names: {error}")
    if options.json:
        _say(json.dumps([{name: getattr(each, name) for name in Held.__slots__} for each in held]))


if __name__ == "__main__":
    main()
