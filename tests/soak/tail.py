"""The usage log, read as it grows, and rotated: what was read is deleted."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO, Self

import orjson

# How long who writes may take to see that the file has moved: a second, and what the machine adds.
_KEEP_SECONDS = 20.0


class Tail:
    """A context: reads all files that have stood at a path. Only one thread may use it."""

    def __init__(self, path: Path, on_line: Callable[[Mapping[str, Any]], object]) -> None:
        self._path = path
        self._on_line = on_line
        self._files: list[_File] = []
        self.rotations = 0
        self.torn = 0  # lines that have no end, or are none
        self.bytes_read = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for file in self._files:
            file.handle.close()

    def read(self) -> None:
        """Take what has come."""
        if not self._files or self._files[-1].until_seconds is not None:
            self._open()
        for file in self._files:
            self._read(file)
        while self._files and self._files[0].is_over:
            file = self._files.pop(0)
            self.torn += bool(file.rest)
            file.handle.close()

    def rotate(self) -> None:
        """Move the file away, as logrotate does, and delete it: who writes to it finds out."""
        if self._files and self._files[-1].until_seconds is None:
            self._path.unlink()
            self._files[-1].until_seconds = time.monotonic() + _KEEP_SECONDS
            self.rotations += 1

    def _open(self) -> None:
        try:
            self._files.append(_File(self._path.open("rb")))
        except FileNotFoundError:
            return

    def _read(self, file: _File) -> None:
        data = file.handle.read()
        self.bytes_read += len(data)
        *lines, file.rest = (file.rest + data).split(b"\n")
        for line in lines:
            try:
                document = orjson.loads(line)
            except orjson.JSONDecodeError:
                self.torn += bool(line)
            else:
                self._on_line(document)


class _File:
    """One file."""

    def __init__(self, handle: BinaryIO) -> None:
        self.handle = handle
        self.rest = b""
        self.until_seconds: float | None = None

    @property
    def is_over(self) -> bool:
        return self.until_seconds is not None and time.monotonic() > self.until_seconds
