"""`make fuzz`: all targets under the fuzzer, two at a time, and a table of what came of it.

Inputs that reach something new, and findings, stay in .fuzz/TARGET from run to run.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from fuzz.targets import NAMES

_ROOT = Path(__file__).resolve().parents[2]
_AT_ONCE = 2
_LEAST_SECONDS = 3
_STATUS = re.compile(r"#(\d+)\s+\w+\s+cov: (\d+) ft: \d+ corp: (\d+)/\S+.*?exec/s: (\d+)")
_EXECUTED = re.compile(r"stat::number_of_executed_units:\s*(\d+)")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one target."""

    name: str
    executions: int
    seconds: float
    edges: int
    inputs: int
    covered_percent: str
    findings: tuple[str, ...]

    @property
    def row(self) -> str:
        """The line of the table."""
        rate = self.executions / self.seconds if self.seconds else 0.0
        return (
            f"{self.name:<14} {self.executions:>11,} {rate:>8,.0f} {self.edges:>7,} {self.covered_percent:>8} %"
            f" {self.inputs:>7,} {len(self.findings):>9}"
        )


def fuzz(name: str, folder: Path, seconds: float) -> Outcome:
    """Run one target for so long; begin anew where an input ended the process."""
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / "log"
    started = time.monotonic()
    executions = edges = 0
    while (left := seconds - (time.monotonic() - started)) >= 1:
        with log.open("w") as output:
            command = [sys.executable, "-m", "fuzz.child", name, str(folder), str(int(left))]
            code = subprocess.run(
                command, stdout=output, stderr=output, cwd=_ROOT, env=_environ(), check=False
            ).returncode
        text = log.read_text(errors="replace")
        if found := _STATUS.findall(text):
            edges = max(edges, int(found[-1][1]))
        counted = _EXECUTED.findall(text)
        executions += int(counted[-1] if counted else found[-1][0] if found else 0)
        if code == 0 or not found:
            break
    took = time.monotonic() - started
    findings = tuple(sorted(str(path) for path in folder.glob("findings/*") if path.suffix != ".txt"))
    inputs = len(list(folder.glob("corpus/*")))
    command = [sys.executable, "-m", "fuzz.cover", name, str(folder)]
    covered = subprocess.run(command, capture_output=True, text=True, cwd=_ROOT, env=_environ(), check=False).stdout
    return Outcome(name, executions, took, edges, inputs, covered.strip() or "?", findings)


def _environ() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(_ROOT / "tests"), "PYTHONWARNINGS": "ignore"}


def main() -> None:
    """Run the targets and print the table; exit with 1 if there are findings."""
    parser = argparse.ArgumentParser(prog="fuzz", description="Throw hostile bytes at all that reads bytes.")
    parser.add_argument("--seconds", type=float, default=60.0, help="for how long, all of it")
    parser.add_argument("--at-once", type=int, default=_AT_ONCE, help="how many targets")
    parser.add_argument("--folder", type=Path, default=_ROOT / ".fuzz", help="where inputs and findings are kept")
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"of {', '.join(NAMES)}; all by default")
    options = parser.parse_args()
    if unknown := sorted(set(options.targets) - set(NAMES)):
        parser.error(f"no such target: {', '.join(unknown)}")
    names = options.targets or NAMES
    seconds = max(_LEAST_SECONDS, options.seconds * min(options.at_once, len(names)) / len(names))
    say(f"{len(names)} targets, {seconds:.0f} s each, {options.at_once} at a time")
    say(
        f"{'target':<14} {'executions':>11} {'a second':>8} {'edges':>7} {'coverage':>10} {'inputs':>7} {'findings':>9}"
    )
    findings: list[str] = []
    with ThreadPoolExecutor(options.at_once) as pool:
        for outcome in pool.map(lambda name: fuzz(name, options.folder / name, seconds), names):
            say(outcome.row)
            findings += outcome.findings
    for finding in findings:
        say(f"finding: {finding}")
    sys.exit(bool(findings))


def say(line: str) -> None:
    """Print a line now."""
    print(line, flush=True)  # noqa: T201 - a command line prints


if __name__ == "__main__":
    main()
