from __future__ import annotations

import pytest

from extproc.doctor.findings import Finding, error, exit_code, gather, note, warning

NOTE, WARNING, ERROR = (make(make.__name__, "here", "It is so.", "x: 1") for make in (note, warning, error))


@pytest.mark.parametrize(
    ("findings", "code"), [([], 0), ([NOTE], 0), ([NOTE, WARNING], 3), ([WARNING, ERROR, NOTE], 4)]
)
def test_the_gravest_is_what_a_pipeline_sees(findings: list[Finding], code: int) -> None:
    """Notes do not break a build."""
    assert exit_code(findings) == code


def test_what_is_the_same_in_several_places_is_said_once() -> None:
    """With all of them, each once; the gravest finding comes first."""
    elsewhere = note("note", "there", "It is so.", "x: 1")
    found = gather([NOTE, elsewhere, NOTE, ERROR, WARNING])
    assert [each.code for each in found] == ["error", "warning", "note"]
    assert found[2].where == ("here", "there")


def test_a_deployment_can_mean_it() -> None:
    """What it has chosen need not be told it every time."""
    assert [each.code for each in gather([NOTE, ERROR], ["error", "never-heard-of"])] == ["note"]


def test_it_is_json_for_programs() -> None:
    """All of it."""
    assert ERROR.to_json() == {
        "code": "error", "severity": "error", "where": ["here"], "meaning": "It is so.", "mend": "x: 1"
    }  # fmt: skip
