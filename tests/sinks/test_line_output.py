from __future__ import annotations

import errno
import os
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from extproc.errors import SettingsError
from extproc.sinks.line_output import LineOutput


class Clock:
    """A clock that stands still until it is told to go on."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


class Disk:
    """What takes so many bytes, and then has no room until it gets more."""

    def __init__(self, room: int) -> None:
        self.room = room

    def write(self, descriptor: int, data: bytes) -> int:
        taken = min(self.room, len(data))
        if not taken:
            raise OSError(errno.ENOSPC, "No space left on device")
        self.room -= taken
        return os_write(descriptor, data[:taken])


os_write = os.write


@contextmanager
def pipe() -> Iterator[tuple[int, int]]:
    reader, writer = os.pipe()
    try:
        yield reader, writer
    finally:
        os.close(reader)
        os.close(writer)


@pytest.fixture(name="path")
def _path(tmp_path: Path) -> Path:
    return tmp_path / "usage.jsonl"


def test_lines_are_appended_to_a_file_that_others_may_not_read(path: Path) -> None:
    """To what is there already."""
    for line in (b"a\n", b"b\n"):
        output = LineOutput(path)
        assert output.write([line]) == 1
        output.close()
    assert path.read_bytes() == b"a\nb\n"
    assert stat.S_IMODE(path.stat().st_mode) & 0o137 == 0


@pytest.mark.parametrize("rotate", [os.unlink, lambda path: path.rename(f"{path}.1")], ids=["gone", "renamed"])
def test_a_file_that_was_rotated_is_opened_anew(path: Path, rotate: object) -> None:
    """Within a second, and at once where somebody says so; a second rotation as well as the first."""
    assert callable(rotate)
    clock = Clock()
    output = LineOutput(path, clock)
    output.write([b"a\n"])
    rotate(path)
    output.write([b"b\n"])
    assert not path.exists()
    clock.now += 1
    output.write([b"c\n"])
    assert path.read_bytes() == b"c\n"
    rotate(path)
    path.write_bytes(b"made by who rotated\n")
    output.reopen()
    output.write([b"d\n"])
    output.close()
    assert path.read_bytes() == b"made by who rotated\nd\n"


def test_a_full_disk_costs_nothing_but_time(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was cut off is written again, and is no part of the line behind it."""
    disk = Disk(room=5)
    monkeypatch.setattr(os, "write", disk.write)
    output = LineOutput(path)
    assert (output.write([b"aa\n", b"bb\n", b"cc\n"]), output.problem) == (1, "No space left on device")
    assert output.write([b"bb\n", b"cc\n"]) == 0
    disk.room = 1  # for the end of the line that was cut off, and nothing else
    assert output.write([b"bb\n", b"cc\n"]) == 0
    disk.room = 100
    assert (output.write([b"bb\n", b"cc\n"]), output.problem) == (2, None)
    assert path.read_bytes() == b"aa\nbb\nbb\ncc\n"


@pytest.mark.parametrize(("before", "after"), [(b"", b"a\n"), (b"x\n", b"x\na\n"), (b"x\nha", b"x\nha\na\n")])
def test_what_a_process_before_left_unfinished_is_no_part_of_a_line(path: Path, before: bytes, after: bytes) -> None:
    """It may have been killed where the disk was full."""
    path.write_bytes(before)
    output = LineOutput(path)
    output.write([b"a\n"])
    output.close()
    assert path.read_bytes() == after


def test_what_a_full_disk_has_cut_of_another_is_no_part_of_a_line(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two workers write to the same file, and the one that was not cut off may be the first to write again."""
    disk = Disk(room=4)
    monkeypatch.setattr(os, "write", disk.write)
    one, other = LineOutput(path), LineOutput(path)
    assert one.write([b"aa\n", b"bb\n"]) == 1
    disk.room = 100
    assert other.write([b"cc\n"]) == 1
    assert one.write([b"bb\n"]) == 1
    assert path.read_bytes() == b"aa\nb\ncc\nbb\n"


def test_a_file_that_cannot_be_read_is_written_all_the_same(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was cut off of our own lines is known without it. Whoever runs this may be root, who may read all."""
    disk = Disk(room=4)

    def refuse(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(Path, "open", refuse)
    monkeypatch.setattr(os, "write", disk.write)
    output = LineOutput(path)
    assert output.write([b"aa\n", b"bb\n"]) == 1
    disk.room = 100
    assert output.write([b"bb\n"]) == 1
    monkeypatch.undo()
    assert path.read_bytes() == b"aa\nb\nbb\n"


def test_a_folder_that_is_gone_is_waited_for(tmp_path: Path) -> None:
    """Somebody may make it again."""
    clock = Clock()
    folder = tmp_path / "logs"
    folder.mkdir()
    output = LineOutput(folder / "usage", clock)
    (folder / "usage").unlink()
    folder.rmdir()
    clock.now += 1
    assert (output.write([b"a\n"]), output.problem) == (0, "No such file or directory")
    folder.mkdir()
    assert (output.write([b"a\n"]), output.problem) == (1, None)
    assert (folder / "usage").read_bytes() == b"a\n"


def test_what_cannot_be_opened_is_refused(tmp_path: Path) -> None:
    """In a sentence that names the setting; a named pipe that nobody reads is not waited for."""
    os.mkfifo(tmp_path / "fifo")
    for path, reason in ((tmp_path / "no" / "log", "No such file or directory"), (tmp_path, "Is a directory")):
        with pytest.raises(SettingsError, match=f"^usage_log: cannot write {path}: {reason}$"):
            LineOutput(path)
    with pytest.raises(SettingsError, match="No such device or address"):
        LineOutput(tmp_path / "fifo")


def test_a_pipe_gets_as_many_lines_at_a_time_as_stay_together() -> None:
    """Others write to it as well."""
    lines = [b"x" * 1999 + b"\n", b"y" * 1999 + b"\n", b"z" * 1999 + b"\n"]
    sizes = []

    def write(descriptor: int, data: bytes) -> int:
        sizes.append(len(data))
        return os_write(descriptor, data)

    with pipe() as (reader, writer), pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "write", write)
        output = LineOutput(writer)
        assert output.write(lines) == 3
        assert os.read(reader, 10_000) == b"".join(lines)
        output.close()
        os.fstat(writer)  # it is not ours to close
    assert sizes == [4000, 2000]


def test_lines_of_several_stay_whole_in_a_pipe() -> None:
    """However slowly it is read."""
    with pipe() as (reader, writer):

        def write(letter: bytes) -> None:
            output = LineOutput(writer)
            for size in range(1, 300):
                output.write([letter * size * 3 + b"\n"] * 3)

        threads = [threading.Thread(target=write, args=(letter,)) for letter in (b"a", b"b")]
        for thread in threads:
            thread.start()
        said = b""
        while said.count(b"\n") < 2 * 299 * 3:
            said += os.read(reader, 65536)
        for thread in threads:
            thread.join()
    assert all(len(set(line)) == 1 for line in said.splitlines())


def test_a_pipe_that_nobody_reads_is_a_problem() -> None:
    """And no exception, nor a signal."""
    reader, writer = os.pipe()
    os.close(reader)
    output = LineOutput(writer)
    assert (output.write([b"a\n"]), output.problem) == (0, "Broken pipe")
    os.close(writer)
