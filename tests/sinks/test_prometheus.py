from __future__ import annotations

from collections.abc import Callable

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from support.metered_records import record

from extproc.errors import ExtractionError, Reason, Stage
from extproc.sinks.prometheus import ServerMetrics
from extproc.usage import Completion, NativeCheck


@pytest.fixture(name="registry")
def _registry() -> CollectorRegistry:
    return CollectorRegistry()


def test_how_exchanges_ended_and_what_was_not_read(registry: CollectorRegistry) -> None:
    """Each exchange once, each of its errors once."""
    metrics = ServerMetrics(registry, version="1.2.3")
    error = ExtractionError(Stage.RESPONSE_BODY, Reason.NOT_JSON)
    metrics.emit(record(completion=Completion.CANCELLED, extraction_errors=(error,)))
    metrics.emit(record(is_llm=False))
    metrics.message_failed(Stage.MESSAGE, Reason.UNDECODABLE)
    metrics.sink_failed("prometheus")
    for name, labels, value in (
        ("extproc_exchanges_total", {"completion": "cancelled"}, 1),
        ("extproc_exchanges_skipped_total", {}, 1),
        ("extproc_extraction_errors_total", {"stage": "response_body", "reason": "not_json"}, 1),
        ("extproc_extraction_errors_total", {"stage": "message", "reason": "undecodable"}, 1),
        ("extproc_sink_errors_total", {"sink": "prometheus"}, 1),
        ("extproc_build_info", {"version": "1.2.3"}, 1),
    ):
        assert registry.get_sample_value(name, labels) == value, name


def test_what_envoy_had_counted_itself_is_told_apart(registry: CollectorRegistry) -> None:
    """From the start, so that a first disagreement is an increase."""
    metrics = ServerMetrics(registry, version="1")
    metrics.emit(record())
    metrics.emit(record(native_check=NativeCheck.DISAGREED))
    seen = {
        outcome: registry.get_sample_value("extproc_native_usage_total", {"outcome": outcome})
        for outcome in ("only", "agreed", "disagreed")
    }
    assert seen == {"only": 0, "agreed": 0, "disagreed": 1}


def test_charges_that_are_not_what_was_asked_for_are_counted_by_key(registry: CollectorRegistry) -> None:
    """From 0, so that the first one is an increase."""
    metrics = ServerMetrics(registry, version="1.2.3")
    metrics.expect_charges(["hits_addend", "cost"])
    metrics.emit(record(charge_errors=("cost",)))
    counted = [
        registry.get_sample_value("extproc_charge_errors_total", {"key": key}) for key in ("hits_addend", "cost")
    ]
    assert counted == [0, 1]


def test_streams_and_their_messages(registry: CollectorRegistry) -> None:
    """A stream is open from its start to its end; its messages are counted when it ends."""
    metrics = ServerMetrics(registry, version="1")
    metrics.stream_opened()
    metrics.stream_opened()
    assert registry.get_sample_value("extproc_streams_active") == 2
    metrics.stream_closed({"request_headers": 1, "response_body": 40})
    assert registry.get_sample_value("extproc_streams_active") == 1
    assert registry.get_sample_value("extproc_messages_total", {"phase": "response_body"}) == 40
    assert registry.get_sample_value("extproc_streams_without_message_total") == 0
    metrics.stream_closed({})
    assert registry.get_sample_value("extproc_streams_without_message_total") == 1


def lines(registry: CollectorRegistry, encode: Callable[[CollectorRegistry], bytes] = generate_latest) -> list[str]:
    return [line for line in encode(registry).decode().splitlines() if line.startswith("ai_")]
