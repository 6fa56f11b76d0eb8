"""Each file under envoy/: valid to the real Envoy, and in use by a test."""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import trustme
import yaml

from extproc.demo.stack import find_envoy
from extproc.headers import REQUEST_HEADERS, RESPONSE_HEADERS
from extproc.semconv import DEFAULT_NAMESPACES

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted((ROOT / "envoy").glob("*.yaml"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_the_real_envoy_takes_the_file_as_it_is(file: Path, tmp_path: Path) -> None:
    """But for where this machine keeps its certificates."""
    store = tmp_path / "ca.pem"
    trustme.CA().cert_pem.write_to_path(store)
    text = file.read_text().replace("/etc/ssl/certs/ca-certificates.crt", str(store))
    copy = tmp_path / file.name
    copy.write_text(text)
    command = [find_envoy(), "--mode", "validate", "-c", str(copy), "-l", "error"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert "OK" in ended.stdout + ended.stderr


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_the_file_is_used_by_a_test(file: Path) -> None:
    """The bootstrap of all of them here is envoy.yaml; any other is named where it is used."""
    used = "\n".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    assert file.name == "envoy.yaml" or file.name in used


def test_envoy_forwards_all_that_is_read_and_keeps_all_that_is_written() -> None:
    """A header that is not forwarded, or a namespace that is not received, is lost without a word."""
    text = (ROOT / "envoy" / "envoy.yaml").read_text()
    document = yaml.safe_load(text)
    manager = document["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]
    ext_proc = manager["http_filters"][0]["typed_config"]
    forwarded = {pattern["exact"] for pattern in ext_proc["forward_rules"]["allowed_headers"]["patterns"]}
    assert forwarded == REQUEST_HEADERS | RESPONSE_HEADERS
    received = ext_proc["metadata_options"]["receiving_namespaces"]["untyped"]
    assert received == [*DEFAULT_NAMESPACES, "envoy.ratelimit"]


def test_no_query_reaches_the_access_log() -> None:
    """Gemini's clients may send their key in it."""
    text = (ROOT / "envoy" / "envoy.yaml").read_text()
    assert "%PATH(NQ)%" in text
    assert not re.search(r"%REQ\(:PATH|%PATH\(WQ|%REQ\(X-ENVOY-ORIGINAL-PATH", text)


def test_the_wheel_brings_the_files_along(tmp_path: Path) -> None:
    """So that the demo of an installed package starts the same Envoy."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        assert [archive.read(f"extproc/_envoy/{file.name}") for file in FILES] == [file.read_bytes() for file in FILES]
        assert "extproc/py.typed" in archive.namelist()
