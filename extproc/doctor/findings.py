"""What can be found, as values.

Owns: the shape of a finding, how grave one can be, and what a command ends with for it. Must not know what is looked
at.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from extproc.errors import EXIT_ERRORS, EXIT_WARNINGS


class Severity(enum.StrEnum):
    """How grave a finding is: the gravest first."""

    ERROR = "error"  # something that was asked for can't work
    WARNING = "warning"  # it works today, and not under load, or not for all exchanges
    NOTE = "note"  # worth to know


_EXIT_CODES = {Severity.ERROR: EXIT_ERRORS, Severity.WARNING: EXIT_WARNINGS, Severity.NOTE: 0}
_ORDER = list(Severity)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as it should be.

    `code` stays the same over releases, `where` are places, `meaning` is one sentence on what it is for the user,
    `mend` YAML or a command.
    """

    code: str
    severity: Severity
    where: tuple[str, ...]
    meaning: str
    mend: str

    def to_json(self) -> dict[str, Any]:
        """Return what `--json` prints of it."""
        return {
            "code": self.code,
            "severity": self.severity.value,
            "where": list(self.where),
            "meaning": self.meaning,
            "mend": self.mend,
        }


def error(code: str, where: str, meaning: str, mend: str) -> Finding:
    """Return a finding of something that can't work."""
    return Finding(code, Severity.ERROR, (where,), meaning, mend)


def warning(code: str, where: str, meaning: str, mend: str) -> Finding:
    """Return a finding of something that may not work."""
    return Finding(code, Severity.WARNING, (where,), meaning, mend)


def note(code: str, where: str, meaning: str, mend: str) -> Finding:
    """Return a finding of something worth to know."""
    return Finding(code, Severity.NOTE, (where,), meaning, mend)


def gather(findings: Iterable[Finding], ignored: Iterable[str] = ()) -> list[Finding]:
    """Return findings with the gravest first, and what is the same in several places once, without `ignored` codes."""
    places: dict[Finding, dict[str, None]] = {}
    left_out = frozenset(ignored)
    for finding in findings:
        if finding.code not in left_out:
            places.setdefault(replace(finding, where=()), {}).update(dict.fromkeys(finding.where))
    gathered = [replace(finding, where=tuple(where)) for finding, where in places.items()]
    return sorted(gathered, key=lambda finding: _ORDER.index(finding.severity))


def exit_code(findings: Iterable[Finding]) -> int:
    """Return what a command ends with that has found these."""
    return max((_EXIT_CODES[finding.severity] for finding in findings), default=0)
