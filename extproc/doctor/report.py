"""How findings are told: to a person, or as JSON.

Owns: the words around findings. Must not know what was looked for.
"""

from __future__ import annotations

import json
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

from extproc.doctor.findings import Finding, Severity

_INDENT = "  "
# More places than this are summed up.
_MAX_PLACES = 4

_CHECKED = """\
the filter's place and whether routes switch it off; namespaces, headers and attributes that are needed; body modes,
timeouts and failure mode; codings; names of metadata in access logs, tags and limits; rate limits; the cluster; what
both have counted so far"""


@dataclass(frozen=True, slots=True)
class Looked:
    """What was looked at, in a few words each."""

    envoy: str
    sidecar: str


def to_text(findings: Sequence[Finding], looked: Looked, *, columns: int) -> str:
    """Return what a person reads: the gravest finding first, and a sum."""
    blocks = [_block(finding, columns) for finding in findings]
    lines = [f"Envoy: {looked.envoy}", f"sidecar: {looked.sidecar}", "", *blocks]
    counts = [(severity, sum(finding.severity is severity for finding in findings)) for severity in Severity]
    if not findings:
        lines.append(_wrap(f"Nothing is wrong. Looked at: {' '.join(_CHECKED.split())}.", columns, ""))
    else:
        lines.append(", ".join(f"{count} {severity}{'' if count == 1 else 's'}" for severity, count in counts))
    return "\n".join(lines)


def to_json(findings: Sequence[Finding], looked: Looked, code: int) -> str:
    """Return what a program reads. `exit_code` is what the command ends with."""
    document = {
        "envoy": looked.envoy,
        "sidecar": looked.sidecar,
        "findings": [finding.to_json() for finding in findings],
        "exit_code": code,
    }
    return json.dumps(document, indent=1)


def _block(finding: Finding, columns: int) -> str:
    places = list(finding.where[:_MAX_PLACES])
    if len(finding.where) > _MAX_PLACES:
        places.append(f"and {len(finding.where) - _MAX_PLACES} more")
    return "\n".join(
        [
            f"{finding.severity.upper()} {finding.code}",
            *(_wrap(f"at {place}" if index < _MAX_PLACES else place, columns) for index, place in enumerate(places)),
            _wrap(finding.meaning, columns),
            textwrap.indent(finding.mend, _INDENT * 2),
            "",
        ]
    )


def _wrap(text: str, columns: int, indent: str = _INDENT) -> str:
    return textwrap.fill(
        text, columns, initial_indent=indent, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )
