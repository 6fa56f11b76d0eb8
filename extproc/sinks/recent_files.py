"""What workers remember, on its way to their supervisor: files in the folder where their metrics meet.

A supervisor that is asked marks the folder, and as long as the mark is fresh each worker writes its snapshot every
second. While nobody looks nothing is written.

Owns: the files, and how old one may be. A file is replaced whole, so nobody reads half of one. Must not know what is
in a snapshot.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from extproc.sinks.recent import Snapshot

# How long after somebody has asked workers go on writing. A page asks every two seconds.
_WANTED_SECONDS: Final = 15.0

# Workers write every second. What is older is of one that is gone, or has more to do than to write.
_FRESH_SECONDS: Final = 5.0

# How long somebody who asks waits for the first files.
_PATIENCE_SECONDS: Final = 2.5
_LOOK_SECONDS: Final = 0.05

_MARK: Final = "recent-wanted"


class RecentWriter:
    """A worker's side."""

    def __init__(self, directory: Path, index: int, take: Callable[[], Snapshot]) -> None:
        self._mark = directory / _MARK
        self._path = _path_of(directory, index)
        self._take = take

    def write(self) -> None:
        """Write what there is to tell, if somebody looks."""
        if time.time() - _written_at(self._mark) > _WANTED_SECONDS:
            return
        part = self._path.with_suffix(".part")
        with suppress(OSError):  # no room, or no folder any more: the page says who has not been heard
            part.write_bytes(msgspec.msgpack.encode(self._take()))
            part.replace(self._path)


class RecentReader:
    """The supervisor's side. `count` is how many workers there are to hear."""

    def __init__(self, directory: Path, count: int) -> None:
        self._mark = directory / _MARK
        self._paths = [_path_of(directory, index) for index in range(count)]

    def read(self) -> list[Snapshot]:
        """Return the snapshots that workers have written lately; who asks after a while waits for them."""
        asked_at = time.time()
        was_wanted = asked_at - _written_at(self._mark) <= _WANTED_SECONDS
        with suppress(OSError):
            self._mark.touch(mode=0o600)
        since = asked_at - _FRESH_SECONDS if was_wanted else asked_at
        deadline = time.monotonic() + (0 if was_wanted else _PATIENCE_SECONDS)
        while len(fresh := self._find(since)) < len(self._paths) and time.monotonic() < deadline:
            time.sleep(_LOOK_SECONDS)
        return [snapshot for path in fresh if (snapshot := _read(path)) is not None]

    def _find(self, since: float) -> list[Path]:
        return [path for path in self._paths if _written_at(path) >= since]


def remove_recent(directory: Path, indexes: Iterable[int]) -> None:
    """Remove what has been written of these workers, and the mark."""
    for path in (directory / _MARK, *(_path_of(directory, index) for index in indexes)):
        path.unlink(missing_ok=True)


def _path_of(directory: Path, index: int) -> Path:
    return directory / f"recent_{index}.msgpack"


def _written_at(path: Path) -> float:
    try:
        return os.stat(path).st_mtime  # noqa: PTH116 - every second, so no object for it
    except OSError:
        return 0.0


def _read(path: Path) -> Snapshot | None:
    try:
        return msgspec.msgpack.decode(path.read_bytes(), type=Snapshot)
    except (OSError, msgspec.MsgspecError):  # gone since, or of another version
        return None
