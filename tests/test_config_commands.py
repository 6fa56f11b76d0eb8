"""The commands of `extproc config`, as a person or a pipeline runs them."""

from __future__ import annotations

import json
from pathlib import Path

import yaml
from support.sidecar import run

from extproc.config.schema import render_schema
from extproc.config.settings import Settings

BROKEN = """\
# Eight mistakes, each of another kind.
listn: unix:/run/extproc.sock
log_level: loud
drain_seconds: 30
admin_listen: 9092
drain_seconds: 60
detection_rules:
  - authority: llm.internal
    flavour: openai_chatt
telemetry:
  exporters:
    otlp:
      - host: tempo
        port: 4317
      - name: cloud
        host: otlp.example.com
        headers: {authorization: "Bearer\\tsecret"}
  overrides:
    - path: /v1/chat
      exporters_override: {trace_exporters: [clowd]}
"""


def test_eight_mistakes_are_said_in_one_go(tmp_path: Path) -> None:
    """Each with its line, its path and what was meant; and no value of a header."""
    file = tmp_path / "broken.yaml"
    file.write_text(BROKEN)
    ended = run("config", "check", str(file))
    assert (ended.returncode, ended.stdout) == (2, "")
    *lines, summary = ended.stderr.replace(f"{tmp_path}/", "").splitlines()
    assert [line.partition(" There are ")[0] for line in lines] == [
        "broken.yaml:2: listn: no such setting; did you mean listen?",
        "broken.yaml:3: log_level: input should be 'debug', 'info', 'warning' or 'error', not 'loud'",
        "broken.yaml:5: admin_listen: a text is expected, not 9092",
        "broken.yaml:6: drain_seconds: it is there twice; the first is in line 4",
        "broken.yaml:9: detection_rules[0].flavour: 'openai_chatt' is no flavour; did you mean openai_chat?",
        "broken.yaml:13: telemetry.exporters.otlp[0].name: it is missing",
        (
            "broken.yaml:17: telemetry.exporters.otlp[1].headers: "
            "the value of authorization has to be printable ASCII, without white space around it"
        ),
        (
            "broken.yaml:20: telemetry.overrides[0].exporters_override.trace_exporters[0]: "
            "'clowd' is no name of an OTLP exporter; did you mean cloud?"
        ),
    ]
    assert summary == "8 mistakes in broken.yaml"


def test_files_that_are_fine_are_said_so_with_what_does_not_apply(tmp_path: Path) -> None:
    """Several are checked together, whoever's they are."""
    ours, krakend = tmp_path / "ours.yaml", tmp_path / "krakend.json"
    ours.write_text("telemetry: {overrides: [{exporters_override: {trace_exporters: [a]}}]}")
    krakend.write_text(
        '{"extra_config": {"telemetry/opentelemetry": {"exporters": {"otlp": [{"name": "a", "host": "x"}]}}},\n'
        ' "port": 8080}'
    )
    ended = run("config", "check", str(krakend), str(ours))
    assert (ended.returncode, ended.stdout) == (0, f"{krakend}, {ours}: fine, with 1 warning\n")
    assert ended.stderr == f"{krakend}:2: port: not used here: routes, ports and the like are Envoy's\n"
    alone = run("config", "check", str(ours))
    assert (alone.returncode, alone.stdout) == (2, "")
    assert alone.stderr.endswith(f"1 mistake in {ours}\n")


def test_a_file_is_checked_for_another_machine_unless_this_one_is_meant(tmp_path: Path) -> None:
    """A pipeline has neither the variables nor the certificates of where it will be used."""
    file = tmp_path / "extproc.yaml"
    file.write_text("telemetry: {exporters: {otlp: [{name: a, host: x, tls: {ca_file: /no/such/file}}]}}")
    environ = {"EXTPROC_WORKERS": "0"}
    elsewhere = run("config", "check", str(file), environ=environ)
    assert (elsewhere.returncode, elsewhere.stdout, elsewhere.stderr) == (0, f"{file}: fine\n", "")
    here = run("config", "check", "--with-environment", str(file), environ=environ)
    assert here.returncode == 2
    assert here.stderr.splitlines() == [
        (f"{file}:1: telemetry.exporters.otlp[0].tls.ca_file: cannot read '/no/such/file': No such file or directory"),
        "EXTPROC_WORKERS: input should be greater than or equal to 1, not '0'",
        f"2 mistakes in {file}",
    ]


def test_a_file_that_is_not_there_is_a_mistake() -> None:
    """It would be at the start."""
    ended = run("config", "check", "/no/such/file")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.startswith("/no/such/file: cannot read it: No such file or directory\n")


def test_the_schema_is_printed() -> None:
    """As it is committed."""
    ended = run("config", "schema")
    assert (ended.returncode, ended.stderr, ended.stdout) == (0, "", render_schema())


def test_the_settings_in_effect_are_shown(tmp_path: Path) -> None:
    """From files, variables and flags, as serve takes them; all of them, or what somebody has set."""
    file = tmp_path / "extproc.yaml"
    file.write_text("log_level: error\nlisten: unix:/x.sock\nusage_log: stdout\n")
    flags = ("--config", str(file), "--listen", "unix:/y.sock")
    environ = {"EXTPROC_LOG_LEVEL": "debug", "EXTPROC_LISTN": "x", "EXTPROC_ENGINE": ""}
    whole, changed = (run("config", "show", *flags, *more, environ=environ) for more in ((), ("--changed",)))
    for ended in (whole, changed):
        assert (ended.returncode, ended.stderr) == (0, "EXTPROC_LISTN: no such setting\n")
    lines = changed.stdout.splitlines()
    assert lines == [
        "listen: unix:/y.sock  # --listen",
        "log_level: debug  # EXTPROC_LOG_LEVEL",
        f"usage_log: stdout  # {file}:3",
    ]
    assert set(lines) < set(whole.stdout.splitlines())
    assert set(yaml.safe_load(whole.stdout)) == set(Settings.model_fields)


def test_the_settings_in_effect_are_shown_to_programs(tmp_path: Path) -> None:
    """The same as JSON."""
    file = tmp_path / "extproc.yaml"
    file.write_text("\nworkers: 2\n")
    ended = run("config", "show", "--json", "--changed", "--config", str(file), environ={"EXTPROC_ENGINE": ""})
    assert json.loads(ended.stdout) == [{"path": "workers", "value": 2, "source": f"{file}:2"}]


def test_settings_that_cannot_work_are_not_shown(tmp_path: Path) -> None:
    """But what is wrong with them, as serve says it."""
    file = tmp_path / "extproc.yaml"
    file.write_text("workers: 0\n")
    shown, served = (run(*command, "--config", str(file)) for command in (("config", "show"), ("serve",)))
    assert (shown.returncode, shown.stdout) == (2, "")
    assert shown.stderr == served.stderr
    assert shown.stderr.startswith(f"extproc: {file}:1: workers: ")


def test_mistakes_that_are_only_counted_count(tmp_path: Path) -> None:
    """There is an end to lines, and not to mistakes."""
    file = tmp_path / "many.yaml"
    file.write_text("".join(f"x{number}: 1\n" for number in range(1200)))
    assert run("config", "check", str(file)).stderr.splitlines()[-2:] == ["and 200 more", f"1200 mistakes in {file}"]
