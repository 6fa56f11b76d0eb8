from __future__ import annotations

from typing import Any

from bench.load import Load, Times, read_report

TIMES = {"count": 3, "p50": 0.001, "p90": 0.002, "p99": 0.003, "max": 0.004}


def document(**changes: Any) -> dict[str, Any]:
    return {
        "requests": 10,
        "seconds": 2.0,
        "bytes": 5000,
        "chunks": 640,
        "peak_open": 4,
        "errors": {"connect": 0, "status": 1, "incomplete": 0, "broken": 2, "unfinished": 0},
        "exchange_seconds": TIMES,
        "first_chunk_seconds": TIMES,
        "chunk_seconds": TIMES,
    } | changes


def test_a_report_is_read_whole() -> None:
    """As the load generator writes it."""
    report = read_report(document())
    assert (report.requests, report.rate, report.failed) == (10, 5.0, 3)
    assert report.chunk == Times(3, 0.001, 0.002, 0.003, 0.004)


def test_a_load_that_got_no_answer_has_no_rate() -> None:
    """Instead of an error in arithmetic."""
    assert read_report(document(requests=0, seconds=0)).rate == 0


def test_a_load_becomes_flags() -> None:
    """Each by the name of its field."""
    command = Load("sse-64", 16, 2.5, interval_us=2000, announce=True).command(8080)
    flags = dict(zip(command[1:-1:2], command[2:-1:2], strict=True))
    assert flags == {
        "--port": "8080",
        "--connections": "16",
        "--seconds": "2.5",
        "--requests": "0",
        "--workload": "sse-64",
        "--interval-us": "2000",
        "--ramp-ms": "0",
        "--models": "1",
    }
    assert command[-1] == "--announce"
