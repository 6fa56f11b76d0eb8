"""`make audit`: what it finds, what it says it could not look at, and the bill of materials."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from license_expression import get_spdx_licensing

PYPROJECT = tomllib.loads((Path(__file__).resolve().parent.parent / "pyproject.toml").read_text())
GOOD = {"name": "urllib3", "version": "2.8.0", "vulns": []}
SKIPPED = {"name": "rich", "skip_reason": "Dependency not found on PyPI and could not be audited: rich (15.0.0)"}
BAD = GOOD | {"vulns": [{"id": "PYSEC-1", "aliases": ["CVE-1"], "fix_versions": ["2.9.0"]}]}


def audit(folder: Path, answer: str) -> tuple[int, str, bytes]:
    """Return exit code, output and bill of a run in which the service of vulnerabilities answers so."""
    program, bill = folder / "pip-audit", folder / "sbom.cdx.json"
    program.write_text(f"#!/bin/sh\necho 'cannot be reached' >&2\ncat <<'END'\n{answer}\nEND\n")
    program.chmod(0o700)
    tool = Path(__file__).resolve().parent.parent / "tools" / "audit.py"
    command = [sys.executable, str(tool), "--pip-audit", str(program), "--output", str(bill)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.stderr == ""
    return done.returncode, done.stdout, bill.read_bytes()


@pytest.mark.parametrize(
    ("answer", "code", "line"),
    [
        (json.dumps({"dependencies": [GOOD]}), 0, "1 of 1 packages looked up"),
        (json.dumps({"dependencies": [GOOD, SKIPPED]}), 3, "NOT CHECKED: known vulnerabilities of 1 packages, rich"),
        (json.dumps({"dependencies": [BAD, SKIPPED]}), 1, "TO MEND: urllib3 2.8.0 has PYSEC-1; mended in 2.9.0"),
        ("", 3, "NOT CHECKED: known vulnerabilities: osv could not be asked (cannot be reached)"),
    ],
)
def test_what_was_not_looked_up_is_never_good(tmp_path: Path, answer: str, code: int, line: str) -> None:
    """An index that knows no vulnerabilities, and no network at all, are no all-clear."""
    seen, output, _ = audit(tmp_path, answer)
    assert (seen, line in output) == (code, True), output


def test_the_bill_names_what_is_there_at_run_time_and_is_the_same_each_time(tmp_path: Path) -> None:
    """With the hashes of the lock and a licence for each; it was held against the schema when it was written."""
    (first, _, bill), (_, _, again) = (audit(tmp_path, json.dumps({"dependencies": []})) for _ in range(2))
    assert (first, bill) == (0, again)
    document: dict[str, Any] = json.loads(bill)
    components = {component["name"]: component for component in document["components"]}
    direct = [re.split(r"[<>=;]", line)[0] for line in PYPROJECT["project"]["dependencies"]]
    assert {name.replace(".", "-") for name in direct} <= set(components)
    assert components.keys().isdisjoint({"pytest", "ruff", "pip-audit"})
    assert all(file["hashes"] for each in components.values() for file in each["externalReferences"])
    assert all("licenses" in each or "properties" in each for each in components.values()), "or is for other platforms"


def test_exceptions_are_known_licences_with_a_reason() -> None:
    """Each is there, none is a leftover."""
    rules = PYPROJECT["tool"]["audit"]
    for name, text in rules["exceptions"].items():
        licence, _, reason = text.partition(": ")
        assert get_spdx_licensing().parse(licence, validate=True) is not None, name
        assert reason
    for licence in [*rules["allowed-licences"], *rules["licences"].values()]:
        assert get_spdx_licensing().parse(licence, validate=True) is not None


@pytest.mark.parametrize(
    ("expression", "is_good"),
    [
        ("MIT", True),
        ("GPL-3.0-only", False),
        ("GPL-3.0-only OR MIT", True),
        ("MIT AND GPL-3.0-only", False),
        ("(MIT OR GPL-2.0-only) AND Apache-2.0", True),
        ("Apache-2.0 WITH LLVM-exception", False),
    ],
)
def test_an_expression_is_met_by_allowed_licences_alone(expression: str, is_good: bool, root: Path) -> None:
    """All of what is joined by AND, one of what is joined by OR; an exception to a licence is another one."""
    spec = importlib.util.spec_from_file_location("audit", root / "tools" / "audit.py")
    assert spec is not None
    assert spec.loader is not None
    tool = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    assert tool.is_allowed(expression, frozenset({"MIT", "Apache-2.0"})) is is_good
