"""Lines on their way into a file or a pipe that others write to as well.

Owns: that a line stays in one piece beside those of others, that a file which was rotated is opened anew, and that what
a full disk has cut is no part of the next line. Must not know what is in a line, nor when one is due.
"""

from __future__ import annotations

import os
import stat
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from extproc.errors import SettingsError

# What a pipe takes in one piece, https://man7.org/linux/man-pages/man7/pipe.7.html; POSIX promises an eighth of it.
_PIPE_BYTES = 4096

_FLAGS = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
_MODE = 0o640

# How often a file is looked after: whether it still is the one at its path.
_LOOK_SECONDS = 1.0


class LineOutput:
    """Somewhere to write lines to: a file by its path, or a descriptor that somebody else has opened.

    A file in the place of a path is opened for appending, and made with mode 0640 where there is none. Only one thread
    may use it; any may call `reopen`.
    """

    def __init__(self, target: Path | int, clock: Callable[[], float] = time.monotonic) -> None:
        """Open it. Raises SettingsError if that can't be done."""
        self._path = target if isinstance(target, Path) else None
        self._clock = clock
        self._look_at = 0.0
        self._is_torn = False  # whether the last line lacks its end
        self._takes_all = False  # whether lines stay in one piece however many there are
        self._descriptor: int | None = None if isinstance(target, Path) else target
        self.problem: str | None = None  # why the last lines could not be written; None if they could
        try:
            self._prepare()
        except OSError as error:
            raise SettingsError(f"usage_log: cannot write {target}: {error.strerror}") from None

    def write(self, lines: Sequence[bytes]) -> int:
        """Write lines, each with its end; return how many went out: all of them, or there is a `problem`."""
        self.problem, written = None, 0
        try:
            descriptor = self._prepare()
            while written < len(lines):
                group = lines[written:] if self._takes_all else _first_together(lines[written:])
                written += self._write_once(descriptor, group)
        except OSError as error:
            self.problem = error.strerror or type(error).__name__
        return written

    def reopen(self) -> None:
        """Look after the file with the next lines."""
        self._look_at = 0.0

    def close(self) -> None:
        """Let go of a file. What somebody else has opened stays open."""
        if self._path is not None and self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _prepare(self) -> int:
        """Return what to write to, opened anew where another file stands at the path by now."""
        if self._path is not None and self._clock() >= self._look_at:
            if self._descriptor is not None and not _is_at(self._descriptor, self._path):
                self.close()
            self._look_at = self._clock() + _LOOK_SECONDS
        if self._descriptor is None:
            assert self._path is not None  # noqa: S101 - for the type checker: a descriptor is never let go of
            # A named pipe without a reader would be waited for.
            self._descriptor = os.open(self._path, _FLAGS | os.O_NONBLOCK, _MODE)
            os.set_blocking(self._descriptor, True)
            self._is_torn = False
        self._takes_all = stat.S_ISREG(os.fstat(self._descriptor).st_mode)
        if self._takes_all and self._path is not None:
            self._is_torn = _is_torn(self._path, self._is_torn)
        return self._descriptor

    def _write_once(self, descriptor: int, lines: Sequence[bytes]) -> int:
        """Write as much as goes out at once; return how many lines were finished by it."""
        torn = b"\n" if self._is_torn else b""
        sent = os.write(descriptor, torn + b"".join(lines)) - len(torn)
        self._is_torn = False
        for index, line in enumerate(lines):
            if sent < len(line):
                self._is_torn = sent > 0
                return index
            sent -= len(line)
        return len(lines)


def open_output(target: str, stdout: int | None = None) -> LineOutput:
    """Return the output of a setting: a path, or "stdout", for which `stdout` stands if it is another descriptor.

    Raises SettingsError if it can't be had.
    """
    if target == "stdout":
        return LineOutput(find_stdout() if stdout is None else stdout)
    return LineOutput(Path(target))


def find_stdout() -> int:
    """Return the descriptor of standard output. Raises SettingsError where there is none."""
    if sys.stdout is None:  # what has its number by now is something else
        raise SettingsError("usage_log: standard output is closed: use an absolute path")
    return sys.stdout.fileno()


def _first_together(lines: Sequence[bytes]) -> Sequence[bytes]:
    """Return the first lines, as many as a pipe takes in one piece; one at least."""
    count, size = 1, len(lines[0])
    while count < len(lines) and size + len(lines[count]) <= _PIPE_BYTES:
        size += len(lines[count])
        count += 1
    return lines[:count]


def _is_torn(path: Path, otherwise: bool) -> bool:
    """Say whether a file ends within a line: a full disk may have stopped us, or another who writes to it.

    Where it can't be read, return `otherwise`.
    """
    with suppress(OSError), path.open("rb") as file:
        if not file.seek(0, os.SEEK_END):
            return False
        file.seek(-1, os.SEEK_END)
        return file.read(1) != b"\n"
    return otherwise


def _is_at(descriptor: int, path: Path) -> bool:
    with suppress(OSError):
        return os.path.samestat(os.fstat(descriptor), path.stat())
    return False
