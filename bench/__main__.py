"""`python -m bench`: measure, show, write down; the work behind `make bench`."""

from __future__ import annotations

import argparse
import json
import os
import resource
import signal
import sys
from pathlib import Path

from rich.status import Status

from bench.engines import ENGINES, has_engine
from bench.figures import Round
from bench.load import NATIVE
from bench.matrix import Plan, run_matrix
from bench.measure import WORKLOADS
from bench.page import blocks_of, fill
from bench.results import Results, describe_machine
from bench.scenarios import SCENARIOS
from bench.scenarios.base import Course, NotMeasuredError, Outcome
from bench.subjects import ROOT, SUBJECTS, Upstream
from bench.terminal import show
from extproc.demo.terminal import build_console
from extproc.errors import EXIT_FAILURE, EXIT_INTERRUPTED, ExtprocError

_FULL_ROUNDS, _FULL_SECONDS = 3, 2.0
_QUICK_ROUNDS, _QUICK_SECONDS = 1, 0.5
_MATRIX = "matrix"
_QUICK_WORKLOADS = ("json", "sse-8", "sse-512", "paced-64")


def main() -> None:
    """Run the benchmark; exit with 1 if something that had to hold did not."""
    options = _parse()
    os.chdir(ROOT)  # the floor is a module of this package
    _raise_descriptor_limit()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(EXIT_FAILURE))
    try:
        results = _run(options)
    except KeyboardInterrupt:
        sys.exit(EXIT_INTERRUPTED)
    except ExtprocError as error:
        sys.exit(f"bench: {error}")
    options.output.write_text(json.dumps(results.as_document(), indent=1) + "\n")
    is_right = results.failed == 0 and all(outcome.is_right for outcome in results.scenarios.values())
    if options.docs and is_right:
        _write_docs(results)
    sys.exit(0 if is_right else EXIT_FAILURE)


def _write_docs(results: Results) -> None:
    from bench.plots import write_plots  # noqa: PLC0415 - the plots' library is slow to load

    page = ROOT / "docs" / "performance.md"
    page.write_text(fill(page.read_text(), blocks_of(results)))
    write_plots(results, page.with_suffix(""))


def _raise_descriptor_limit() -> None:
    """Let Envoy, which inherits it, have as many connections as may be had."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("a number from 1 up is expected")
    return number


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description="What metering costs, measured side by side.")
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds, in under two minutes")
    parser.add_argument("--rounds", type=_positive, default=os.environ.get("ROUNDS"), metavar="N")
    parser.add_argument("--seconds", type=float, default=0.0, help="how long a window is")
    parser.add_argument(
        "--only",
        nargs="+",
        default=[_MATRIX, *SCENARIOS],
        choices=[_MATRIX, *SCENARIOS],
        metavar="PART",
        help=f"what is measured: {_MATRIX}, {', '.join(SCENARIOS)}",
    )
    parser.add_argument("--docs", action="store_true", help="write docs/performance.md and its plots")
    parser.add_argument("--output", type=Path, default=ROOT / "bench-results.json", metavar="FILE")
    options = parser.parse_args()
    if not (NATIVE / "load").is_file():
        parser.error("the load generator is not built: run `make bench`")
    if options.docs and set(options.only) != {_MATRIX, *SCENARIOS}:
        parser.error("--docs needs all parts of a run")
    options.output = options.output.absolute()
    options.rounds = options.rounds or (_QUICK_ROUNDS if options.quick else _FULL_ROUNDS)
    options.seconds = options.seconds or (_QUICK_SECONDS if options.quick else _FULL_SECONDS)
    return options


def _run(options: argparse.Namespace) -> Results:
    console = build_console()
    skipped = {subject.name: subject.missing for subject in SUBJECTS if subject.missing}
    subjects = [subject for subject in SUBJECTS if subject.name not in skipped]
    workloads = [each for each in WORKLOADS if not options.quick or each.name in _QUICK_WORKLOADS]
    plan = Plan(subjects, workloads, options.rounds, options.seconds)
    scenarios: dict[str, Outcome] = {}
    rounds: list[Round] = []
    with Status("starting", console=console) as status, Upstream() as upstream:
        if _MATRIX in options.only:
            rounds = run_matrix(plan, upstream, status.update)
        course = Course(upstream, next(filter(has_engine, reversed(ENGINES))), options.quick, status.update)
        for name in options.only:
            if name in SCENARIOS:
                try:
                    scenarios[name] = SCENARIOS[name](course)
                except NotMeasuredError as error:
                    skipped[name] = str(error)
    results = Results(describe_machine(), rounds, skipped, scenarios)
    show(console, results)
    return results


if __name__ == "__main__":
    main()
