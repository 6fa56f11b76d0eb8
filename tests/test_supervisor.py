"""`extproc serve` with several workers, as a process."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import trustme
from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.parser import text_string_to_metric_families
from support.client import ExtProcClient, Feed
from support.messages import exchange, metadata_of, protocol, request_body, request_headers
from support.sidecar import Sidecar, inherited_environ, is_alive, run
from support.tls import ServerFiles
from support.waiting import wait_for

from extproc import supervisor
from extproc.config.address import parse_host_port
from extproc.config.settings import Settings
from extproc.errors import EXIT_CUT, EXIT_FAILURE
from extproc.server.listen import probe_port

TWO = ("--workers", "2")
TOTAL = "ai_total_tokens_total"
LABELS = frozenset({("llm", "openai"), ("model", "gpt-4o")})

Series = dict[tuple[str, frozenset[tuple[str, str]]], float]


def scrape(sidecar: Sidecar) -> Series:
    """Return every sample."""
    status, text = sidecar.get("/metrics")
    assert status == 200, text
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(sidecar: Sidecar, name: str, **labels: str) -> float | None:
    return scrape(sidecar).get((name, frozenset(labels.items())))


def meter(address: str, times: int = 1) -> None:
    """Have exchanges metered there, each of 7 tokens."""
    with ExtProcClient(address) as client:
        for _ in range(times):
            assert metadata_of(client.exchange(exchange())[-1])["ai.gateway"]["total_tokens"] == 7


@contextmanager
def unfinished(sidecar: Sidecar) -> Iterator[list[Feed]]:
    """An exchange with each worker, whose answer does not come."""
    with ExitStack() as stack:
        feeds = []
        for address in sidecar.addresses:
            client, feed = stack.enter_context(ExtProcClient(address)), Feed()
            call = client.process(feed)
            feed.send(request_headers(config=protocol()), request_body())
            next(call)
            next(call)
            stack.callback(call.cancel)  # it is kept until then: one that is dropped is cancelled at once
            feeds.append(feed)
        yield feeds
        for feed in feeds:
            feed.end()


def folders_of(sidecar: Sidecar) -> list[Path]:
    """Return where its metrics are kept."""
    maps = "".join(Path(f"/proc/{pid}/maps").read_text() for pid in sidecar.workers)
    return [Path(path) for path in sorted(set(re.findall(r"\S+/extproc-metrics-[^/\s]+", maps)))]


def test_each_worker_has_a_socket_and_the_metrics_are_one(tmp_path: Path) -> None:
    """The number stands before the suffix; what they count together is one sum."""
    with Sidecar(tmp_path, *TWO) as sidecar:
        assert sidecar.addresses == [f"unix:{tmp_path}/x-0.sock", f"unix:{tmp_path}/x-1.sock"]
        assert len(sidecar.workers) == 2
        for address, times in zip(sidecar.addresses, (1, 2), strict=True):
            meter(address, times)
        metrics = scrape(sidecar)
        assert metrics[TOTAL, LABELS] == 21
        assert metrics["ai_request_duration_seconds_count", LABELS] == 3
        assert metrics["extproc_workers_ready", frozenset()] == 2
        for worker in ("0", "1"):
            assert metrics["extproc_worker_resident_memory_bytes", frozenset({("worker", worker)})] > 2**20
        assert (sidecar.get("/readyz")[0], sidecar.get("/livez")[0]) == (200, 200)
        (folder,) = folders_of(sidecar)
        assert folder.stat().st_mode & 0o777 == 0o700
        assert sidecar.stop() == 0
        assert not folder.exists()
        assert list(tmp_path.glob("*.sock")) == []
        assert sidecar.events()[-1] == {"level": "info", "event": "stopped"}
        assert sorted(line.get("worker", -1) for line in sidecar.events("draining")) == [-1, 0, 1]


def told_after_two_exchanges(folder: Path, *flags: str) -> tuple[list[str], Series]:
    """Return what /metrics says of families, and its samples, without those that only workers have."""
    folder.mkdir()
    # On a busy machine any message may take long.
    with Sidecar(folder, *flags, environ={"EXTPROC_SLOW_MESSAGE_SECONDS": "60"}) as sidecar:
        for address in (sidecar.addresses * 2)[:2]:
            meter(address)
        wait_for(lambda: value(sidecar, "extproc_streams_active") == 0)
        lines = [line for line in sidecar.get("/metrics")[1].splitlines() if "extproc_worker" not in line]
        samples = {key: sample for key, sample in scrape(sidecar).items() if "extproc_worker" not in key[0]}
    return [line for line in lines if line.startswith("#")], samples


def test_the_metrics_are_those_of_one_process(tmp_path: Path) -> None:
    """The same families, help, types, series and counts behind the same exchanges."""
    families, samples = told_after_two_exchanges(tmp_path / "alone")
    shared_families, shared_samples = told_after_two_exchanges(tmp_path / "shared", *TWO)
    assert shared_families == families
    assert shared_samples.keys() == samples.keys()
    times = re.compile("_seconds_|_timestamp_|_memory_bytes")  # which are not the same for one process as for two
    counted = [key for key in samples if key[0].startswith(("ai_", "extproc_")) and not times.search(key[0])]
    assert counted
    assert [shared_samples[key] for key in counted] == [samples[key] for key in counted]


def test_tcp_workers_share_the_port(tmp_path: Path) -> None:
    """Port 0 is the same free one for all; the system deals out the connections."""
    with Sidecar(tmp_path, "--listen", "127.0.0.1:0", *TWO) as sidecar:
        assert re.fullmatch(r"127\.0\.0\.1:[1-9]\d*", sidecar.address)
        (folder,) = folders_of(sidecar)

        def have_both_metered() -> bool:
            meter(sidecar.address)  # on a new connection
            return all(b"gpt-4o" in (folder / f"counter_{index}.db").read_bytes() for index in range(2))

        wait_for(have_both_metered)
        taken = run("serve", "--listen", sidecar.address, "--admin-listen", "127.0.0.1:0", *TWO)
        said = f"extproc: cannot listen on {sidecar.address}: Address already in use\n"
        assert (taken.returncode, taken.stderr) == (2, said)


def test_a_shared_port_stays_ours_while_no_worker_runs(tmp_path: Path) -> None:
    """Or another program could take it between two processes."""
    with Sidecar(tmp_path, "--listen", "127.0.0.1:0", *TWO) as sidecar:
        for pid in sidecar.workers:
            os.kill(pid, signal.SIGKILL)
        wait_for(lambda: sidecar.log.count("SIGKILL") == 2)
        with pytest.raises(OSError, match="Address already in use"):
            probe_port(parse_host_port(sidecar.address))
        wait_for(lambda: value(sidecar, "extproc_workers_ready") == 2)
        meter(sidecar.address)


@pytest.mark.parametrize("host", ["0.0.0.0", "localhost"])  # noqa: S104 - that is the point
def test_other_hosts_can_be_shared_as_well(tmp_path: Path, host: str) -> None:
    """gRPC listens on more than one address for these."""
    environ = {"EXTPROC_ALLOW_PLAINTEXT": "true"}
    with Sidecar(tmp_path, "--listen", f"{host}:0", *TWO, environ=environ) as sidecar:
        meter(f"127.0.0.1:{sidecar.address.rpartition(':')[2]}")


def test_a_port_that_another_program_has_is_said_so() -> None:
    """Once, and before any worker is started."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        ended = run("serve", "--listen", address, "--admin-listen", "127.0.0.1:0", *TWO)
    assert (ended.returncode, ended.stderr) == (2, f"extproc: cannot listen on {address}: Address already in use\n")


def test_a_socket_that_is_served_is_not_taken_over(tmp_path: Path) -> None:
    """Of any worker."""
    with Sidecar(tmp_path, *TWO) as sidecar:
        third = run("serve", "--listen", f"unix:{tmp_path}/x.sock", "--admin-listen", "127.0.0.1:0", "--workers", "3")
        said = f"extproc: cannot listen on {sidecar.addresses[0]}: another process serves it\n"
        assert (third.returncode, third.stderr) == (2, said)
        meter(sidecar.addresses[0])


def test_a_name_that_a_number_makes_too_long_is_said_so(tmp_path: Path) -> None:
    """With the name as it would be."""
    name = "/tmp/" + "x" * 97 + ".sock"  # noqa: S108 - nothing is made there
    ended = run("serve", "--listen", f"unix:{name}", "--workers", "2")
    assert ended.returncode == 2
    assert ended.stderr.startswith(f"extproc: 'unix:/tmp/{'x' * 97}-0.sock' is no address: a socket name has 1 to 107")
    assert list(tmp_path.iterdir()) == []


def test_a_setting_that_no_worker_can_start_with_is_said_once(tmp_path: Path) -> None:
    """With exit code 2, as by a sidecar that is alone."""
    (tmp_path / "empty.pem").touch()
    exporter = {"name": "a", "host": "x", "tls": {"ca_file": f"{tmp_path}/empty.pem"}}
    environ = {"EXTPROC_TELEMETRY": json.dumps({"exporters": {"otlp": [exporter]}})}
    listen = ("--listen", f"unix:{tmp_path}/x.sock", "--admin-listen", "127.0.0.1:0")
    alone, several = (run("serve", *listen, *flags, environ=environ) for flags in ((), TWO))
    assert alone.stderr.startswith(f"extproc: telemetry: cannot read {tmp_path}/empty.pem: it holds no certificate")
    assert (several.returncode, several.stderr) == (alone.returncode, alone.stderr) == (2, alone.stderr)
    assert [file.name for file in tmp_path.iterdir()] == ["empty.pem"]


def test_certificates_that_cannot_be_used_are_said_once(tmp_path: Path) -> None:
    """And no worker is left."""
    files = ServerFiles(tmp_path / "tls")
    files.key_file.write_bytes(trustme.CA().issue_cert("localhost").private_key_pem.bytes())
    ended = run("serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", *TWO, environ=files.environ)
    reason = f"cannot use {files.key_file}: the key is not that of the certificate in {files.cert_file}"
    assert (ended.returncode, ended.stderr) == (2, f"extproc: listen_tls: {reason}\n")


def test_each_socket_has_the_permissions_that_were_asked_for(tmp_path: Path) -> None:
    """Also of the next process of a worker."""
    with Sidecar(tmp_path, *TWO, environ={"EXTPROC_SOCKET_MODE": "0620"}) as sidecar:
        os.kill(sidecar.workers[0], signal.SIGKILL)
        wait_for(lambda: "is ready again" in sidecar.log)
        assert [path.stat().st_mode & 0o777 for path in tmp_path.glob("x-*.sock")] == [0o620, 0o620]
        for address in sidecar.addresses:
            meter(address)
        assert sidecar.stop() == 0
    assert list(tmp_path.glob("*.sock")) == []


def test_one_that_is_killed_comes_back_and_nothing_is_forgotten(tmp_path: Path) -> None:
    """Its counts stay, what it had under way is not under way any more, and its CPU time does not start again."""
    with Sidecar(tmp_path, *TWO) as sidecar:
        for address in sidecar.addresses:
            meter(address)
        before = scrape(sidecar)
        with unfinished(sidecar):
            wait_for(lambda: value(sidecar, "extproc_streams_active") == 2)
            killed = next(pid for pid in sidecar.workers if is_index(pid, 0))
            os.kill(killed, signal.SIGKILL)
            wait_for(lambda: value(sidecar, "extproc_streams_active") == 1)
            assert sidecar.get("/readyz")[0] == 200
            wait_for(lambda: value(sidecar, "extproc_workers_ready") == 2)
        (ended,) = sidecar.events("a worker ended")
        assert (ended["worker"], ended["cause"], ended["restart_seconds"]) == (0, "SIGKILL", 0.1)
        after = scrape(sidecar)
        assert after[TOTAL, LABELS] == before[TOTAL, LABELS] == 14
        zero = frozenset({("worker", "0")})
        assert after["extproc_worker_restarts_total", zero] == 1
        assert after["extproc_worker_cpu_seconds_total", zero] > before["extproc_worker_cpu_seconds_total", zero]
        meter(sidecar.addresses[0])
        assert scrape(sidecar)[TOTAL, LABELS] == 21
        assert sidecar.stop() == 0


def test_the_cpu_time_of_one_that_was_killed_is_known_without_a_scrape(tmp_path: Path) -> None:
    """It counts to its last moment."""
    with Sidecar(tmp_path, *TWO) as sidecar:
        os.kill(next(pid for pid in sidecar.workers if is_index(pid, 0)), signal.SIGKILL)
        wait_for(lambda: sidecar.events("a worker is ready again"))
        of_both = value(sidecar, "extproc_worker_cpu_seconds_total", worker="0")
        second = next(pid for pid in sidecar.workers if is_index(pid, 0))
        registry = CollectorRegistry()
        ProcessCollector(pid=lambda: second, registry=registry)
        of_second = registry.get_sample_value("process_cpu_seconds_total")
        assert of_both is not None
        assert of_second is not None
        assert of_both > of_second


def is_index(pid: int, index: int) -> bool:
    """Say whether a process is this worker."""
    return Path(f"/proc/{pid}/cmdline").read_bytes().endswith(f"\0extproc.worker\0{index}\0".encode())


def test_a_signal_lets_the_exchanges_of_all_workers_finish(tmp_path: Path) -> None:
    """Also where each process gets it: whoever ends a service may signal all of its processes."""
    with Sidecar(tmp_path, *TWO) as sidecar, ExitStack() as stack:
        calls = []
        for address in sidecar.addresses:
            client, feed = stack.enter_context(ExtProcClient(address)), Feed()
            call = client.process(feed)
            feed.send(*exchange()[:2])
            next(call)
            next(call)
            calls.append((feed, call))
        for pid in (sidecar.process.pid, *sidecar.workers):
            os.kill(pid, signal.SIGTERM)
        wait_for(lambda: sidecar.get("/readyz")[0] == 503)
        wait_for(lambda: len(sidecar.events("draining")) == 3)
        assert sidecar.process.poll() is None
        for feed, call in calls:
            feed.send(*exchange()[2:])
            feed.end()
            assert metadata_of(list(call)[-1])["ai.gateway"]["usage_source"] == "reported"
        assert sidecar.process.wait(20) == 0
        assert "at once" not in sidecar.log


def test_a_worker_that_is_killed_in_the_drain_is_a_failure(tmp_path: Path) -> None:
    """Nobody knows what it had under way."""
    with Sidecar(tmp_path, *TWO) as sidecar, unfinished(sidecar) as feeds:
        worker = sidecar.workers[0]
        sidecar.process.send_signal(signal.SIGTERM)
        wait_for(lambda: len(sidecar.events("draining")) == 3)
        os.kill(worker, signal.SIGKILL)
        for feed in feeds:
            feed.end()
        assert sidecar.process.wait(20) == EXIT_FAILURE
        assert len(sidecar.events("a worker ended before it had drained")) == 1
        assert sidecar.log.splitlines()[-1] == "extproc: 1 of the workers ended before they had drained"


@pytest.mark.parametrize(
    ("refused", "said"),
    [
        ("usage_log: FOLDER/no/usage.jsonl\n", "usage_log: cannot write"),
        (
            "telemetry: {exporters: {otlp: [{name: a, host: x, tls: {ca_file: FOLDER/bad.pem}, METRICS}]}}\n",
            "telemetry: cannot read",
        ),
    ],
    ids=["usage log", "certificate for traces"],
)
def test_what_workers_would_refuse_changes_nothing(tmp_path: Path, refused: str, said: str) -> None:
    """No worker is left with settings that it could not start with again."""
    config = tmp_path / "settings.yaml"
    config.write_text("config_poll_seconds: 0\n")
    (tmp_path / "bad.pem").write_text("garbage")
    with Sidecar(tmp_path, "--config", str(config), *TWO) as sidecar:
        config.write_text(
            "config_poll_seconds: 0\n"
            + refused.replace("FOLDER", str(tmp_path)).replace("METRICS", "disable_metrics: true")
        )
        sidecar.process.send_signal(signal.SIGHUP)
        wait_for(lambda: sidecar.events("settings not reloaded"))
        (line,) = sidecar.events("a setting is wrong")
        assert line["problem"].startswith(said)
        assert value(sidecar, "extproc_config_reloads_total", outcome="good") == 0
        os.kill(sidecar.workers[0], signal.SIGKILL)
        wait_for(lambda: sidecar.events("a worker is ready again"))
        assert len(sidecar.events("settings not reloaded")) == 1


def test_a_worker_that_is_told_to_end_does_so_in_order_and_is_replaced(tmp_path: Path) -> None:
    """Its exchange is metered to the end, so workers can be restarted one by one."""
    with Sidecar(tmp_path, *TWO) as sidecar, ExtProcClient(sidecar.addresses[1]) as client:
        told, feed = next(pid for pid in sidecar.workers if is_index(pid, 1)), Feed()
        call = client.process(feed)
        feed.send(*exchange()[:2])
        next(call)
        next(call)
        os.kill(told, signal.SIGTERM)
        wait_for(lambda: [line["worker"] for line in sidecar.events("draining")] == [1])
        feed.send(*exchange()[2:])
        feed.end()
        assert metadata_of(list(call)[-1])["ai.gateway"]["usage_source"] == "reported"
        wait_for(lambda: sidecar.events("a worker is ready again"))
        (ended,) = sidecar.events("a worker ended")
        assert (ended["worker"], ended["cause"], ended["restart_seconds"]) == (1, "exit code 0", 0.1)
        assert value(sidecar, "extproc_worker_restarts_total", worker="1") == 1


def test_a_second_signal_ends_it_at_once(tmp_path: Path) -> None:
    """For all workers, and the exit code says that something was cut off."""
    with Sidecar(tmp_path, "--drain-seconds", "3600", *TWO) as sidecar, unfinished(sidecar):
        sidecar.process.send_signal(signal.SIGTERM)
        wait_for(lambda: len(sidecar.events("draining")) == 3)
        assert sidecar.stop() == EXIT_CUT
        assert len(sidecar.events("stopping at once")) == 3
        assert len(sidecar.events("stopped")) == 3
        assert "Traceback" not in sidecar.log


def test_ctrl_c_in_a_terminal_is_one_signal(tmp_path: Path) -> None:
    """It goes to the whole process group, and the workers are in none of ours."""
    with Sidecar(tmp_path, *TWO, launcher=["setsid"]) as sidecar, unfinished(sidecar) as feeds:
        os.killpg(sidecar.process.pid, signal.SIGINT)
        wait_for(lambda: len(sidecar.events("draining")) == 3)
        assert sidecar.process.poll() is None
        for feed in feeds:
            feed.end()
        assert sidecar.process.wait(20) == 0
        assert "at once" not in sidecar.log


def test_without_their_supervisor_workers_drain_and_end(tmp_path: Path) -> None:
    """It was killed, and could not say so; what was under way is metered to its end, and nothing is left."""
    with Sidecar(tmp_path, *TWO) as sidecar, ExtProcClient(sidecar.addresses[0]) as client:
        workers, (folder,), feed = sidecar.workers, folders_of(sidecar), Feed()
        call = client.process(feed)
        feed.send(*exchange()[:2])
        next(call)
        next(call)
        assert sidecar.stop(signal.SIGKILL) == -signal.SIGKILL
        wait_for(lambda: sum(map(is_alive, workers)) == 1)
        feed.send(*exchange()[2:])
        feed.end()
        assert metadata_of(list(call)[-1])["ai.gateway"]["usage_source"] == "reported"
        wait_for(lambda: not any(map(is_alive, workers)))
        assert not folder.exists()
        assert list(tmp_path.glob("*.sock")) == []
        assert "Traceback" not in sidecar.log


def test_a_parent_that_does_not_care_for_its_children_changes_nothing(tmp_path: Path) -> None:
    """Where SIGCHLD is ignored the system forgets processes as they end."""
    ignoring = (
        "import os, signal, sys; signal.signal(signal.SIGCHLD, signal.SIG_IGN); os.execv(sys.argv[1], sys.argv[1:])"
    )
    with Sidecar(tmp_path, *TWO, launcher=[sys.executable, "-c", ignoring]) as sidecar:
        os.kill(sidecar.workers[0], signal.SIGKILL)
        wait_for(lambda: "SIGKILL" in sidecar.log and value(sidecar, "extproc_workers_ready") == 2)
        assert sidecar.stop() == 0


def test_no_place_for_metrics_is_said_so() -> None:
    """In one line, with what to do."""
    script = (
        "import sys, tempfile; from extproc import cli, supervisor\n"
        "supervisor._SHARED_MEMORY = '/no/such/folder'; tempfile.tempdir = '/no/such/folder'\n"
        "sys.argv[1:] = ['serve', '--workers', '2', '--listen', '127.0.0.1:0']; cli.main()"
    )
    ended = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False, env=inherited_environ()
    )
    reason = "workers: no folder for the metrics of several (No such file or directory)"
    said = f"extproc: {reason}: set TMPDIR to one that can be written to\n"
    assert (ended.returncode, ended.stderr) == (2, said)


@pytest.mark.parametrize(("room_bytes", "is_there"), [(-1, False), (1, True)])
def test_files_are_in_memory_where_there_is_room_for_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, room_bytes: int, is_there: bool
) -> None:
    """Those for the page as well: who writes a count where there is none left is killed."""
    settings = Settings.model_validate({"workers": 2, "max_label_values": 100})
    needed_bytes = 2 * (settings.labels.most_values(100) * 16 * 1024 + 1024 * 1024)
    monkeypatch.setattr(supervisor, "_SHARED_MEMORY", str(tmp_path))
    usage = shutil.disk_usage(tmp_path)._replace(free=needed_bytes + room_bytes)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with supervisor._build_metrics_directory(settings) as folder:
        assert (Path(folder).parent == tmp_path) is is_there


def test_a_supervisor_does_without_grpc() -> None:
    """It carries no traffic, and is to weigh little."""
    script = "import sys, extproc.supervisor; sys.exit(bool({'grpc', 'google.protobuf'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", script], timeout=60, check=False).returncode == 0
