from __future__ import annotations

import json
import os
import pty
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from support.captures import CHUNK, COUNTS, SECRET, entry, events, har, write_folder
from support.exchanges import load_case
from support.sidecar import command, inherited_environ, run

from extproc.config.settings import Settings
from extproc.errors import SettingsError
from extproc.providers.detect import Detector
from extproc.readers import Limits
from extproc.replay.capture import Capture, Source
from extproc.replay.play import Observer, Split
from extproc.replay.run import Options, Player, find_sources, replay

FIXTURES = Path(__file__).resolve().parent.parent / "fixtures"


def told(*arguments: str) -> tuple[int, list[dict[str, Any]]]:
    """Return the exit code of `extproc replay --json`, and what it wrote."""
    ended = run("replay", "--json", *arguments)
    assert ended.stderr == ""
    return ended.returncode, [json.loads(line) for line in ended.stdout.splitlines()]


def test_the_projects_own_fixtures_are_as_expected(tmp_path: Path) -> None:
    """Every one of them, for a person to see; an answer that is described in words stands there in bytes."""
    folders = shutil.copytree(FIXTURES, tmp_path / "fixtures")
    for case in folders.rglob("case.json"):
        (case.parent / "response.body").write_bytes(load_case(case.parent).response)
    ended = run("replay", str(folders), "--check", "--split", "lines")
    assert (ended.returncode, ended.stderr) == (0, "")
    count = len(list(FIXTURES.rglob("case.json")))
    assert f"\n{count} exchanges, " in ended.stdout
    assert ended.stdout.endswith(" checked: every count is right.\n")
    assert "(stream_options.include_usage: true)" in ended.stdout


def test_costs_are_shown_with_their_arithmetic(tmp_path: Path) -> None:
    """By the prices of the settings, or by those of the package."""
    write_folder(tmp_path / "a")
    own = tmp_path / "prices.yaml"
    own.write_text("prices: {models: [{model: '*', input: 1000, output: 10000}]}")
    ended = run("replay", str(tmp_path / "a"), "--costs", "--config", str(own))
    assert "21 input x $1000.00/M + 6 output x $10000.00/M = $0.081 (prices.models[0])" in ended.stdout
    assert "$0.081000 in all" in ended.stdout
    assert "input x" not in run("replay", str(tmp_path / "a")).stdout
    assert " in genai-prices " in run("replay", str(tmp_path / "a"), "--json").stdout
    own.write_text("prices: {enabled: false}")
    assert "cost" not in run("replay", str(tmp_path / "a"), "--json", "--config", str(own)).stdout


def test_a_har_is_played(tmp_path: Path) -> None:
    """Each entry by itself, a broken one in its place."""
    path = tmp_path / "x.har"
    path.write_bytes(har(entry(), {"request": SECRET}, entry(status=401)))
    code, (counted, broken, refused) = told(str(path))
    assert code == 1
    assert counted["metadata"]["ai.gateway"].items() >= COUNTS.items()
    assert counted["metadata"]["envoy.ratelimit"] == {"hits_addend": 27}
    assert (counted["completion"], counted["explanation"]) == ("complete", None)
    assert broken == {
        "name": "entries[1]",
        "failure": "request: input should be an object",
    }
    assert refused["completion"] == "error"


@pytest.mark.parametrize("flags", [[], ["--json"], ["--check"], ["--json", "--check"]])
def test_nothing_of_the_traffic_is_told(tmp_path: Path, flags: list[str]) -> None:
    """No body, header value, credential or query, whatever is wrong with it."""
    stream = events(CHUNK, {"error": {"message": SECRET}})
    write_folder(tmp_path / "a" / "x", response=stream, response_content_type="text/event-stream", usage=COUNTS)
    write_folder(tmp_path / "a" / "y", response=SECRET.encode(), response_content_encoding=SECRET + "!", usage=COUNTS)
    write_folder(tmp_path / "a" / "z", status=SECRET)
    (tmp_path / "x.har").write_bytes(har(entry(), entry(response=SECRET), {"request": SECRET}))
    for path in ("a", "x.har"):
        ended = run("replay", str(tmp_path / path), *flags)
        assert "entries[0]" in ended.stdout or "x" in ended.stdout
        assert SECRET not in ended.stdout + ended.stderr


def test_counts_that_differ_are_named(tmp_path: Path) -> None:
    """With exit code 1; without --check nothing is compared."""
    write_folder(tmp_path / "x", usage=COUNTS | {"prompt_tokens": 22})
    code, (one,) = told(str(tmp_path), "--check")
    assert (code, one["differences"]) == (1, [{"field": "prompt_tokens", "expected": 22, "counted": 21}])
    code, (one,) = told(str(tmp_path))
    assert (code, "differences" in one) == (0, False)


def test_a_check_that_compares_nothing_is_a_mistake(tmp_path: Path) -> None:
    """A HAR, for one, says nothing of what to expect."""
    (tmp_path / "x.har").write_bytes(har(entry()))
    ended = run("replay", "--check", str(tmp_path / "x.har"))
    assert ended.returncode == 2
    (line,) = ended.stderr.splitlines()
    assert line.startswith("extproc: --check: nothing in ")


def test_settings_are_those_of_the_sidecar(tmp_path: Path) -> None:
    """From a file, and from the environment."""
    write_folder(tmp_path / "x", request={"model": "gpt-4o", "messages": ["x"] * 600})
    (tmp_path / "settings.yaml").write_text("max_body_bytes: 1024\n")
    _, (one,) = told(str(tmp_path / "x"), "--config", str(tmp_path / "settings.yaml"))
    assert one["explanation"] == "the request is more than max_body_bytes (1024) lets in: raise that setting"
    ended = run("replay", "--json", str(tmp_path / "x"), environ={"EXTPROC_METADATA_NAMESPACES": "mine"})
    assert set(json.loads(ended.stdout)["metadata"]) == {"mine", "envoy.ratelimit"}


def test_progress_is_shown_on_a_terminal_alone(tmp_path: Path) -> None:
    """On stderr, and what is told stays clean."""
    write_folder(tmp_path / "x")
    primary, secondary = pty.openpty()
    with os.fdopen(primary, "rb", buffering=0) as screen:
        ended = subprocess.run(
            command("replay", "--json", str(tmp_path)),
            stdout=subprocess.PIPE,
            stderr=secondary,
            check=True,
            timeout=60,
            env=inherited_environ(TERM="xterm", COLUMNS="80"),
        )
        os.close(secondary)
        assert b"Replaying" in screen.read(1000)
    assert json.loads(ended.stdout)["name"] == "x"


def test_a_reader_that_leaves_is_no_error(tmp_path: Path) -> None:
    """As with `| head -1`: no traceback, and the rest is not played."""
    (tmp_path / "x.har").write_bytes(har(*[entry()] * 500))
    with subprocess.Popen(
        command("replay", "--json", str(tmp_path / "x.har")),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=inherited_environ(),
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(60) == 1


def test_a_name_that_the_terminal_does_not_know_is_printed_all_the_same(tmp_path: Path) -> None:
    """As far as it can be."""
    write_folder(tmp_path / "é", request={"model": "gpt-é", "messages": []})
    ended = run("replay", str(tmp_path), environ={"PYTHONIOENCODING": "ascii"})
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.splitlines()[1].split()[:3] == ["?", "openai", "gpt-?"]


def test_a_bug_costs_one_exchange() -> None:
    """And its text, which may repeat traffic, is not told."""

    def fail() -> Capture:
        raise ZeroDivisionError(SECRET)

    outcome = Player(Observer(Limits(), Detector()), Split(), is_checking=False).play(Source("x", fail))
    assert outcome.failure == "a bug in extproc: ZeroDivisionError"


def test_a_path_without_captures_is_a_mistake(tmp_path: Path) -> None:
    """With what is expected."""
    with pytest.raises(SettingsError, match="holds no captured exchange; it has to be a HAR file, or a folder"):
        find_sources(tmp_path)
    for content, said in ((b"{}", "is no HAR file"), (b"x", "is not JSON"), (har(entry())[:99], "stops in the middle")):
        (tmp_path / "x.har").write_bytes(content)
        with pytest.raises(SettingsError, match=f"x.har {said}; it has to be a HAR file, or a folder"):
            find_sources(tmp_path / "x.har")
    with pytest.raises(SettingsError, match=r"^--split"):
        replay(tmp_path, Settings(), Observer(Limits(), Detector()), Options(split="half"))
