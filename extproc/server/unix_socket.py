"""A Unix socket in the file system: how its file comes into being, and how it goes.

gRPC takes away what is in the place of a socket, binds it with the permissions that the umask leaves, and at its end
takes away whatever is in that place by then. So it binds in a folder that only we can look into, and we move the file
from there: with its permissions set, in the place of one that nobody serves; and at the end away if it is still ours.

Owns: the file. Must not know gRPC.
"""

from __future__ import annotations

import fcntl
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from extproc.config.address import MAX_SOCKET_NAME_BYTES, UnixSocket
from extproc.errors import SettingsError
from extproc.server.listen import check_listen

_LOCK_SECONDS = 2.0
_LOCK_PAUSE_SECONDS = 0.01


class SocketFile:
    """The file of a socket."""

    def __init__(self, address: UnixSocket, mode: int | None) -> None:
        """Prepare a place to bind, `bind_address`; `mode` is what chmod takes, None what the umask leaves.

        Raises SettingsError where there is no room for one.
        """
        self._address = address
        self._path = Path(address.name)
        self._mode = mode
        self._identity: tuple[int, int] | None = None
        try:
            self._folder = Path(tempfile.mkdtemp(prefix=".", dir=self._path.parent))
        except OSError as error:
            raise SettingsError(f"cannot listen on {address}: {error.strerror}") from None
        self._bound = self._folder / "x"
        if len(os.fsencode(self._bound)) > MAX_SOCKET_NAME_BYTES:
            self._folder.rmdir()
            raise SettingsError(f"cannot listen on {address}: the name of its folder is too long")
        self.bind_address = UnixSocket(str(self._bound))

    def publish(self) -> None:
        """Put the socket in its place, once it is listened on.

        Raises SettingsError where another process serves one there.
        """
        try:
            if self._mode is not None:
                self._bound.chmod(self._mode)
            with _locked(self._path.parent):
                check_listen(self._address)  # two that start at the same time both found it free before
                self._bound.rename(self._path)
                self._identity = _identity(self._path)
        except OSError as error:
            raise SettingsError(f"cannot listen on {self._address}: {error.strerror}") from None
        finally:
            self._discard()

    def remove(self) -> None:
        """Take the file away, unless a process that has come after us has its own there. It may be called again."""
        self._discard()
        with suppress(OSError), _locked(self._path.parent):
            # Ours is still listened on, so nobody else's has its number.
            if self._identity is not None and _identity(self._path) == self._identity:
                self._path.unlink()
        self._identity = None

    def _discard(self) -> None:
        with suppress(OSError):
            self._bound.unlink(missing_ok=True)
            self._folder.rmdir()


def _identity(path: Path) -> tuple[int, int]:
    found = path.lstat()
    return found.st_dev, found.st_ino


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Keep other sidecars from changing sockets in a folder; who holds its lock for long is not waited for."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        deadline = time.monotonic() + _LOCK_SECONDS
        while not _try_lock(descriptor) and time.monotonic() < deadline:
            time.sleep(_LOCK_PAUSE_SECONDS)
        yield
    finally:
        os.close(descriptor)


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
