"""`python -m soak`, with tests/ on the path: the work behind `make soak`."""

from __future__ import annotations

import argparse
import json
import logging
import os
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from soak import hostile, kills, mixed
from soak.report import Outcome, show

from extproc.demo.terminal import build_console
from extproc.errors import EXIT_FAILURE

Say = Callable[[str], object]

_ROOT = Path(__file__).resolve().parents[2]


def main() -> None:
    """Run a scenario; exit with 1 if something that had to hold did not."""
    options = _parse()
    output = options.output.absolute()
    os.chdir(_ROOT)  # the collector is a module of the benchmark
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(EXIT_FAILURE))
    console = build_console()
    logging.getLogger("asyncio").setLevel(logging.ERROR)  # who writes to one that is gone hears of it otherwise
    outcome = SCENARIOS[options.scenario](options, console.print)
    output.write_text(json.dumps(outcome.as_document(), indent=1) + "\n")
    show(console, outcome)
    sys.exit(0 if outcome.is_right else EXIT_FAILURE)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m soak", description="What a sidecar does in the long run.")
    parser.add_argument("scenario", choices=sorted(SCENARIOS), nargs="?", default="soak")
    parser.add_argument("--minutes", type=float, help="how long; soak: 30, kills: 2")
    parser.add_argument("--rate", type=float, default=150.0, help="soak: exchanges a second")
    parser.add_argument("--seed", type=int, default=1, help="what the dice are")
    parser.add_argument("--only-watching", action="store_true", help="kills: ask for no usage in the place of clients")
    parser.add_argument("--from-ready", action="store_true", help="kills: 2 s behind each start, not each kill")
    parser.add_argument("--splits", action="store_true", help="kills: answers arrive in pieces that are no events")
    parser.add_argument("--only", nargs="+", metavar="BODY", help="hostile: these alone")
    parser.add_argument("--output", type=Path, default=_ROOT / "soak-results.json", metavar="FILE")
    return parser.parse_args()


def _soak(options: argparse.Namespace, say: Say) -> Outcome:
    seconds = 60 * (options.minutes or 30.0)
    return mixed.run(mixed.Plan(seconds, options.rate, options.seed, say=say))


def _kills(options: argparse.Namespace, _say: Say) -> Outcome:
    seconds = 60 * (options.minutes or 2.0)
    asks = not options.only_watching
    about = {"from_ready": options.from_ready, "splits": options.splits, "seed": options.seed}
    return kills.run(kills.Plan(seconds, asks_for_usage=asks, **about))


def _hostile(options: argparse.Namespace, say: Say) -> Outcome:
    return hostile.run(hostile.Plan(only=options.only or (), say=say))


# What a scenario is called, and what runs it.
SCENARIOS: Mapping[str, Callable[[argparse.Namespace, Say], Outcome]] = {
    "soak": _soak,
    "kills": _kills,
    "hostile": _hostile,
}


if __name__ == "__main__":
    main()
