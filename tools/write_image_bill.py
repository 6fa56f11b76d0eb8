#!/usr/bin/env python3
"""Write the bill of materials of the image, CycloneDX 1.5: what is installed, not what could be.

Run in the image by the interpreter of the sidecar, with nothing but Python's own library: its packages with the hashes
that the lock has for them, Python itself, and the packages of a Debian below it. The same bytes for the same image.
`make audit` writes the bill of the lock.
"""

from __future__ import annotations

import argparse
import json
import platform
import tomllib
from collections.abc import Iterator, Mapping
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import Any
from urllib.parse import quote

Component = dict[str, Any]

# The project's own package: what the bill is of, and no part of it.
PROJECT = "ai-gateway-extproc"

_DPKG_STATUS = Path("/var/lib/dpkg/status")


def main() -> None:
    """Write the bill of the running system."""
    parser = argparse.ArgumentParser(description="Write the bill of materials of the image.")
    parser.add_argument("--lock", type=Path, required=True, help="uv.lock")
    parser.add_argument("--project", type=Path, required=True, help="pyproject.toml")
    parser.add_argument("--dpkg-status", type=Path, default=_DPKG_STATUS, help="what Debian has installed")
    parser.add_argument("--output", type=Path, required=True, help="where the bill goes")
    options = parser.parse_args()
    lock = tomllib.loads(options.lock.read_text())
    stated = tomllib.loads(options.project.read_text())["tool"]["audit"]["licences"]
    status = options.dpkg_status.read_text() if options.dpkg_status.exists() else ""
    bill = build_bill(lock, stated, status)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(bill, indent=1, sort_keys=True) + "\n")
    print(f"bill of materials: {len(bill['components'])} components in {options.output}")


def build_bill(lock: Mapping[str, Any], stated: Mapping[str, str], status: str) -> dict[str, Any]:
    """Return the bill, in one order."""
    locked = {package["name"]: package for package in lock["package"]}
    installed = {_normalised(each.name): each for each in distributions()}
    own = installed.pop(PROJECT)
    python = {"type": "platform", "name": "python", "version": platform.python_version(), "bom-ref": "python"}
    packages = [_python_package(name, each, locked, stated) for name, each in sorted(installed.items())]
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {
            "component": {
                "type": "container",
                "name": PROJECT,
                "version": own.version,
                "bom-ref": PROJECT,
                "licenses": [{"license": {"id": "Apache-2.0"}}],
            }
        },
        "components": [python, *packages, *_debian_packages(status)],
    }


def _python_package(
    name: str, installed: Distribution, locked: Mapping[str, Any], stated: Mapping[str, str]
) -> Component:
    """Return a package as it says itself, with the files that the lock allows for it."""
    purl = f"pkg:pypi/{name}@{installed.version}"
    component = {"type": "library", "name": name, "version": installed.version, "purl": purl, "bom-ref": purl}
    licence = _licence_of(name, installed, stated)
    files = [
        {"type": "distribution", "url": file["url"], "hashes": [{"alg": "SHA-256", "content": file["hash"][7:]}]}
        for file in locked.get(name, {}).get("wheels", ())
    ]
    return component | ({"licenses": [licence]} if licence else {}) | ({"externalReferences": files} if files else {})


def _licence_of(name: str, installed: Distribution, stated: Mapping[str, str]) -> Component | None:
    expression = stated.get(name) or installed.metadata["License-Expression"]
    if expression:
        return {"expression": expression}
    said = (installed.metadata["License"] or "").strip()
    classified = [
        each.rpartition(" :: ")[2]
        for each in installed.metadata.get_all("Classifier") or ()
        if each.startswith("License :: ")
    ]
    # Some put the whole text of their licence where its name belongs.
    named = said if said and "\n" not in said else next(iter(classified), None)
    return {"license": {"name": named}} if named else None


def _debian_packages(status: str) -> Iterator[Component]:
    """Yield what dpkg says is installed: https://manpages.debian.org/deb822."""
    for paragraph in status.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in paragraph.splitlines() if ": " in line and line[0] != " ")
        if fields.get("Status") != "install ok installed":
            continue
        name, version = fields["Package"], fields["Version"]
        purl = f"pkg:deb/debian/{name}@{quote(version, safe='')}?arch={fields['Architecture']}"
        yield {"type": "library", "name": name, "version": version, "purl": purl, "bom-ref": purl}


def _normalised(name: str) -> str:
    """Return the name of a package as indexes and the lock have it."""
    return name.lower().replace("_", "-").replace(".", "-")


if __name__ == "__main__":
    main()
