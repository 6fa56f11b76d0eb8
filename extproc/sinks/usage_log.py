"""The usage log: a line of JSON for each exchange with an LLM, for whoever bills from logs.

A line has what the metadata has, under the same names, and what became of the exchange. The traffic path only appends
to a queue; a thread writes. Where nothing can be written, lines wait until the queue is full, and what comes then is
dropped and counted.

Owns: what is in a line, the queue, and the count of lines. Must not know how bytes get into a file.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import orjson
import structlog
from prometheus_client import CollectorRegistry, Counter

from extproc.pace import AT_ONCE, Pace
from extproc.semconv import KEY_HITS_ADDEND
from extproc.sinks.line_output import LineOutput
from extproc.sinks.metadata import build_fields, build_ratelimit_fields
from extproc.usage import UsageRecord

log = structlog.stdlib.get_logger("extproc")

# So many exchanges wait at most: some seconds of the traffic of a process, and some megabytes.
_MAX_WAITING = 16 * 1024

# How long a line may wait for others.
_FLUSH_SECONDS = 0.1

# How long to wait where nothing could be written.
_RETRY_SECONDS = 1.0

_BATCH_LINES = 512


class UsageLogLines:
    """Counts the lines of the usage log, each outcome from 0."""

    def __init__(self, registry: CollectorRegistry) -> None:
        lines = Counter(
            "extproc_usage_log_lines",
            "Lines of the usage log: written, or dropped for want of room or a place",
            ["outcome"],
            registry=registry,
        )
        self.written, self.dropped = lines.labels("written"), lines.labels("dropped")


def build_line(record: UsageRecord, label_names: Sequence[str] = ()) -> dict[str, object]:
    """Return what there is to say of an exchange. What is not known has no key."""
    line: dict[str, object] = {**build_fields(record), **_charges(record)}
    if record.cost is not None:
        line["cost_usd"] = record.cost.usd  # many small costs are something: millionths of each are not enough
    line["completion"] = record.completion.value
    if record.status_code is not None:
        line["status"] = record.status_code
    line["duration_ms"] = round(record.duration_seconds * 1000)
    if record.request_id is not None:
        line["request_id"] = record.request_id
    around = record.surroundings
    if around is not None:
        if around.trace is not None:
            line["trace_id"] = f"{around.trace.trace_id:032x}"
        if label_names:
            line["labels"] = dict(zip(label_names, around.labels, strict=False))
    return line


def _charges(record: UsageRecord) -> dict[str, object]:
    """Return what is charged: under the key that Envoy has for it as it is, others apart, as they may have any name."""
    charges = dict(build_ratelimit_fields(record))
    line: dict[str, object] = {}
    if KEY_HITS_ADDEND in charges:
        line[KEY_HITS_ADDEND] = charges.pop(KEY_HITS_ADDEND)
    return line | {"charges": charges} if charges else line


def encode_line(ended_at_seconds: float, record: UsageRecord, label_names: Sequence[str] = ()) -> bytes:
    """Return the line of an exchange that ended then, in seconds since 1970."""
    ended_at = datetime.fromtimestamp(ended_at_seconds, UTC).isoformat(timespec="milliseconds")
    line = {"time": ended_at.replace("+00:00", "Z"), **build_line(record, label_names)}
    return orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE)


class DebugLines:
    """A sink that logs each exchange, for a look at what happens here: it writes on the traffic path."""

    name = "debug_lines"

    def emit(self, record: UsageRecord) -> None:
        """Log an exchange with an LLM."""
        if record.is_llm:
            log.debug("exchange", **build_line(record))


class UsageLog:
    """A sink with a thread that writes what it took. `label_names` are those of the custom labels, in their order."""

    name = "usage_log"

    def __init__(
        self,
        output: LineOutput,
        lines: UsageLogLines,
        label_names: Sequence[str] = (),
        *,
        max_waiting: int = _MAX_WAITING,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._output = output
        self._lines = lines
        self._label_names = tuple(label_names)
        self._max_waiting = max_waiting
        self._clock = clock
        self._waiting: deque[tuple[float, UsageRecord]] = deque()
        self._unwritten: list[bytes] = []  # lines that are under way
        self._dropped = 0
        self._is_failing = False
        self._is_closed = False
        self._stop_at = 0.0
        self._lock = threading.Lock()  # of what is under way, when a stop is late
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="usage-log", daemon=True)

    def emit(self, record: UsageRecord) -> None:
        """Take an exchange, or count it as dropped if there is no room."""
        if not record.is_llm:
            return
        if len(self._waiting) >= self._max_waiting or self._is_closed:
            self._dropped += 1
            self._lines.dropped.inc()
            return
        self._waiting.append((self._clock(), record))

    def reopen(self) -> None:
        """Write to the file that is at the path now. Any thread may call this."""
        self._output.reopen()

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self, stop_at: float) -> None:
        """Let it write what is left, until `stop_at` in monotonic seconds. Returns at once."""
        self._stop_at = stop_at
        self._stopping.set()

    def finish(self) -> None:
        """Wait for that; count as dropped what is not written then."""
        if self._thread.ident is not None:
            self._thread.join(max(self._stop_at - time.monotonic(), 0))
        with self._lock:
            self._is_closed = True
            left = len(self._unwritten) + len(self._waiting)
            self._waiting.clear()
            self._lines.dropped.inc(left)
        if left:  # nobody may come to read the counter
            log.warning("lines of the usage log were dropped at the stop", lines=left)
        if not self._thread.is_alive():
            self._output.close()

    def _run(self) -> None:
        while not self._stopping.wait(_RETRY_SECONDS if self._is_failing else _FLUSH_SECONDS):
            self._write_all(Pace())
        self._write_all(AT_ONCE)

    def _write_all(self, pace: Pace) -> None:
        """Write what waits, as far as that can be done."""
        if self._unwritten:
            self._write()
        while self._waiting and not self._unwritten:
            self._encode(pace)
            self._write()
        if self._dropped and not self._is_failing:
            dropped, self._dropped = self._dropped, 0
            log.warning("lines of the usage log were dropped, it does not keep up", lines=dropped)

    def _encode(self, pace: Pace) -> None:
        """Make the next lines, with rests between them: who carries messages goes first, as long as there is room."""
        if len(self._waiting) > self._max_waiting // 4:
            pace = AT_ONCE
        for _ in pace.over(range(min(len(self._waiting), _BATCH_LINES))):
            with self._lock:
                if not self._is_closed:
                    self._encode_one(*self._waiting.popleft())

    def _encode_one(self, ended_at_seconds: float, record: UsageRecord) -> None:
        try:
            self._unwritten.append(encode_line(ended_at_seconds, record, self._label_names))
        except Exception as error:  # noqa: BLE001 - the next one may be better, and the text may repeat traffic
            self._lines.dropped.inc()
            log.error("a line of the usage log cannot be made", exception=type(error).__name__)  # noqa: TRY400 - as above

    def _write(self) -> None:
        written = self._output.write(self._unwritten)
        with self._lock:
            if not self._is_closed:  # else they were counted as dropped
                self._lines.written.inc(written)
            del self._unwritten[:written]
        self._note(self._output.problem)

    def _note(self, problem: str | None) -> None:
        """Log it once when nothing can be written any more, and once when something can be again."""
        if problem is not None and not self._is_failing:
            log.error("the usage log cannot be written", reason=problem)
        elif problem is None and self._is_failing:
            dropped, self._dropped = self._dropped, 0
            log.warning("the usage log is written again", dropped=dropped)
        self._is_failing = problem is not None
