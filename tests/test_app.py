from __future__ import annotations

import gc
import os
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
import pytest
from support.client import ExtProcClient, Feed
from support.logged import Logged
from support.messages import exchange, metadata_of, protocol, request_body, request_headers
from support.sidecar import Sidecar, command, inherited_environ, run
from support.waiting import wait_for

from extproc.config.settings import DetectionRule, Settings
from extproc.errors import EXIT_CUT
from extproc.lifecycle import settle_interpreter
from extproc.metering import report_bug
from extproc.providers import bedrock_converse
from extproc.readers import Limits
from extproc.reading import build_detector, build_limits


def is_refused(client: ExtProcClient) -> bool:
    """Say whether a new stream is refused."""
    try:
        client.exchange(exchange())
    except grpc.RpcError:
        return True
    return False


@contextmanager
def unfinished(sidecar: Sidecar, count: int = 40) -> Iterator[None]:
    """Exchanges whose answers do not come."""
    feeds = [Feed() for _ in range(count)]
    with ExtProcClient(sidecar.address) as client:
        calls = [client.process(feed) for feed in feeds]  # kept: one that is dropped is cancelled
        for feed, call in zip(feeds, calls, strict=True):
            feed.send(request_headers(config=protocol()), request_body())
            next(call)
            next(call)
        yield
        for feed in feeds:
            feed.end()


def test_a_sidecar_meters_and_its_metrics_can_be_scraped(tmp_path: Path) -> None:
    """The lines of kgateway's guide, after one exchange."""
    with Sidecar(tmp_path) as sidecar, ExtProcClient(sidecar.address) as client:
        assert metadata_of(client.exchange(exchange())[-1])["ai.gateway"]["total_tokens"] == 7
        status, metrics = sidecar.get("/metrics")
        assert status == 200
        assert (
            '# TYPE ai_prompt_tokens_total counter\nai_prompt_tokens_total{llm="openai",model="gpt-4o"} 3.0\n'
            in metrics
        )
        assert '\nai_completion_tokens_total{llm="openai",model="gpt-4o"} 4.0\n' in metrics
        assert "_created" not in metrics
        assert "process_resident_memory_bytes" in metrics
        assert sidecar.get("/readyz")[0] == sidecar.get("/livez")[0] == 200


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_in_order(tmp_path: Path, number: int) -> None:
    """Exit code 0, and nothing left of the socket."""
    with Sidecar(tmp_path) as sidecar:
        assert sidecar.stop(number) == 0
        assert "draining" in sidecar.log
        assert sidecar.events()[-1]["event"] == "stopped"
        assert not (tmp_path / "x.sock").exists()


def test_a_signal_lets_running_exchanges_finish(tmp_path: Path) -> None:
    """Not ready at once, no new streams, the old one metered to its end, then exit code 0."""
    messages = exchange()
    with Sidecar(tmp_path) as sidecar, ExtProcClient(sidecar.address) as client:
        feed = Feed()
        call = client.process(feed)
        feed.send(*messages[:2])
        next(call)
        sidecar.process.send_signal(signal.SIGTERM)
        wait_for(lambda: sidecar.get("/readyz")[0] == 503)
        wait_for(lambda: is_refused(client))
        assert sidecar.process.poll() is None
        feed.send(*messages[2:])
        feed.end()
        assert metadata_of(list(call)[-1])["ai.gateway"]["usage_source"] == "reported"
        assert sidecar.process.wait(20) == 0


def test_what_does_not_finish_in_time_is_cut_off(tmp_path: Path) -> None:
    """The grace is a setting; the exit code and a line say that it was not enough."""
    with Sidecar(tmp_path, "--drain-seconds", "0.2") as sidecar, unfinished(sidecar):
        started = time.monotonic()
        assert sidecar.stop() == EXIT_CUT
        assert time.monotonic() - started < 10
        assert [line["exchanges"] for line in sidecar.events("exchanges were cut off")] == [40]
        assert sidecar.events()[-1]["event"] == "stopped"
        assert "Traceback" not in sidecar.log


def test_a_second_signal_ends_it_at_once(tmp_path: Path) -> None:
    """Who sends two is in a hurry; what was known of the running exchanges has been counted by then."""
    with Sidecar(tmp_path, "--drain-seconds", "3600") as sidecar, unfinished(sidecar):
        sidecar.process.send_signal(signal.SIGTERM)
        wait_for(lambda: "draining" in sidecar.log)
        assert sidecar.stop() == EXIT_CUT
        assert "stopping at once" in sidecar.log
        assert "Traceback" not in sidecar.log


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_pipe_in_the_place_of_the_settings_is_not_waited_for(tmp_path: Path, workers: str) -> None:
    """Nobody may ever write to it, and the process has to hear signals."""
    config = tmp_path / "settings.yaml"
    config.write_text("config_poll_seconds: 0.05\n")
    with Sidecar(tmp_path, "--config", str(config), "--workers", workers) as sidecar:
        config.unlink()
        os.mkfifo(config)
        wait_for(lambda: sidecar.events("settings not reloaded"))
        (line,) = sidecar.events("a setting is wrong")
        assert "cannot be read again" in line["problem"]
        assert sidecar.stop() == 0


@pytest.mark.parametrize("workers", ["1", "2"])
def test_sighup_does_not_end_what_still_starts(tmp_path: Path, workers: str) -> None:
    """Who changes files and sends it does not look first."""
    config = tmp_path / "settings.yaml"
    os.mkfifo(config)
    flags = ("--listen", f"unix:{tmp_path}/x.sock", "--admin-listen", "127.0.0.1:0", "--workers", workers)
    process = subprocess.Popen(command("serve", "--config", str(config), *flags), env=inherited_environ())
    try:
        with config.open("w") as pipe:  # it has come so far that it reads its settings
            process.send_signal(signal.SIGHUP)
            pipe.write("log_level: error\n")
        wait_for(lambda: process.poll() is not None or list(tmp_path.glob("x*.sock")))
        process.terminate()
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.wait()


def test_a_signal_that_was_ignored_before_stays_ignored(tmp_path: Path) -> None:
    """Ctrl-C in a terminal reaches all that run in it; who shares one and supervises us ends us in its own time."""
    ignoring = (
        "import os, signal, sys; signal.signal(signal.SIGINT, signal.SIG_IGN); os.execv(sys.argv[1], sys.argv[1:])"
    )
    with Sidecar(tmp_path, launcher=[sys.executable, "-c", ignoring]) as sidecar:
        sidecar.process.send_signal(signal.SIGINT)
        assert sidecar.stop() == 0
        assert len(sidecar.events("draining")) == 1
        assert "at once" not in sidecar.log


def test_a_socket_that_was_left_behind_is_replaced(tmp_path: Path) -> None:
    """Its process was killed; nobody answers on it."""
    with Sidecar(tmp_path) as killed:
        assert killed.stop(signal.SIGKILL) == -signal.SIGKILL
    assert stat.S_ISSOCK((tmp_path / "x.sock").stat().st_mode)
    with Sidecar(tmp_path) as sidecar, ExtProcClient(sidecar.address) as client:
        assert len(client.exchange(exchange())) == 4


def test_a_socket_that_is_served_is_not_taken_over(tmp_path: Path) -> None:
    """gRPC would unlink it and leave the other without traffic."""
    with Sidecar(tmp_path) as sidecar:
        second = run("serve", "--listen", sidecar.address, "--admin-listen", "127.0.0.1:0")
        assert (second.returncode, second.stderr) == (
            2,
            f"extproc: cannot listen on {sidecar.address}: another process serves it\n",
        )
        with ExtProcClient(sidecar.address) as client:
            assert len(client.exchange(exchange())) == 4


@pytest.mark.parametrize("flags", [(), ("--workers", "2")])
def test_plaintext_where_others_reach_it_is_refused(flags: tuple[str, ...]) -> None:
    """Also by kgateway's name for the address."""
    said = "other machines can reach 0.0.0.0:0, and there is no TLS: set listen_tls, or listen on a Unix socket or "
    ended = run("serve", *flags, environ={"LISTEN_ADDR": "0.0.0.0:0"})
    assert (ended.returncode, ended.stderr.count("\n")) == (2, 1)
    assert ended.stderr.startswith(f"extproc: LISTEN_ADDR: {said}")


def test_a_listener_that_does_not_answer_is_a_failure(tmp_path: Path) -> None:
    """It is not ready, and ends by itself, with nothing left of its socket."""
    script = (
        "import functools, sys; from extproc import cli; from extproc.server import health, listener\n"
        "health.Health.check = lambda *_: None\n"  # a status of gRPC in the place of an answer
        "check = listener.wait_until_answered\n"
        "listener.wait_until_answered = functools.partial(check, timeout_seconds=0.1); cli.main()"
    )
    listen = f"unix:{tmp_path}/x.sock"
    command = [sys.executable, "-c", script, "serve", "--listen", listen, "--admin-listen", "127.0.0.1:0"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=inherited_environ())
    reason = f"extproc: the listener on {listen} does not answer its own health check: it refuses the call\n"
    assert (ended.returncode, ended.stderr) == (1, reason)
    assert list(tmp_path.iterdir()) == []


def test_an_admin_port_that_is_taken_is_said_so(tmp_path: Path) -> None:
    """In one line, and with exit code 2."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        ended = run("serve", "--listen", f"unix:{tmp_path}/x.sock", "--admin-listen", address)
    assert (ended.returncode, ended.stderr) == (2, f"extproc: cannot listen on {address}: Address already in use\n")


# It makes standard output a pipe that is open and that nobody reads; with "closed", it closes it.
STUCK = """
import os, sys
reader, writer = os.pipe()
os.dup2(writer, 1) if sys.argv[1] == "stuck" else os.close(1)
os.set_inheritable(reader, True)
os.execv(sys.argv[2], sys.argv[2:])
"""


def test_a_usage_log_that_nobody_reads_costs_the_traffic_nothing(tmp_path: Path) -> None:
    """Nor does it hold up the stop for longer than the flush of telemetry; what was lost is told."""
    config = tmp_path / "settings.yaml"
    config.write_text("{usage_log: stdout, telemetry: {queue: {flush_seconds: 0.5}}}")
    launcher = [sys.executable, "-c", STUCK, "stuck"]
    with Sidecar(tmp_path, "--config", str(config), launcher=launcher) as sidecar:
        with ExtProcClient(sidecar.address) as client:
            for _ in range(400):
                assert len(client.exchange(exchange())) == 4
        started = time.monotonic()
        assert sidecar.stop() == 0
        assert time.monotonic() - started < 10
        (line,) = sidecar.events("lines of the usage log were dropped at the stop")
        assert 0 < line["lines"] < 400


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_usage_log_without_standard_output_is_refused(tmp_path: Path, workers: str) -> None:
    """Its number may be that of a socket by then."""
    environ = inherited_environ(EXTPROC_USAGE_LOG="stdout")
    flags = ("--listen", f"unix:{tmp_path}/x.sock", "--admin-listen", "127.0.0.1:0", "--workers", workers)
    ended = subprocess.run(
        [sys.executable, "-c", STUCK, "closed", *command("serve", *flags)],
        stderr=subprocess.PIPE,
        text=True,
        check=False,
        env=environ,
        timeout=60,
    )
    said = "extproc: usage_log: standard output is closed: use an absolute path\n"
    assert (ended.returncode, ended.stderr) == (2, said)


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_usage_log_that_cannot_be_opened_is_refused(tmp_path: Path, workers: str) -> None:
    """At the start, in one line and with exit code 2."""
    path = tmp_path / "no" / "usage"
    flags = ("--listen", f"unix:{tmp_path}/x.sock", "--admin-listen", "127.0.0.1:0", "--workers", workers)
    ended = run("serve", *flags, environ={"EXTPROC_USAGE_LOG": str(path)})
    assert (ended.returncode, ended.stderr.splitlines()[-1]) == (
        2,
        f"extproc: usage_log: cannot write {path}: No such file or directory",
    )


@pytest.mark.parametrize(("level", "lines"), [("debug", 1), ("info", 0)])
def test_an_exchange_is_logged_at_debug_and_nowhere_above(tmp_path: Path, level: str, lines: int) -> None:
    """A busy gateway would write nothing else."""
    with Sidecar(tmp_path, "--log-level", level) as sidecar, ExtProcClient(sidecar.address) as client:
        client.exchange(exchange())
        assert sidecar.stop() == 0
        assert [line["total_tokens"] for line in sidecar.events("exchange")] == [7] * lines


def test_a_bug_is_reported_by_its_place_and_never_by_its_text(logged: Logged) -> None:
    """The text of an exception may repeat what a client sent."""
    with pytest.raises(KeyError) as raised:
        raise KeyError("sk-secret")
    report_bug(raised.value)
    (line,) = logged
    assert (line["log_level"], line["event"], line["exception"]) == ("error", "bug", "KeyError")
    assert line["at"].startswith("test_app.py:")
    assert "sk-secret" not in str(line)


def test_rules_of_the_settings_reach_the_detection() -> None:
    """As the deployment has them."""
    rule = DetectionRule(authority="llm.corp.example", flavour="bedrock_converse", provider="ours")
    detector = build_detector(Settings(detection_rules=(rule,)))
    target = detector.detect("llm.corp.example", "/anything")
    assert (target.provider, target.flavour) == ("ours", bedrock_converse.CONVERSE)


def test_the_limits_are_the_settings() -> None:
    """All of them."""
    assert build_limits(Settings()) == Limits()
    assert build_limits(Settings(max_body_bytes=2048)) == Limits(max_body_bytes=2048)


def test_the_interpreter_keeps_out_of_the_way() -> None:
    """Of what is loaded nothing is looked at again, and nobody holds up a message for long."""
    interval, threshold = sys.getswitchinterval(), gc.get_threshold()
    try:
        settle_interpreter()
        assert gc.get_freeze_count() > 0
        assert gc.get_threshold()[:2] == threshold[:2]
        assert gc.get_threshold()[2] > threshold[2]
        assert sys.getswitchinterval() < 0.001
    finally:
        gc.unfreeze()
        gc.set_threshold(*threshold)
        sys.setswitchinterval(interval)
