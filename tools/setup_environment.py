#!/usr/bin/env python3
"""Make the virtual environment of a bare clone; the work behind `make setup`.

Needs Python 3.11 with the venv module and a package index, nothing else. The index is the one pip is configured for:
uv does not read pip's configuration, so it is handed on. The lock names versions and hashes; where the files come from
is the machine's business, so they are installed by name from its index and checked against the hashes.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import venv
from pathlib import Path

MINIMUM = (3, 11)


def main() -> None:
    """Set up the environment, or say in one line why that can't be done."""
    parser = argparse.ArgumentParser(description="Make the virtual environment of a bare clone.")
    parser.add_argument("--venv", type=Path, default=Path(".venv"))
    parser.add_argument("--uv", required=True, help="the version of uv to bring")
    parser.add_argument("--group", action="append", default=[], help="a dependency group to install as well")
    parser.add_argument("--only-group", help="a dependency group to install in the place of everything else")
    options = parser.parse_args()
    if sys.version_info < MINIMUM:
        sys.exit(f"setup: Python {'.'.join(map(str, MINIMUM))} or newer is needed, this is {sys.version.split()[0]}")
    python = options.venv / "bin" / "python"
    if not python.exists():
        create(options.venv)
    uv = options.venv / "bin" / "uv"
    if not uv.exists() or options.uv not in output(uv, "--version"):
        run(python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", f"uv=={options.uv}")
    environment = uv_environment(python, options.venv)
    locked = options.venv / "locked.txt"
    groups = ["--all-extras", *(f"--group={group}" for group in options.group)]
    if options.only_group:
        groups = [f"--only-group={options.only_group}"]
    run(uv, "export", "--quiet", "--frozen", "--no-emit-project", *groups, "--output-file", locked, env=environment)
    common = ("--quiet", "--compile-bytecode")
    run(uv, "pip", "sync", *common, "--require-hashes", locked, env=environment)
    if options.only_group:
        return
    run(uv, "pip", "install", *common, "--no-deps", "--editable", ".", env=environment)
    run(python, "-m", "compileall", "-q", "extproc")


def create(directory: Path) -> None:
    """Make the virtual environment with pip in it."""
    print(f"setup: {directory} with Python {sys.version.split()[0]}", flush=True)
    try:
        venv.EnvBuilder(with_pip=True, symlinks=True).create(directory)
    except (subprocess.CalledProcessError, ImportError):
        sys.exit("setup: this Python has no ensurepip; install it (on Debian and Ubuntu: apt install python3-venv)")


def uv_environment(python: Path, directory: Path) -> dict[str, str]:
    """Return the environment for uv: our interpreter, no downloads of others, the index pip is configured for."""
    environment = os.environ | {"VIRTUAL_ENV": str(directory.resolve()), "UV_PYTHON_DOWNLOADS": "never"}
    if not any(name in environment for name in ("UV_DEFAULT_INDEX", "UV_INDEX_URL")):
        index = pip_setting(python, "index-url")
        if index:
            environment["UV_DEFAULT_INDEX"] = index
    certificates = pip_setting(python, "cert")
    if certificates and "SSL_CERT_FILE" not in environment:
        environment["SSL_CERT_FILE"] = certificates
    return environment


def pip_setting(python: Path, name: str) -> str:
    """Return a setting of pip's, from its variable or its files; empty if it has none."""
    variable = os.environ.get(f"PIP_{name.upper().replace('-', '_')}")
    if variable:
        return variable
    for section in ("install", "global"):
        answer = subprocess.run(
            [python, "-m", "pip", "config", "get", f"{section}.{name}"], capture_output=True, text=True, check=False
        )
        if answer.returncode == 0:
            return answer.stdout.strip()
    return ""


def output(*command: str | Path) -> str:
    """Return what a command prints."""
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def run(*command: str | Path, env: dict[str, str] | None = None) -> None:
    """Run a command; if it fails, leave with its exit code, having let it say why."""
    code = subprocess.run(command, env=env, check=False).returncode
    if code:
        sys.exit(f"setup: `{' '.join(map(str, command))}` failed with exit code {code}")


if __name__ == "__main__":
    main()
