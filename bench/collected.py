"""`python -m bench.collected FILE serve ...`: the command `extproc`, with an eye on Python's garbage collector.

Writes to FILE at the end, for each generation, how often it was collected and how long that held the process up.
"""

from __future__ import annotations

import gc
import json
import sys
import time
from pathlib import Path
from typing import Any

from extproc.cli import main as extproc


class Collections:
    """Hears of each collection. Times are in seconds."""

    def __init__(self) -> None:
        self.generations = [{"count": 0, "seconds": 0.0, "longest_seconds": 0.0} for _ in range(3)]
        self._begun = 0.0

    def __call__(self, phase: str, info: dict[str, Any]) -> None:
        """Take the beginning or the end of a collection."""
        if phase == "start":
            self._begun = time.monotonic()
            return
        seconds = time.monotonic() - self._begun
        generation = self.generations[info["generation"]]
        generation["count"] += 1
        generation["seconds"] += seconds
        generation["longest_seconds"] = max(generation["longest_seconds"], seconds)


def main() -> None:
    """Run the command; write the file when it ends."""
    output = Path(sys.argv.pop(1))
    collections = Collections()
    gc.callbacks.append(collections)
    try:
        extproc()
    finally:
        output.write_text(json.dumps(collections.generations))


if __name__ == "__main__":
    main()
