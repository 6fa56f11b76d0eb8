from __future__ import annotations

import json
import threading
import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import pytest
from msgspec.structs import replace
from prometheus_client import CollectorRegistry
from support.logged import Logged
from support.records import JSON, STREAM, TRACE, around
from support.waiting import wait_for

from extproc.sinks import usage_log as module
from extproc.sinks.line_output import LineOutput
from extproc.sinks.metadata import build_fields
from extproc.sinks.usage_log import DebugLines, UsageLog, UsageLogLines, encode_line
from extproc.usage import Completion, Cost, UsageRecord

OTHER = UsageRecord(is_llm=False, completion=Completion.COMPLETE, duration_seconds=1.0)


class Scripted(LineOutput):
    """A place that takes lines as long as there is no problem, and while it is not held up."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []
        self.trouble: str | None = None
        self.problem: str | None = None
        self.tries = 0
        self.is_reopened = self.is_closed = False
        self.free = threading.Event()
        self.free.set()

    def write(self, lines: Sequence[bytes]) -> int:
        self.tries += 1
        self.free.wait(30)
        self.problem = self.trouble
        if self.problem is not None:
            return 0
        self.lines += lines
        return len(lines)

    def reopen(self) -> None:
        self.is_reopened = True

    def close(self) -> None:
        self.is_closed = True


class Logging:
    """A usage log, and what is counted of it."""

    def __init__(self, max_waiting: int = 100) -> None:
        self._registry = CollectorRegistry()
        self.output = Scripted()
        self.log = UsageLog(self.output, UsageLogLines(self._registry), max_waiting=max_waiting)

    def emit(self, count: int = 1) -> None:
        for _ in range(count):
            self.log.emit(JSON)

    def stop(self, flush_seconds: float = 30) -> None:
        self.log.stop(time.monotonic() + flush_seconds)
        self.log.finish()

    def counts(self) -> tuple[float | None, float | None]:
        name = "extproc_usage_log_lines_total"
        written, dropped = (self._registry.get_sample_value(name, {"outcome": o}) for o in ("written", "dropped"))
        return written, dropped


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_FLUSH_SECONDS", 0.001)
    monkeypatch.setattr(module, "_RETRY_SECONDS", 0.001)


@pytest.mark.parametrize("record", [JSON, STREAM], ids=["json", "stream"])
def test_a_line_has_what_the_metadata_has(record: UsageRecord) -> None:
    """Under the same names, and what became of the exchange beside it."""
    line = json.loads(encode_line(1_700_000_000.25, record))
    assert line.pop("time") == "2023-11-14T22:13:20.250Z"
    assert line == dict(build_fields(record)) | {
        "hits_addend": 140,
        "completion": "complete",
        "status": 200,
        "duration_ms": 1500,
    }


def test_a_cost_is_not_rounded() -> None:
    """A fifth of a millionth is something, where there are many."""
    line = json.loads(encode_line(0.0, replace(JSON, cost=Cost(2e-7, 0))))
    assert (line["cost_usd"], line["cost_usd_micros"]) == (2e-7, 0)


@pytest.mark.parametrize(
    ("charges", "expected"),
    [
        ((("hits_addend", 7),), {"hits_addend": 7}),
        ((("hits_addend", 7), ("model", 3)), {"hits_addend": 7, "charges": {"model": 3}}),
        ((("cost", 3),), {"charges": {"cost": 3}}),
    ],
)
def test_charges_under_other_keys_stand_apart(
    charges: tuple[tuple[str, int], ...], expected: dict[str, object]
) -> None:
    """They may be called like something else in the line."""
    line = json.loads(encode_line(0.0, replace(JSON, charges=charges)))
    assert {key: line[key] for key in ("hits_addend", "charges") if key in line} == expected
    assert line["model"] == "gpt-4o"


def test_a_line_can_be_joined_with_others() -> None:
    """By the id of the request, and that of the trace; custom labels have the names they were given."""
    record = replace(around(trace=TRACE, labels=("a", "<unknown>")), request_id="r-1")
    line = json.loads(encode_line(0.0, record, ("team", "tenant")))
    assert line["request_id"] == "r-1"
    assert line["trace_id"] == f"{0xABC:032x}"
    assert line["labels"] == {"team": "a", "tenant": "<unknown>"}


def test_what_is_not_known_has_no_key() -> None:
    """As in the metadata."""
    record = UsageRecord(is_llm=True, completion=Completion.CANCELLED, duration_seconds=0.0)
    line = json.loads(encode_line(0.0, record, ("team",)))
    assert line.keys() == {"time", "streaming", "usage_source", "hits_addend", "completion", "duration_ms"}


def test_a_line_is_one_line() -> None:
    """Whatever a client called its model."""
    line = encode_line(0.0, replace(JSON, request_model="a\nb\u2028c"))
    assert (line.count(b"\n"), line[-1:]) == (1, b"\n")
    assert json.loads(line)["model"] == "a\nb\u2028c"


def test_every_exchange_with_an_llm_has_its_line() -> None:
    """In their order; what waits at the stop is written before it."""
    logging = Logging(max_waiting=10_000)
    logging.log.start()
    logging.emit(2000)
    logging.log.emit(OTHER)
    logging.stop()
    assert len(logging.output.lines) == 2000
    assert logging.counts() == (2000, 0)
    assert logging.output.is_closed


def test_what_cannot_be_written_waits(logged: Logged) -> None:
    """It is told once, and once that it is over."""
    logging = Logging()
    logging.output.trouble = "No space left on device"
    logging.log.start()
    logging.emit(3)
    wait_for(lambda: logging.output.tries > 3)
    logging.output.trouble = None
    wait_for(lambda: logging.counts() == (3, 0))
    logging.stop()
    told = [(line["log_level"], line["event"], line.get("reason"), line.get("dropped")) for line in logged]
    assert told == [
        ("error", "the usage log cannot be written", "No space left on device", None),
        ("warning", "the usage log is written again", None, 0),
    ]


def test_what_has_no_room_is_dropped_and_counted(logged: Logged) -> None:
    """The traffic never waits, nor writes a line to the log: that may be as stuck as this one."""
    logging = Logging(max_waiting=5)
    logging.output.free.clear()
    logging.log.start()
    logging.emit()
    wait_for(lambda: logging.output.tries == 1)
    logging.emit(7)
    assert logging.counts() == (0, 2)
    assert logged == []
    logging.output.free.set()
    wait_for(lambda: logging.counts() == (6, 2))
    logging.stop()
    (line,) = logged
    assert (line["event"], line["lines"]) == ("lines of the usage log were dropped, it does not keep up", 2)


def test_a_stop_is_not_held_up(logged: Logged) -> None:
    """What is not written by then is counted as dropped, once, and also if it goes out after all."""
    logging = Logging()
    logging.output.free.clear()
    logging.log.start()
    logging.emit(2)
    wait_for(lambda: logging.output.tries == 1)
    logging.emit(3)
    logging.stop(0)
    assert logging.counts() == (0, 5)
    logging.output.free.set()
    wait_for(lambda: "usage-log" not in [thread.name for thread in threading.enumerate()])
    logging.emit()
    assert logging.counts() == (0, 6)
    (line,) = logged
    assert (line["event"], line["lines"]) == ("lines of the usage log were dropped at the stop", 5)


def test_what_cannot_be_written_at_the_stop_is_dropped() -> None:
    """It was tried once more."""
    logging = Logging()
    logging.output.trouble = "Broken pipe"
    logging.log.start()
    logging.emit(2)
    logging.stop()
    assert logging.counts() == (0, 2)


def test_one_that_was_never_started_can_be_stopped() -> None:
    """Something else may have kept the sidecar from starting."""
    logging = Logging()
    logging.emit()
    logging.stop()
    assert logging.counts() == (0, 1)


def test_a_line_that_cannot_be_made_costs_only_itself(logged: Logged) -> None:
    """The thread goes on, and nothing of the exchange is repeated."""
    logging = Logging()
    logging.log.start()
    logging.log.emit(replace(JSON, request_model="sk-1\udc80"))
    logging.emit()
    logging.stop()
    assert logging.counts() == (1, 1)
    (line,) = logged
    assert line["event"] == "a line of the usage log cannot be made"
    assert "sk-1" not in str(line)


def test_it_can_be_told_to_look_for_its_file() -> None:
    """Who has rotated it may not want to wait."""
    logging = Logging()
    logging.log.reopen()
    assert logging.output.is_reopened


def test_a_file_gets_the_lines(tmp_path: Path) -> None:
    """All parts together."""
    output = LineOutput(tmp_path / "usage")
    log = UsageLog(output, UsageLogLines(CollectorRegistry()))
    log.start()
    log.emit(JSON)
    wait_for(lambda: (tmp_path / "usage").read_bytes().endswith(b"\n"))
    log.stop(time.monotonic() + 10)
    log.finish()
    line = json.loads((tmp_path / "usage").read_bytes())
    assert line["prompt_tokens"] == 100
    assert abs(datetime.fromisoformat(line["time"]).timestamp() - time.time()) < 60


def test_a_debug_line_says_what_the_metadata_says(logged: Logged) -> None:
    """Of exchanges with an LLM; an event and values, as every line."""
    for record in (JSON, OTHER):
        DebugLines().emit(record)
    (line,) = logged
    assert (line["log_level"], line["event"]) == ("debug", "exchange")
    assert build_fields(JSON).items() <= line.items()
