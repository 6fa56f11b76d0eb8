from __future__ import annotations

import socket
from pathlib import Path

import pytest
import yaml
from support.sidecar import Sidecar, run

from extproc import __version__


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["serve", "--listen", "nowhere"], "--listen: 'nowhere' is no address: use unix:/path, unix-abstract:name or"),
        (["serve", "--admin-listen", "unix:/x"], "--admin-listen: 'unix:/x' is no TCP address: use host:port"),
        (["serve", "--drain-seconds", "-1"], "--drain-seconds: input should be greater than or equal to 0, not -1.0"),
        (["serve", "--log-level", "loud"], "--log-level: input should be 'debug', 'info', 'warning' or 'error'"),
        (["serve", "--config", "/no/such/file"], "/no/such/file: cannot read it: No such file or directory"),
        (["serve", "--nope"], "No such option: --nope"),
        (["nope"], "No such command 'nope'. There are serve, demo, run, replay, config, envoy-config, doctor, version"),
        (["config"], "Missing command. There are check, schema, show."),
        (["config", "check"], "Missing argument 'FILE'. See extproc config check --help."),
        (["demo", "--port", "65536"], "Invalid value for '--port'"),
        (["run"], "Missing option '--upstream'"),
        (["run", "--upstream", "ftp://x"], "--upstream: 'ftp://x' is no http or https URL; use URL or NAME=URL"),
        (["completion", "tcsh"], "Invalid value for 'shell': 'tcsh' is not one of 'bash', 'zsh',"),
        (["replay"], "Missing argument 'PATH'"),
        (["replay", "/no/such/path"], "cannot read /no/such/path: No such file or directory; it has to be a HAR"),
        (["replay", __file__], f"{__file__} is not JSON; it has to be a HAR file, or a folder of captured"),
        (["replay", "/", "--split", "0"], "--split: '0' is none of whole, lines or a number of bytes from 1"),
        (["replay", "/", "--config", "/no/such/file"], "/no/such/file: cannot read it: No such file"),
        (["envoy-config", "--config", "/no/such/file"], "/no/such/file: cannot read it: No such file"),
        (["envoy-config", "--mode", "look"], "Invalid value for '--mode': 'look' is not one of 'inspect'"),
        (["envoy-config", "--part", "x"], "Invalid value for '--part': 'x' is not one of 'bootstrap'"),
        (["envoy-config", "--target", "kgateway", "--mode", "observe"], "--mode observe: kgateway's GatewayExtension"),
    ],
)  # fmt: skip
def test_a_mistake_gets_one_line_and_exit_code_2(arguments: list[str], said: str) -> None:
    """What is wrong, and what is allowed."""
    ended = run(*arguments)
    assert ended.returncode == 2
    assert ended.stdout == ""
    (line,) = ended.stderr.splitlines()
    assert line.startswith(f"extproc: {said}")


def test_mistakes_in_the_environment_name_the_variable() -> None:
    """As flags name the flag."""
    ended = run("serve", environ={"EXTPROC_MAX_BODY_BYTES": "much"})
    assert ended.returncode == 2
    assert ended.stderr.startswith("extproc: EXTPROC_MAX_BODY_BYTES: ")


@pytest.mark.parametrize("command", ["serve", "replay"])
def test_all_mistakes_in_all_files_get_a_line_each(tmp_path: Path, command: str) -> None:
    """A file of ours, one of KrakenD's, one that is not there and the environment, in one go."""
    ours, krakend = tmp_path / "ours.yaml", tmp_path / "krakend.json"
    ours.write_text("telemetry: {trace_sample_rate: 2, exporters: {otlp: [{name: a, host: x, prot: 1}]}}")
    krakend.write_text(
        '{"extra_config": {"telemetry/opentelemetry": {"exporters": {"prometheus": [{"name": "p", "port": 70000}]}}}}'
    )
    flags = [word for name in (ours, krakend, tmp_path / "none") for word in ("--config", str(name))]
    path = [str(tmp_path)] if command == "replay" else []
    ended = run(command, *path, *flags, environ={"EXTPROC_WORKERS": "0"})
    assert (ended.returncode, ended.stdout) == (2, "")
    lines = ended.stderr.replace(f"{tmp_path}/", "").splitlines()
    port = 'krakend.json:1: extra_config."telemetry/opentelemetry".exporters.prometheus[0].port'
    assert [line.partition("; ")[0] for line in lines] == [
        "extproc: ours.yaml:1: telemetry.trace_sample_rate: input should be less than or equal to 1, not 2",
        "extproc: ours.yaml:1: telemetry.exporters.otlp[0].prot: no such setting",
        f"extproc: {port}: input should be less than or equal to 65535, not 70000",
        "extproc: none: cannot read it: No such file or directory",
        "extproc: EXTPROC_WORKERS: input should be greater than or equal to 1, not '0'",
    ]


def test_what_does_not_apply_is_warned_of_once(tmp_path: Path) -> None:
    """In the log, at the start."""
    file = tmp_path / "krakend.json"
    file.write_text('{"port": 8080, "extra_config": {"telemetry/opentelemetry": {"exporters": {}}}}')
    with Sidecar(tmp_path, "--config", str(file), environ={"EXTPROC_LISTN": "x"}) as sidecar:
        lines = [line for line in sidecar.events() if line["level"] == "warning"]
    assert {line["event"] for line in lines} == {"a setting has no effect"}
    assert [line["what"] for line in lines] == [
        f"{file}:1: port: not used here: routes, ports and the like are Envoy's",
        "EXTPROC_LISTN: no such setting",
    ]


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--help"],
        ["-h"],
        ["serve", "-h"],
        ["demo", "-h"],
        ["run", "-h"],
        ["replay", "-h"],
        ["envoy-config", "-h"],
        ["doctor", "-h"],
        ["config", "-h"],
        ["config", "check", "-h"],
        ["config", "schema", "-h"],
        ["config", "show", "-h"],
        ["version", "-h"],
        ["completion", "-h"],
    ],
)
def test_help_reads_well_in_80_columns(arguments: list[str]) -> None:
    """And is no mistake."""
    ended = run(*arguments, environ={"COLUMNS": "80"})
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.startswith("Usage: extproc")
    assert max(len(line) for line in ended.stdout.splitlines()) <= 80
    assert "..." not in ended.stdout.replace("]...", "").replace("}...", "")


def test_configuration_for_envoy_is_printed_from_the_same_settings() -> None:
    """As serve would be started: file, environment and flags; a warning is not among what is printed."""
    environ = {"EXTPROC_METADATA_NAMESPACES": "mine", "EXTPROC_LISTN": "x"}
    ended = run("envoy-config", "--listen", "unix:/run/x.sock", "--workers", "2", environ=environ)
    assert (ended.returncode, ended.stderr) == (0, "extproc: EXTPROC_LISTN: no such setting\n")
    printed = yaml.safe_load(ended.stdout)
    (sidecar, *_) = printed["static_resources"]["clusters"]
    assert "/run/x-0.sock" in str(sidecar)
    assert "/run/x-1.sock" in str(sidecar)
    assert "%DYNAMIC_METADATA(mine)%" in ended.stdout


def test_the_version_is_told() -> None:
    """In one line."""
    ended = run("--version")
    assert (ended.returncode, ended.stdout) == (0, f"ai-gateway-extproc {__version__}\n")


@pytest.mark.parametrize("flag", ["--port", "--metrics-port", "--envoy-admin-port"])
def test_a_port_that_is_taken_is_named_with_its_flag(flag: str, tmp_path: Path) -> None:
    """So that the next try can be the last."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        free = dict.fromkeys(("--port", "--metrics-port", "--envoy-admin-port"), "0") | {flag: port}
        ended = run(
            "demo", "--once", *(word for pair in free.items() for word in pair), environ={"TMPDIR": str(tmp_path)}
        )
    assert ended.returncode == 2
    assert ended.stderr == (
        f"extproc: port {port} on 127.0.0.1 cannot be had (Address already in use): choose another with {flag}\n"
    )
    assert list(tmp_path.iterdir()) == []


def test_two_flags_cannot_share_a_port() -> None:
    """Envoy would open one listener and fail at the other."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    ended = run("demo", "--once", "--port", port, "--envoy-admin-port", port, "--metrics-port", "0")
    assert (ended.returncode, ended.stderr) == (
        2,
        f"extproc: --port and --envoy-admin-port are both {port}: choose two\n",
    )


def test_a_folder_too_deep_for_a_socket_is_said_so(tmp_path: Path) -> None:
    """A socket's name is bounded by the system; a temporary folder's is not."""
    folder = tmp_path / ("deep" * 30)
    folder.mkdir()
    ended = run("run", "--upstream", "http://127.0.0.1:1", environ={"TMPDIR": str(folder)})
    assert ended.returncode == 2
    assert ended.stderr == f"extproc: {folder} is too long a path for a socket: set TMPDIR to a shorter one\n"


def test_a_demo_that_is_not_installed_is_said_so(tmp_path: Path) -> None:
    """With how to install it."""
    (tmp_path / "uvicorn.py").write_text("raise ModuleNotFoundError(name='uvicorn')")
    ended = run("demo", "--once", environ={"PYTHONPATH": str(tmp_path)})
    assert (ended.returncode, ended.stderr) == (
        2,
        "extproc: the demo needs uvicorn: `pip install 'ai-gateway-extproc[demo]'` brings it\n",
    )
