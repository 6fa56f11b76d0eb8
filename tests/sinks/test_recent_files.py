from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from extproc.sinks import recent_files
from extproc.sinks.recent import Snapshot
from extproc.sinks.recent_files import RecentReader, RecentWriter, remove_recent


def told(name: float) -> Callable[[], Snapshot]:
    return lambda: Snapshot(name, [], [])


def names(snapshots: list[Snapshot]) -> list[float]:
    return [snapshot.taken_at for snapshot in snapshots]


@pytest.fixture(autouse=True)
def _is_impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recent_files, "_PATIENCE_SECONDS", 0.2)


def test_nothing_is_written_while_nobody_looks(tmp_path: Path) -> None:
    """Nor long after somebody has."""
    writer = RecentWriter(tmp_path, 0, told(1))
    writer.write()
    assert not list(tmp_path.iterdir())
    RecentReader(tmp_path, 1).read()
    mark = next(tmp_path.iterdir())
    os.utime(mark, (time.time() - 60,) * 2)
    writer.write()
    assert list(tmp_path.iterdir()) == [mark]


def test_who_asks_first_waits_for_the_workers(tmp_path: Path) -> None:
    """A second at most: they look so often."""
    reader, writers = RecentReader(tmp_path, 2), [RecentWriter(tmp_path, index, told(index)) for index in (0, 1)]
    done = threading.Event()

    def work() -> None:
        while not done.wait(0.01):
            for writer in writers:
                writer.write()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        assert names(reader.read()) == [0, 1]
    finally:
        done.set()
        thread.join()


def test_a_worker_that_is_silent_is_not_heard(tmp_path: Path) -> None:
    """Neither one that writes no more, nor one that wrote what nobody can read."""
    reader = RecentReader(tmp_path, 3)
    assert reader.read() == []
    for index in range(3):
        RecentWriter(tmp_path, index, told(index)).write()
    assert names(reader.read()) == [0, 1, 2]
    files = sorted(tmp_path.glob("*.msgpack"))
    os.utime(files[0], (time.time() - 10,) * 2)
    files[1].write_bytes(b"\xc1")
    assert names(reader.read()) == [2]


def test_a_folder_that_is_gone_hurts_nobody(tmp_path: Path) -> None:
    """The supervisor may be killed before its workers."""
    folder = tmp_path / "metrics"
    folder.mkdir()
    reader, writer = RecentReader(folder, 1), RecentWriter(folder, 0, told(0))
    reader.read()
    writer.write()
    remove_recent(folder, [0])
    assert not list(folder.iterdir())
    folder.rmdir()
    writer.write()
    assert reader.read() == []
