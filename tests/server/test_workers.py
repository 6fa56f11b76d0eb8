"""Supervision, with processes that are no sidecars: what they do is a few lines of Python."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.logged import Logged
from support.sidecar import is_alive
from support.waiting import wait_for

from extproc.errors import SettingsError
from extproc.server import worker_process as process_module
from extproc.server import workers as workers_module
from extproc.server.signals import SignalOrders
from extproc.server.worker_process import Assignment, Backoff
from extproc.server.workers import Workers

# What every one of them starts with: it takes its line, and can say that it is ready.
PRELUDE = """
import os, pathlib, signal, sys, time
folder = pathlib.Path(sys.argv[1])
line = open(0, "rb", buffering=0, closefd=False).readline()
def say(text): os.write(1, text.encode() + b"\\n")
def be_ready(): say('{"is_ready": true}')
def hear(): return os.read(0, 1).decode()
"""
SERVE = "be_ready(); hear()"


class Supervised:
    """Workers, and what happened to them."""

    def __init__(self, folder: Path, signals: SignalOrders) -> None:
        self.folder = folder
        self.signals = signals
        self.ended: list[tuple[int, int, bool]] = []  # worker, process, whether the system still knew of it
        self.times_ready = 0
        self.problems: list[tuple[int, str]] = []
        self.workers = Workers([], self._on_end)

    def assign(self, *scripts: str) -> None:
        """Have a worker for each script."""
        commands = [(sys.executable, "-c", PRELUDE + script, str(self.folder)) for script in scripts]
        self.workers = Workers([Assignment(command, b'{"told": 1}') for command in commands], self._on_end)

    def _on_end(self, index: int, pid: int) -> None:
        self.ended.append((index, pid, Path(f"/proc/{pid}/stat").exists()))

    def ready(self) -> None:
        self.times_ready += 1

    def reload(self) -> None:
        self.workers.reload([b'{"told": 2}'] * len(self.workers.all))

    def unloaded(self, index: int, problems: str) -> None:
        self.problems.append((index, problems))

    def tick(self) -> float | None:
        return None

    def serve(self, until: Callable[[], object]) -> None:
        """Keep them running until a condition holds."""
        end = threading.Thread(target=self._end, args=(until,))
        end.start()
        try:
            self.workers.serve(self.signals, self)
        finally:
            end.join()

    def _end(self, until: Callable[[], object]) -> None:
        try:
            wait_for(until)
        finally:
            os.kill(os.getpid(), signal.SIGUSR1)

    def pids(self) -> list[int | None]:
        return [worker.pid for worker in self.workers.all]

    def are_ready(self) -> bool:
        return all(worker.is_ready for worker in self.workers.all)


@pytest.fixture(name="supervised")
def _supervised(tmp_path: Path) -> Iterator[Supervised]:
    with SignalOrders((signal.SIGUSR1,), (signal.SIGUSR2,)) as signals:
        supervised = Supervised(tmp_path, signals)
        yield supervised
        supervised.workers.kill()
        assert supervised.pids() == [None] * len(supervised.workers.all)


def test_the_wait_before_a_restart_doubles_and_is_short_again_after_a_good_run() -> None:
    """From a tenth of a second to ten."""
    backoff = Backoff()
    delays = [backoff.after(0) for _ in range(9)]
    assert delays == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10, 10]
    assert backoff.after(59) == 10
    assert [backoff.after(60), backoff.after(0)] == [0.1, 0.2]


def test_what_a_worker_is_told_stands_on_no_command_line(supervised: Supervised) -> None:
    """Others on the machine can read those."""
    supervised.assign("(folder / 'told').write_bytes(line); be_ready(); hear()")
    supervised.serve(supervised.are_ready)
    assert (supervised.folder / "told").read_bytes() == b'{"told": 1}\n'
    assert b'told": 1' not in Path(f"/proc/{supervised.pids()[0]}/cmdline").read_bytes()


def test_ready_is_first_all_of_them_and_then_any(supervised: Supervised) -> None:
    """It is told once."""
    wait = "while not (folder / 'go').exists(): time.sleep(0.01)\n"
    once = "hold = folder / 'hold'\nwhile hold.exists(): time.sleep(0.01)\n"
    supervised.assign(SERVE, wait + once + SERVE)
    workers = supervised.workers
    supervised.serve(lambda: workers.all[0].is_ready)
    assert (workers.is_ready, supervised.times_ready) == (False, 0)
    (supervised.folder / "go").touch()
    supervised.serve(supervised.are_ready)
    assert (workers.is_ready, supervised.times_ready) == (True, 1)
    (supervised.folder / "hold").touch()
    pid = workers.all[1].pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    supervised.serve(lambda: workers.all[1].pid not in (None, pid))
    assert not workers.all[1].is_ready
    assert workers.is_ready
    (supervised.folder / "hold").unlink()
    supervised.serve(supervised.are_ready)
    assert (workers.is_ready, supervised.times_ready) == (True, 1)


def test_one_that_is_killed_is_replaced_and_the_other_is_left_alone(supervised: Supervised, logged: Logged) -> None:
    """The end is told while the system still has the figures of the process."""
    supervised.assign(SERVE, SERVE)
    supervised.serve(supervised.are_ready)
    first, other = supervised.pids()
    assert first is not None
    os.kill(first, signal.SIGKILL)
    supervised.serve(lambda: supervised.workers.all[0].restarts == 1 and supervised.are_ready())
    assert supervised.ended == [(0, first, True)]
    assert supervised.pids()[1] == other
    assert supervised.pids()[0] not in (None, first)
    assert supervised.workers.all[1].restarts == 0
    ended, ready = logged
    assert ended["event"] == "a worker ended"
    assert (ended["worker"], ended["cause"], ended["restart_seconds"]) == (0, "SIGKILL", 0.1)
    assert (ready["event"], ready["worker"]) == ("a worker is ready again", 0)


def test_one_that_crashes_again_and_again_is_waited_for_longer_each_time(
    supervised: Supervised, logged: Logged
) -> None:
    """And what it ended with is told."""
    supervised.assign("sys.exit(3)")
    supervised.serve(lambda: supervised.workers.all[0].restarts == 3)
    told = [(line["cause"], line["restart_seconds"]) for line in logged if line["event"] == "a worker ended"]
    assert told[:3] == [("exit code 3", 0.1), ("exit code 3", 0.2), ("exit code 3", 0.4)]


def test_one_that_refuses_to_start_ends_it_all(supervised: Supervised) -> None:
    """Its reason is a setting, which the next one would have as well."""
    supervised.assign(SERVE, """say('{"refusal": "listen: it is taken"}'); sys.exit(2)""")
    with pytest.raises(SettingsError, match=r"^listen: it is taken$"):
        supervised.workers.serve(supervised.signals, supervised)
    supervised.workers.drain(supervised.signals, 0)
    assert sorted(index for index, _, _ in supervised.ended) == [0, 1]


def test_one_that_refuses_later_is_tried_again(supervised: Supervised, logged: Logged) -> None:
    """The others serve, and what is in its way may go away."""
    supervised.assign(
        "if (folder / 'no').exists(): say('{\"refusal\": \"it is taken\"}'); sys.exit(2)\n" + SERVE + "; sys.exit(1)"
    )
    supervised.serve(supervised.are_ready)
    (supervised.folder / "no").touch()
    pid = supervised.pids()[0]
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    supervised.serve(lambda: "exit code 2, it is taken" in [line.get("cause") for line in logged])
    (supervised.folder / "no").unlink()
    supervised.serve(supervised.are_ready)


def test_one_that_hangs_up_is_replaced(supervised: Supervised) -> None:
    """It may run for ever, and nobody would know what it does."""
    supervised.assign("(folder / 'pid').write_text(str(os.getpid())); os.close(1); time.sleep(60)")
    supervised.serve(lambda: supervised.workers.all[0].restarts == 1)
    assert not is_alive(supervised.ended[0][1])


def test_a_system_without_room_for_a_process_is_asked_again(supervised: Supervised, logged: Logged) -> None:
    """It is no reason to end those that run."""
    there = Assignment((sys.executable, "-c", PRELUDE + SERVE, str(supervised.folder)), b"")
    absent = Assignment((str(supervised.folder / "absent"),), b"")
    supervised.workers = Workers([there, absent], lambda _index, _pid: None)
    supervised.serve(
        lambda: (
            [line["reason"] for line in logged if line.get("worker") == 1] == ["No such file or directory"] * 2
            and supervised.workers.all[0].is_ready
        )
    )


def test_settings_that_change_reach_workers_and_those_after_them(supervised: Supervised) -> None:
    """And what one says of them is passed on."""
    supervised.assign(
        "(folder / 'told').write_bytes(line); be_ready(); hear()\n"
        "(folder / 'heard').write_bytes(open(0, 'rb', buffering=0, closefd=False).readline())\n"
        'say(\'{"unloaded": "x: it is taken"}\'); hear()'
    )
    supervised.serve(supervised.are_ready)
    os.kill(os.getpid(), signal.SIGUSR2)
    supervised.serve(lambda: supervised.problems)
    assert (supervised.folder / "heard").read_bytes() == b'{"told": 2}\n'
    assert supervised.problems == [(0, "x: it is taken")]
    assert supervised.are_ready()
    pid = supervised.pids()[0]
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    supervised.serve(lambda: (supervised.folder / "told").read_bytes() == b'{"told": 2}\n')


def test_one_that_does_not_listen_is_replaced(
    supervised: Supervised, logged: Logged, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Settings may be longer than what waits in a pipe."""
    monkeypatch.setattr(process_module, "_LISTEN_SECONDS", 0.1)
    supervised.assign("be_ready(); time.sleep(60)")
    supervised.serve(supervised.are_ready)
    supervised.workers.reload([b"x" * 2**20])
    supervised.serve(lambda: supervised.workers.all[0].restarts == 1 and supervised.workers.all[0].pid is not None)
    assert logged[0]["event"] == "a worker does not listen, and is killed"


def test_what_they_cut_off_is_added_up(supervised: Supervised) -> None:
    """Each says it at its end."""
    end = "be_ready(); hear(); say('{\"cut_streams\": %d}')"
    supervised.assign(end % 2, end % 3)
    supervised.serve(supervised.are_ready)
    supervised.workers.drain(supervised.signals, 60)
    assert supervised.workers.cut_streams == 5


def test_one_that_ends_in_a_drain_without_a_word_is_lost(supervised: Supervised, logged: Logged) -> None:
    """What it cut off nobody knows; one that has said so and is killed later has lost nothing."""
    die = "os.kill(os.getpid(), signal.SIGKILL)"
    supervised.assign(f"be_ready(); hear(); {die}", f"be_ready(); hear(); say('{{\"cut_streams\": 2}}'); {die}")
    supervised.serve(supervised.are_ready)
    supervised.workers.drain(supervised.signals, 60)
    assert (supervised.workers.lost, supervised.workers.cut_streams) == (1, 2)
    (line,) = logged
    assert line["event"] == "a worker ended before it had drained"
    assert (line["worker"], line["cause"]) == (0, "SIGKILL")


def test_a_drain_lasts_as_long_as_its_slowest(supervised: Supervised) -> None:
    """They are told at the same time, and end in their own."""
    slow = "be_ready(); hear()\nwhile not (folder / 'done').exists(): time.sleep(0.01)"
    quick = "be_ready(); hear(); (folder / 'done').touch()"
    supervised.assign(slow, quick)
    supervised.serve(supervised.are_ready)
    supervised.workers.drain(supervised.signals, 60)
    assert supervised.pids() == [None, None]
    assert not supervised.workers.is_ready
    assert [worker.restarts for worker in supervised.workers.all] == [0, 0]


def test_a_signal_hastens_a_drain(supervised: Supervised, logged: Logged) -> None:
    """It is passed on as a word."""
    supervised.assign("be_ready(); (folder / 'heard').write_text(hear() + hear())")
    supervised.serve(supervised.are_ready)
    os.kill(os.getpid(), signal.SIGUSR1)
    supervised.workers.drain(supervised.signals, 60)
    assert (supervised.folder / "heard").read_text() == "ds"
    assert "stopping at once, running streams are cut off" in [line["event"] for line in logged]


def test_one_that_does_not_end_is_killed(
    supervised: Supervised, logged: Logged, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some time behind the end of the drain."""
    monkeypatch.setattr(workers_module, "_END_SECONDS", 0.1)
    supervised.assign("signal.signal(15, signal.SIG_IGN); be_ready(); time.sleep(60)")
    supervised.serve(supervised.are_ready)
    supervised.workers.drain(supervised.signals, 0)
    assert supervised.pids() == [None]
    assert "killing workers that do not end" in [line["event"] for line in logged]


@pytest.mark.parametrize("is_hurried", [False, True], ids=["drained", "stopped at once"])
def test_one_that_has_something_to_send_may_take_its_time(
    supervised: Supervised, logged: Logged, monkeypatch: pytest.MonkeyPatch, is_hurried: bool
) -> None:
    """Telemetry is flushed behind the drain, and whoever is killed there loses what waits."""
    monkeypatch.setattr(workers_module, "_END_SECONDS", 0.1)
    supervised.assign("be_ready(); hear(); time.sleep(0.5); (folder / 'sent').touch()")
    supervised.serve(supervised.are_ready)
    if is_hurried:
        os.kill(os.getpid(), signal.SIGUSR1)
    supervised.workers.drain(supervised.signals, 0, 60)
    assert (supervised.folder / "sent").exists()
    assert "killing workers that do not end" not in [line["event"] for line in logged]


def test_a_descriptor_is_handed_down_where_one_is_needed(supervised: Supervised, tmp_path: Path) -> None:
    """A worker's own standard output is for what it tells its supervisor."""
    with (tmp_path / "out").open("wb") as file:
        script = f"os.write({file.fileno()}, b'from below'); {SERVE}"
        command = (sys.executable, "-c", PRELUDE + script, str(supervised.folder))
        supervised.workers = Workers([Assignment(command, b"", (file.fileno(),))], lambda _index, _pid: None)
        supervised.serve(lambda: supervised.workers.all[0].is_ready)
        supervised.workers.drain(supervised.signals, 60)
    assert (tmp_path / "out").read_bytes() == b"from below"
