"""What a worker is told when it starts, and when settings change: a line from its supervisor.

Owns: the form of that line. It is written to a pipe: command lines and environments can be read by others on the
machine, and settings may hold credentials.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from extproc.config.settings import Settings


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """What a worker is told: the settings of all, and what is its own."""

    settings: Settings
    index: int
    listen: str
    metrics_directory: Path
    stdout: int = 1  # the supervisor's, as a descriptor that was handed down

    def to_line(self) -> bytes:
        """Return it as one line, without its end."""
        own = {
            "index": self.index,
            "listen": self.listen,
            "metrics_directory": str(self.metrics_directory),
            "stdout": self.stdout,
        }
        return json.dumps(own | {"settings": self.settings.model_dump(mode="json")}).encode()

    @classmethod
    def from_line(cls, line: bytes) -> WorkerSettings:
        """Return what `to_line` wrote. Raises ValueError, LookupError or TypeError for anything else."""
        told = json.loads(line)
        settings = Settings.model_validate(told["settings"])
        return cls(settings, told["index"], told["listen"], Path(told["metrics_directory"]), told["stdout"])
