"""How much of its modules a target reaches with all inputs there are: `python -m fuzz.cover TARGET FOLDER`.

Lines and branches as coverage.py counts them, which say more to a person than a fuzzer's edges.
"""

from __future__ import annotations

import io
import sys
import time
from contextlib import suppress
from pathlib import Path

import coverage

_ROOT = Path(__file__).resolve().parents[2]
_MAX_SECONDS = 60.0


def measure(name: str, folder: Path) -> float:
    """Return the share of lines and branches that was run, in per cent."""
    measured = coverage.Coverage(branch=True, data_file=None)
    measured.start()
    from fuzz.targets import findings_of, load  # noqa: PLC0415 - what is imported from here on is measured

    target = load(name)
    inputs = [*target.seeds(), *(path.read_bytes() for path in findings_of(name))]
    inputs += [path.read_bytes() for path in sorted(folder.glob("corpus/*"))]
    until = time.monotonic() + _MAX_SECONDS
    for data in inputs:
        with suppress(Exception):
            target.check(data)
        if time.monotonic() > until:
            break
    measured.stop()
    return measured.report(include=[_pattern(module) for module in target.modules], file=io.StringIO())


def _pattern(module: str) -> str:
    path = module.replace(".", "/")
    return str(_ROOT / (f"{path}*" if module.endswith(".") else f"{path}.py"))


if __name__ == "__main__":
    print(f"{measure(sys.argv[1], Path(sys.argv[2])):.1f}")  # noqa: T201 - its answer to who started it
