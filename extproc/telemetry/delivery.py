"""Getting one payload to a collector: some tries, within a bound, and a count of what became of it.

Owns: retries, counts, and the two lines in the log that say that a collector fails and that it works again. Must not
know what is in a payload, or how it is carried. It runs in a thread of its own, off the traffic path.
"""

from __future__ import annotations

import random
import threading
import time

import structlog

from extproc.telemetry.counts import Signal, SignalCounts
from extproc.telemetry.sender import Sender, SendError

log = structlog.stdlib.get_logger("extproc")

# The pause before the next try: 1 s, 2 s, 4 s, ... give or take a fifth, as OpenTelemetry's own exporters have it.
_FIRST_PAUSE_SECONDS = 1.0
_JITTER = 0.2

# Where what is dropped is counted.
_DROPPED = "extproc_telemetry_dropped_total"

# A try for which less than this is left would only fail.
_MIN_TRY_SECONDS = 0.001


class Delivery:
    """Delivers payloads of one signal by one sender, one after another."""

    def __init__(
        self, exporter: str, signal: Signal, sender: Sender, counts: SignalCounts, timeout_seconds: float
    ) -> None:
        """`timeout_seconds` is for a payload with all its tries."""
        self._told = {"exporter": exporter, "signal": signal.value}
        self._sender = sender
        self._counts = counts
        self._timeout_seconds = timeout_seconds
        self._is_failing = False
        self._stopping = threading.Event()
        self._stop_at = float("inf")
        self._lock = threading.Lock()
        self._in_flight = 0
        self._is_abandoned = False

    def deliver(self, payload: bytes, items: int) -> bool:
        """Deliver a payload of so many items, or count them as dropped. Return whether the collector has taken it."""
        with self._lock:
            if self._is_abandoned:
                self._counts.shutdown.inc(items)
                return False
            self._in_flight = items
        rejected, reason = items, None
        try:
            rejected = min(self._try_until_done(payload), items)
        except SendError as error:
            reason = error.reason
        except Exception as error:  # noqa: BLE001 - the next payload may be better, and the text may repeat what was sent
            reason = type(error).__name__
        self._settle(items - rejected, rejected)
        self._note(reason)
        return reason is None

    def drop(self, items: int) -> None:
        """Count items that are not worth a try."""
        self._settle(0, items)

    def stop(self, stop_at: float) -> None:
        """Try nothing twice from now on, and nothing after `stop_at`, in monotonic seconds. Any thread may say so."""
        self._stop_at = stop_at
        self._stopping.set()

    def abandon(self, waiting: int = 0) -> None:
        """Count what is still being sent as dropped, whatever becomes of it, and so many items that wait for it."""
        with self._lock:
            self._is_abandoned = True
            dropped = self._in_flight + waiting
            self._counts.shutdown.inc(dropped)
            self._in_flight = 0
        if dropped:  # nobody may come to read the counter
            log.warning("telemetry was dropped at the stop", items=dropped, **self._told)
        self._sender.close()

    def _settle(self, exported: int, failed: int) -> None:
        with self._lock:
            self._in_flight = 0
            if self._is_abandoned:
                return
            self._counts.exported.inc(exported)
            self._counts.export_failed.inc(failed)

    def _try_until_done(self, payload: bytes) -> int:
        give_up_at = time.monotonic() + self._timeout_seconds
        pause = _FIRST_PAUSE_SECONDS
        while True:
            left_seconds = min(give_up_at, self._stop_at) - time.monotonic()
            if left_seconds < _MIN_TRY_SECONDS:
                raise SendError("no time was left", is_retryable=False)
            try:
                return self._sender.send(payload, left_seconds)
            except SendError as error:
                if not error.is_retryable:
                    raise
                seconds = error.retry_after_seconds
                if seconds is None:
                    seconds = pause * random.uniform(1 - _JITTER, 1 + _JITTER)  # noqa: S311 - no secret
                if time.monotonic() + seconds >= give_up_at or self._stopping.wait(seconds):
                    raise
            pause *= 2

    def _note(self, reason: str | None) -> None:
        """Log it once when a collector starts to fail, and once when it works again."""
        if reason is not None and not self._is_failing:
            log.warning("an exporter of telemetry fails", **self._told, reason=reason, counted_in=_DROPPED)
        elif reason is None and self._is_failing:
            log.warning("an exporter of telemetry works again", **self._told)
        self._is_failing = reason is not None
