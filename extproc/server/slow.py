"""Messages that take longer than they should.

Owns: how long each took, and where the engine is while one does. Whoever waits for the interpreter meanwhile waits as
long, so it is told of, with the place in the code and nothing of the message but its size. Must not know what messages
say, but for their phase once they have been slow.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Final

import structlog

from extproc.errors import DecodeError
from extproc.pace import Seldom
from extproc.server.session import Session
from extproc.wire.envoy import decode_request

log = structlog.stdlib.get_logger("extproc")

_LOG_SECONDS: Final = 10.0

# The innermost places that are told.
_MAX_FRAMES: Final = 12

_NO_PHASE: Final = "unknown"


class Watch:
    """Has sessions take messages. A process has one, because it has one engine.

    `on_slow` hears of the phase of each message that took longer than `slow_seconds`, and must not raise. Any thread
    may ask for a `look`; all else happens in the engine's.
    """

    def __init__(
        self, on_slow: Callable[[str], None] = lambda _phase: None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.slow_seconds = float("inf")
        self._on_slow = on_slow
        self._clock = clock
        self._thread_id = 0
        self._begun_at: float | None = None  # while a message is taken
        self._size_bytes = 0
        self._looked_at: float | None = None
        self._ended = Seldom(_LOG_SECONDS)
        self._running = Seldom(_LOG_SECONDS)

    def receive(self, session: Session, message: bytes) -> bytes | None:
        """Have a session take a message; return its reply."""
        begun_at = self._begun_at = self._clock()
        self._size_bytes = len(message)
        if not self._thread_id:
            self._thread_id = threading.get_ident()
        try:
            reply = session.receive(message, begun_at)
        finally:
            self._begun_at = None
        if (seconds := self._clock() - begun_at) > self.slow_seconds:
            self._tell(message, seconds)
        return reply

    def look(self) -> None:
        """Say where the engine is, if it has been at one message for too long; once for each, and seldom."""
        begun_at = self._begun_at
        if begun_at is None or begun_at == self._looked_at:
            return
        seconds = self._clock() - begun_at
        frame = sys._current_frames().get(self._thread_id)  # noqa: SLF001 - public but for its name
        places = _places_of(frame)
        if seconds <= self.slow_seconds or self._begun_at != begun_at:
            return  # it is over, and the place is another one's
        self._looked_at = begun_at
        if self._running.count() is not None:
            log.warning("a message takes long", seconds=round(seconds, 3), size_bytes=self._size_bytes, at=places)

    def _tell(self, message: bytes, seconds: float) -> None:
        try:
            phase = decode_request(message)[1].value
        except DecodeError:
            phase = _NO_PHASE
        self._on_slow(phase)
        if (messages := self._ended.count()) is not None:
            size_bytes = len(message)
            log.warning(
                "a message took long", phase=phase, seconds=round(seconds, 3), size_bytes=size_bytes, messages=messages
            )


def _places_of(frame: FrameType | None) -> list[str]:
    """Return where a thread is, the innermost place first."""
    places: list[str] = []
    while frame is not None and len(places) < _MAX_FRAMES:
        code = frame.f_code
        places.append(f"{Path(code.co_filename).name}:{frame.f_lineno} in {code.co_name}")
        frame = frame.f_back
    return places
