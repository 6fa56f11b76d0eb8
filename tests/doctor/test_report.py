from __future__ import annotations

import json

from extproc.doctor.findings import Finding, Severity, error
from extproc.doctor.report import Looked, to_json, to_text

LOOKED = Looked("1.40.0 at http://e", "1.0 at http://s")


def test_a_person_reads_what_where_why_and_how_to_mend_it() -> None:
    """In as many columns as there are; what is to be copied is not broken."""
    long = "x" * 90
    found = [error("some-code", "listener a", "It is so, " + "and so " * 12 + "on.", f"{long}: 1\nb: 2")]
    text = to_text(found, LOOKED, columns=60)
    assert text.startswith("Envoy: 1.40.0 at http://e\nsidecar: 1.0 at http://s\n\nERROR some-code\n  at listener a\n")
    assert f"\n    {long}: 1\n    b: 2\n" in text
    assert all(len(line) <= 60 for line in text.splitlines() if long not in line)
    assert text.endswith("1 error, 0 warnings, 0 notes")


def test_many_places_are_summed_up() -> None:
    """Hundreds of routes may have the same."""
    finding = Finding("c", Severity.NOTE, tuple(f"route {number}" for number in range(10)), "So.", "x")
    text = to_text([finding], LOOKED, columns=80)
    assert "  at route 3\n  and 6 more\n" in text
    assert len(json.loads(to_json([finding], LOOKED, 0))["findings"][0]["where"]) == 10


def test_who_has_nothing_wrong_is_told_what_was_looked_at() -> None:
    """Silence would be no news."""
    assert "Nothing is wrong. Looked at: the filter's place" in to_text([], LOOKED, columns=80)
