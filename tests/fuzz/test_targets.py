from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest
from fuzz.choices import Choices
from fuzz.mutating import mutate_json
from fuzz.targets import FINDINGS, NAMES, findings_of, load


@pytest.mark.parametrize("name", NAMES)
def test_what_a_target_begins_with_shows_nothing(name: str) -> None:
    """What its check says holds of its seeds: else each run of the fuzzer would begin with a finding."""
    target = load(name)
    for seed in target.seeds():
        assert len(seed) <= target.max_input_bytes
        target.check(seed)


@pytest.mark.parametrize("path", [path for name in NAMES for path in findings_of(name)], ids=lambda path: path.name)
def test_what_was_found_once_is_mended(path: Path) -> None:
    """Each of these inputs showed a bug."""
    load(path.parent.name).check(path.read_bytes())


def test_findings_are_of_targets() -> None:
    """Those of a target that has another name now would never be tried again."""
    assert {path.name for path in FINDINGS.iterdir()} <= set(NAMES)


def test_any_bytes_are_choices() -> None:
    """Also too few of them: then everything is the first option."""
    choices = Choices(b"\x05\x03abc")
    assert (choices.one_of("xyz"), choices.flag(), choices.bytes_of(2), choices.rest()) == ("z", True, b"ab", b"c")
    assert (choices.number(), choices.rarely(), choices.cuts(2), choices.rest()) == (0, False, [0.0, 0.0], b"")


def test_a_document_is_changed_and_stays_one() -> None:
    """Most changes of bytes would only make it unreadable."""
    data = b'\x01{"a": [1, {"b": "c"}]}\nrest'
    changed = [mutate_json(data, 500, seed, lambda same, _: same, ("n",)) for seed in range(50)]
    for each in changed:
        head, _, rest = each.partition(b"\n")
        assert (head[:1], rest) == (b"\x01", b"rest")
        json.loads(head[1:])
    assert len(set(changed)) > 10


@pytest.mark.skipif(importlib.util.find_spec("atheris") is None, reason="no fuzzer is installed: `make fuzz` does it")
def test_a_run_of_the_fuzzer_ends_with_a_table(tmp_path: Path) -> None:
    """In which what it did stands, and no finding."""
    command = [sys.executable, "-m", "fuzz", "--seconds", "2", "--folder", str(tmp_path), "sse"]
    root = Path(__file__).resolve().parents[2]
    environ = {"PYTHONPATH": "tests", "PATH": ""}
    done = subprocess.run(command, cwd=root, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    name, executions, *_, findings = done.stdout.splitlines()[-1].split()
    assert (name, findings) == ("sse", "0")
    assert int(executions.replace(",", "")) > 0
