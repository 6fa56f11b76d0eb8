"""Look at what is shipped with the sidecar: known vulnerabilities, licences, and a bill of materials.

The work behind `make audit`. What is looked at stands in uv.lock: vulnerabilities of all of it; licences, and the bill,
of what is there at run time, with all extras. The bill, dist/sbom.cdx.json, is CycloneDX 1.5, and the same bytes for
the same lock. What is allowed, and each exception with its reason, stands in pyproject.toml under `tool.audit`.

The exit code is 1 if there is something to mend, 3 if not but something could not be checked, else 0: what was not
checked is never said to be good.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageMetadata, PackageNotFoundError, metadata
from pathlib import Path
from typing import Any

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from license_expression import ExpressionError, get_spdx_licensing
from packaging.markers import Marker

import extproc

ROOT = Path(__file__).resolve().parent.parent
BILL = ROOT / "dist" / "sbom.cdx.json"

TO_MEND, UNCHECKED = 1, 3

_UV = Path(sys.executable).with_name("uv")
_MARKER = "uv:package:marker"

# Classifiers that say which licence it is. That of BSD does not.
_CLASSIFIERS = {
    "License :: OSI Approved :: MIT License": "MIT",
    "License :: OSI Approved :: Apache Software License": "Apache-2.0",
    "License :: OSI Approved :: ISC License (ISCL)": "ISC",
}

_SPDX = get_spdx_licensing()


@dataclass
class Findings:
    """What was found, and what could not be looked at."""

    to_mend: list[str] = field(default_factory=list)
    unchecked: list[str] = field(default_factory=list)

    @property
    def exit_code(self) -> int:
        """What to leave with."""
        return TO_MEND if self.to_mend else UNCHECKED if self.unchecked else 0


def main() -> int:
    """Look at everything, say what there is, and return the exit code."""
    parser = argparse.ArgumentParser(description="Look at what is shipped with the sidecar.")
    parser.add_argument("--pip-audit", required=True, type=Path, help="the program that asks for known vulnerabilities")
    parser.add_argument("--service", default="osv", choices=("osv", "pypi"), help="whom it asks")
    parser.add_argument("--output", type=Path, default=BILL, help="where the bill of materials goes")
    options = parser.parse_args()
    rules = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["audit"]
    findings = Findings()
    bill = build_bill(json.loads(_export("--no-dev", "--format=cyclonedx1.5")), rules["licences"])
    check_licences(bill["components"], rules, findings)
    write_bill(bill, options.output, findings)
    requirements = options.output.with_name("audited.txt")
    requirements.write_text(_export("--all-groups"))
    check_advisories(options.pip_audit, options.service, requirements, rules["ignored-advisories"], findings)
    for title, found in (("TO MEND", findings.to_mend), ("NOT CHECKED", findings.unchecked)):
        print("".join(f"audit: {title}: {line}\n" for line in found), end="")
    return findings.exit_code


def build_bill(exported: dict[str, Any], stated: Mapping[str, str]) -> dict[str, Any]:
    """Return the bill of materials: what uv says of the lock, with licences, and without what differs between runs."""
    exported.pop("serialNumber", None)
    exported["metadata"].pop("timestamp", None)
    exported["metadata"]["component"] |= {
        "version": extproc.__version__,
        "licenses": [{"license": {"id": "Apache-2.0"}}],
    }
    for component in exported["components"]:
        licence = _licence_of(component, stated)
        if licence is not None:
            component["licenses"] = [{"expression": licence}]
    return exported


def check_licences(components: Iterable[Mapping[str, Any]], rules: Mapping[str, Any], findings: Findings) -> None:
    """Compare the licences of components with those that are allowed."""
    allowed, exceptions = frozenset(rules["allowed-licences"]), rules["exceptions"]
    good, elsewhere = 0, []
    for component in components:
        name = component["name"]
        licence = component["licenses"][0]["expression"] if "licenses" in component else None
        if licence is None and not _is_for_this_platform(component):
            elsewhere.append(name)
        elif licence is None:
            findings.to_mend.append(f"{name} says no licence that is known; state it under tool.audit.licences")
        elif is_allowed(licence, allowed) or name in exceptions:
            good += 1
        else:
            findings.to_mend.append(f"{name} has the licence {licence}, which is not allowed")
    print(f"licences: {good} good, {', '.join(sorted(exceptions))} by exception")
    print(f"licences: not for this platform, and not looked at: {', '.join(elsewhere) or 'none'}")


def is_allowed(expression: str, allowed: frozenset[str]) -> bool:
    """Say whether an SPDX expression can be met with licences that are allowed: all of an AND, any of an OR."""
    return _is_met(_SPDX.parse(expression, validate=True), allowed)


def _is_met(node: Any, allowed: frozenset[str]) -> bool:
    if isinstance(node, _SPDX.AND):
        return all(_is_met(part, allowed) for part in node.args)
    if isinstance(node, _SPDX.OR):
        return any(_is_met(part, allowed) for part in node.args)
    return str(node) in allowed


def write_bill(bill: Mapping[str, Any], path: Path, findings: Findings) -> None:
    """Write the bill of materials, once it is what its schema says."""
    text = json.dumps(bill, indent=1, sort_keys=True) + "\n"
    error = JsonStrictValidator(SchemaVersion.V1_5).validate_str(text)
    if error is not None:
        findings.to_mend.append("the bill of materials is not what the schema of CycloneDX 1.5 says")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    print(f"bill of materials: {len(bill['components'])} components in {path}")


def check_advisories(
    program: Path, service: str, requirements: Path, ignored: Mapping[str, str], findings: Findings
) -> None:
    """Ask for known vulnerabilities of everything that is locked."""
    flags = ("--require-hashes", "--disable-pip", "--progress-spinner=off", "--format=json")
    asked = subprocess.run(
        [program, "--requirement", requirements, *flags, f"--vulnerability-service={service}"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    try:
        answers = json.loads(asked.stdout)["dependencies"]
    except (ValueError, KeyError, TypeError):
        said = asked.stderr.strip().splitlines() or ["nothing"]
        findings.unchecked.append(f"known vulnerabilities: {service} could not be asked ({said[-1][:200]})")
        return
    # Whoever does not know a package has not said that it is good; pip-audit leaves it out and goes on.
    skipped = [answer["name"] for answer in answers if "skip_reason" in answer]
    if skipped:
        findings.unchecked.append(f"known vulnerabilities of {len(skipped)} packages, {skipped[0]} among them")
    findings.to_mend += [line for answer in answers for line in _vulnerabilities_of(answer, ignored)]
    print(f"known vulnerabilities: {len(answers) - len(skipped)} of {len(answers)} packages looked up")


def _vulnerabilities_of(answer: Mapping[str, Any], ignored: Mapping[str, str]) -> Iterator[str]:
    for found in answer.get("vulns", ()):
        if not {found["id"], *found.get("aliases", ())} & set(ignored):
            mended = ", ".join(found.get("fix_versions", ())) or "no version"
            yield f"{answer['name']} {answer['version']} has {found['id']}; mended in {mended}"


def _export(*flags: str) -> str:
    command: list[str | Path] = [_UV, "export", "--quiet", "--frozen", "--all-extras", "--no-emit-project", *flags]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout


def _licence_of(component: Mapping[str, Any], stated: Mapping[str, str]) -> str | None:
    """Return the licence of a package as an SPDX expression: as it is stated for it, else as it says itself."""
    name = component["name"]
    try:
        said = metadata(name)
    except PackageNotFoundError:
        return None
    return stated.get(name) or next(filter(None, map(_parsed, _sayings_of(said))), None)


def _sayings_of(said: PackageMetadata) -> Iterator[str]:
    """Yield what a package says of its licence, the surest first: https://peps.python.org/pep-0639/."""
    for name in ("License-Expression", "License"):
        if name in said:
            yield said[name]
    known = [_CLASSIFIERS[each] for each in said.get_all("Classifier") or () if each in _CLASSIFIERS]
    if len(known) == 1:
        yield known[0]


def _parsed(text: str) -> str | None:
    try:
        expression = _SPDX.parse(text, validate=True, strict=True)
    except ExpressionError:
        return None
    return None if expression is None else str(expression)


def _is_for_this_platform(component: Mapping[str, Any]) -> bool:
    markers = [each["value"] for each in component.get("properties", ()) if each["name"] == _MARKER]
    return all(Marker(marker).evaluate() for marker in markers)


if __name__ == "__main__":
    sys.exit(main())
