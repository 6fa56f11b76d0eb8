from __future__ import annotations

import fcntl
import os
import socket
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.waiting import wait_for

from extproc.config.address import MAX_SOCKET_NAME_BYTES, UnixSocket
from extproc.errors import SettingsError
from extproc.server import unix_socket
from extproc.server.unix_socket import SocketFile


@contextmanager
def listening(file: SocketFile) -> Iterator[socket.socket]:
    """Bind as gRPC does, where it is told to."""
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(file.bind_address.name)
        server.listen()
        yield server


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        return client.connect_ex(str(path)) == 0


@pytest.mark.parametrize(("mode", "expected"), [(0o660, 0o660), (0o600, 0o600), (0o777, 0o777), (None, 0o750)])
def test_a_socket_is_only_seen_with_its_permissions(tmp_path: Path, mode: int | None, expected: int) -> None:
    """Until then it is in a folder that only its owner can look into; without a mode the umask stands."""
    path, before = tmp_path / "x.sock", os.umask(0o027)
    try:
        file = SocketFile(UnixSocket(str(path)), mode)
        with listening(file):
            assert stat.S_IMODE(Path(file.bind_address.name).parent.stat().st_mode) == 0o700
            assert not path.exists()
            file.publish()
            assert stat.S_IMODE(path.stat().st_mode) == expected
            assert answers(path)
            assert names_in(tmp_path) == ["x.sock"]
            file.remove()
            file.remove()
            assert names_in(tmp_path) == []
    finally:
        os.umask(before)


def test_one_that_was_left_behind_is_replaced(tmp_path: Path) -> None:
    """Nobody answers on it."""
    path = tmp_path / "x.sock"
    with socket.socket(socket.AF_UNIX) as gone:
        gone.bind(str(path))
    file = SocketFile(UnixSocket(str(path)), None)
    with listening(file):
        file.publish()
        assert answers(path)


def test_of_two_that_start_at_the_same_time_one_is_refused(tmp_path: Path) -> None:
    """Each found nobody there before it began, and the first one keeps its traffic."""
    path = tmp_path / "x.sock"
    first, second = (SocketFile(UnixSocket(str(path)), None) for _ in range(2))
    with listening(first), listening(second):
        first.publish()
        with pytest.raises(SettingsError, match="another process serves it"):
            second.publish()
        second.remove()
        assert answers(path)
        assert names_in(tmp_path) == ["x.sock"]


def test_the_socket_of_a_successor_stays(tmp_path: Path) -> None:
    """It has its own in the same place by the time that the one before it stops."""
    path = tmp_path / "x.sock"
    old, new = (SocketFile(UnixSocket(str(path)), None) for _ in range(2))
    with listening(old) as server:
        old.publish()
        path.unlink()  # somebody cleared it away for the new one
        with listening(new):
            new.publish()
            old.remove()
            server.close()
            assert answers(path)
            new.remove()
            assert not path.exists()


def test_a_folder_that_is_gone_is_no_trouble_at_the_end(tmp_path: Path) -> None:
    """There is nothing left to take away."""
    folder = tmp_path / "run"
    folder.mkdir()
    file = SocketFile(UnixSocket(f"{folder}/x.sock"), None)
    with listening(file):
        file.publish()
        (folder / "x.sock").unlink()
        folder.rmdir()
        file.remove()


def test_two_do_not_change_a_folder_at_the_same_time(tmp_path: Path) -> None:
    """One looks who serves a socket, and the other puts it there meanwhile."""
    file, descriptor = SocketFile(UnixSocket(f"{tmp_path}/x.sock"), None), os.open(tmp_path, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        with listening(file):
            publishing = threading.Thread(target=file.publish)
            publishing.start()
            publishing.join(0.1)
            assert publishing.is_alive()
            assert not (tmp_path / "x.sock").exists()
            fcntl.flock(descriptor, fcntl.LOCK_UN)
            wait_for((tmp_path / "x.sock").exists)
            publishing.join()
    finally:
        os.close(descriptor)


def test_who_holds_the_lock_for_long_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may be a program that has nothing to do with sockets."""
    monkeypatch.setattr(unix_socket, "_LOCK_SECONDS", 0.05)
    file, descriptor = SocketFile(UnixSocket(f"{tmp_path}/x.sock"), None), os.open(tmp_path, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        with listening(file):
            file.publish()
            assert answers(tmp_path / "x.sock")
    finally:
        os.close(descriptor)


def test_a_place_that_cannot_be_had_is_said_so(tmp_path: Path) -> None:
    """In one line, and nothing is left."""
    with pytest.raises(SettingsError, match=r"cannot listen on unix:.*/no/x.sock: No such file or directory"):
        SocketFile(UnixSocket(f"{tmp_path}/no/x.sock"), None)
    folder = tmp_path / ("x" * (MAX_SOCKET_NAME_BYTES - len(os.fsencode(tmp_path)) - 4))
    folder.mkdir()
    with pytest.raises(SettingsError, match="the name of its folder is too long"):
        SocketFile(UnixSocket(f"{folder}/x"), None)
    assert names_in(folder) == []
    file = SocketFile(UnixSocket(f"{tmp_path}/y.sock"), None)
    with listening(file):
        (tmp_path / "y.sock").mkdir()
        with pytest.raises(SettingsError, match=r"y\.sock: "):
            file.publish()
    assert names_in(tmp_path) == sorted([folder.name, "y.sock"])
