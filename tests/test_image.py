"""The Dockerfile, as far as it can be held without a daemon; docs/image.md tells what to look at in an image."""

from __future__ import annotations

import importlib.util
import json
import re
import shlex
import tomllib
from fnmatch import fnmatch
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from extproc.config.address import parse_address, parse_host_port
from extproc.config.settings import Settings

ROOT = Path(__file__).resolve().parent.parent
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
STATED = PYPROJECT["tool"]["audit"]["licences"]
LOCK = tomllib.loads((ROOT / "uv.lock").read_text())
POD = next(yaml.safe_load_all((ROOT / "k8s" / "base" / "deployment.yaml").read_text()))["spec"]["template"]["spec"]


def read_instructions() -> list[tuple[str, str]]:
    """Return the instructions of the Dockerfile, each on one line."""
    lines = [line for line in (ROOT / "Dockerfile").read_text().splitlines() if not line.startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    return [(word, rest) for word, _, rest in (line.partition(" ") for line in joined.splitlines() if line)]


INSTRUCTIONS = read_instructions()
STAGES = [index for index, (word, _) in enumerate(INSTRUCTIONS) if word == "FROM"]
BUILD, FINAL = INSTRUCTIONS[STAGES[0] : STAGES[1]], INSTRUCTIONS[STAGES[1] :]


def of(word: str, stage: list[tuple[str, str]]) -> list[str]:
    """Return what the instructions of that name say."""
    return [rest for each, rest in stage if each == word]


def copied(stage: list[tuple[str, str]]) -> list[str]:
    """Return what a stage takes from the source tree."""
    return [path for rest in of("COPY", stage) if not rest.startswith("--from") for path in rest.split()[:-1]]


def test_what_is_copied_is_there_and_may_be_seen() -> None:
    """And .dockerignore lets nothing else be seen."""
    seen = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    assert copied(FINAL) == []
    assert sorted(copied(BUILD)) == sorted(seen)
    assert all((ROOT / path).exists() for path in seen)


def test_the_wheel_finds_all_it_is_made_of() -> None:
    """What pyproject.toml names for it is copied."""
    wheel = PYPROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]
    project = PYPROJECT["project"]
    named = [*wheel["packages"], *wheel["force-include"], project["readme"], *project["license-files"]]
    assert set(named) <= set(copied(BUILD))


def test_everything_is_installed_from_the_lock_with_its_hash() -> None:
    """But for uv, which pip brings; and every extra that serves is there, and none that does not."""
    (export,) = [command for command in of("RUN", BUILD) if "--output-file locked.txt" in command]
    extras = set(re.findall(r"--extra (\w+)", export))
    assert extras == set(PYPROJECT["project"]["optional-dependencies"]) - {"demo"}
    assert "--frozen" in export
    assert "--no-dev" in export
    assert "uv pip sync --quiet --python /opt/extproc --no-build --require-hashes locked.txt" in export
    installs = [part for command in of("RUN", BUILD) for part in command.split("&&") if re.search(r"\binstall\b", part)]
    assert [shlex.split(part)[-1] for part in installs] == ["uv==${UV_VERSION}", "ai-gateway-extproc"]
    assert "--no-deps --no-index" in installs[1]
    (build,) = [part for command in of("RUN", BUILD) for part in command.split("&&") if "uv build" in part]
    assert "--require-hashes --build-constraints locked-dev.txt" in build


def test_uv_is_the_one_that_make_brings() -> None:
    """One version, in two places."""
    (version,) = re.findall(r"^UV_VERSION := (\S+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert f"UV_VERSION={version}" in of("ARG", BUILD)


def test_both_stages_stand_on_the_same_base_with_the_same_time() -> None:
    """An environment belongs to the Python that it was made with."""
    assert [rest.partition(" ")[0] for rest in of("FROM", INSTRUCTIONS)] == ["${PYTHON_IMAGE}"] * 2
    bases = {rest for rest in of("ARG", INSTRUCTIONS) if rest.startswith("PYTHON_IMAGE=")}
    times = [rest for rest in of("ARG", INSTRUCTIONS) if rest.startswith("SOURCE_DATE_EPOCH=")]
    assert len(bases) == 1
    assert len(times) == 2
    assert len(set(times)) == 1


def test_user_ports_and_command_are_those_of_the_pod() -> None:
    """And of the settings, where nobody changes them."""
    (sidecar,) = POD["initContainers"]
    ids = POD["securityContext"]
    assert of("USER", FINAL) == [f"{ids['runAsUser']}:{ids['runAsGroup']}"]
    listen, admin = parse_address(Settings().listen), parse_host_port(Settings().admin_listen)
    assert of("EXPOSE", FINAL) == [f"{listen.port} {admin.port}"]  # type: ignore[union-attr]  # no socket by default
    assert [port["containerPort"] for port in sidecar["ports"]] == [admin.port]
    (socket,) = [each["mountPath"] for each in sidecar["volumeMounts"] if each["name"] == "extproc-socket"]
    assert f"install -d -o {ids['runAsUser']} -g {ids['runAsGroup']} -m 2770 {socket} " in of("RUN", FINAL)[0]
    assert of("ENTRYPOINT", FINAL) == ['["extproc"]']
    assert "command" not in sidecar
    assert of("CMD", FINAL) == [json.dumps(sidecar["args"][:1])]


def test_health_is_asked_without_a_shell_by_what_is_installed() -> None:
    """The module is ours, and the interpreter that of the image's environment."""
    (check,) = of("HEALTHCHECK", FINAL)
    command = json.loads(check.partition(" CMD ")[2])
    assert command == ["/opt/extproc/bin/python", "-P", "-m", "extproc.probe"]
    assert importlib.util.find_spec(command[-1]) is not None


def test_the_final_stage_ends_as_nobody_and_brings_nothing_from_the_network() -> None:
    """What stands behind USER changes no file; nothing is fetched, and nothing is added by ADD."""
    words = [word for word, _ in FINAL]
    assert "RUN" not in words[words.index("USER") :]
    assert "COPY" not in words[words.index("USER") :]
    assert "ADD" not in [word for word, _ in INSTRUCTIONS]
    runs = " ".join(of("RUN", FINAL))
    assert not any(fnmatch(word, pattern) for word in runs.split() for pattern in ("uv", "apt*", "curl", "wget"))
    assert "pip uninstall" in runs


@pytest.fixture(name="tool", scope="module")
def _tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("write_image_bill", ROOT / "tools" / "write_image_bill.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


STATUS = """\
Package: libc6
Status: install ok installed
Architecture: amd64
Version: 2.36-9+deb12u14
Description: a library
 of two lines: this one is no field

Package: gone
Status: deinstall ok config-files
Architecture: amd64
Version: 1:2
"""


@pytest.fixture(name="bill", scope="module")
def _bill(tool: ModuleType) -> dict[str, Any]:
    """The bill of this very environment."""
    bill: dict[str, Any] = tool.build_bill(LOCK, STATED, STATUS)
    return bill


def test_the_bill_of_the_image_is_what_cyclonedx_says(tool: ModuleType, bill: dict[str, Any]) -> None:
    """By its published schema; and the same each time."""
    assert JsonStrictValidator(SchemaVersion.V1_5).validate_str(json.dumps(bill)) is None
    assert bill == tool.build_bill(LOCK, STATED, STATUS)


def test_the_bill_names_what_is_installed_with_licence_and_hashes(bill: dict[str, Any]) -> None:
    """Of Python and of Debian; what a Debian has left of a package is not there."""
    components = {component["name"]: component for component in bill["components"]}
    assert "ai-gateway-extproc" not in components
    assert components["libc6"]["purl"] == "pkg:deb/debian/libc6@2.36-9%2Bdeb12u14?arch=amd64"
    assert "gone" not in components
    assert components["protobuf"]["licenses"] == [{"expression": "BSD-3-Clause"}]
    locked = {package["name"]: package for package in LOCK["package"]}
    for name in ("grpcio", "prometheus-client", "backports-zstd"):
        package = locked[name]
        assert components[name]["version"] == package["version"]
        hashes = {file["hashes"][0]["content"] for file in components[name]["externalReferences"]}
        assert hashes == {file["hash"].removeprefix("sha256:") for file in package["wheels"]}
    direct = [re.split(r"[<>=;\[]", line)[0].replace(".", "-") for line in PYPROJECT["project"]["dependencies"]]
    assert all(components[name].get("licenses") for name in direct if name in components)


def test_the_page_tells_what_there_is() -> None:
    """Every argument of the build that one may set, and where the bill is."""
    page = (ROOT / "docs" / "image.md").read_text()
    arguments = {rest.partition("=")[0] for rest in of("ARG", INSTRUCTIONS)}
    table = page.partition("| build argument |")[2].partition("\n\n")[0]
    assert {name for row in table.splitlines()[2:] for name in re.findall(r"`(\w+)`", row.split("|")[1])} == arguments
    (bill,) = re.findall(r"--output (/usr/share/sbom/\S+)", " ".join(of("RUN", BUILD)))
    assert f"`{bill}`" in page
    assert f"user and group {of('USER', FINAL)[0].partition(':')[0]}" in page
