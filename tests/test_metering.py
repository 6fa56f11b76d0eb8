from __future__ import annotations

import sys
import threading
import time
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from support.messages import exchange, metadata_of, response_body, response_headers
from support.otlp import GrpcReceiver
from support.pages import free_port
from support.waiting import wait_for

from extproc import metering as metering_module
from extproc.config.settings import Settings
from extproc.errors import SettingsError
from extproc.metering import Metering
from extproc.observability import Counts
from extproc.server.processor import Processor
from extproc.server.session import Session
from extproc.telemetry.background import stop_all
from extproc.usage import Completion

TEAM = {"custom_labels": [{"name": "team", "value": "blue"}]}
TOTAL = "ai_total_tokens_total"
LABELS = {"llm": "openai", "model": "gpt-4o"}


def settings(**given: Any) -> Settings:
    return Settings.model_validate(given)


class Metered:
    """A metering, and the registry it counts into."""

    def __init__(self, **given: Any) -> None:
        self.registry = CollectorRegistry()
        self.metering = Metering(settings(**given), self.registry, Counts(self.registry))
        self.metering.start()

    def switch(self, **given: Any) -> None:
        self.metering.prepare(settings(**given))()

    def tokens(self, **labels: str) -> float | None:
        self.metering.settle()
        return self.registry.get_sample_value(TOTAL, LABELS | labels)


def begin(processor: Processor) -> Session:
    """Open a session and let it come as far as the answer."""
    session = processor.open_session((), time.monotonic())
    for message in exchange()[:-1]:
        session.receive(message, time.monotonic())
    return session


def finish(session: Session) -> None:
    session.receive(exchange()[-1], time.monotonic())
    session.closed(Completion.COMPLETE, time.monotonic())


def meter(processor: Processor) -> None:
    finish(begin(processor))


def test_a_stream_ends_as_it_began() -> None:
    """With the labels of then; those that come after it have those of now, and no count is lost."""
    metered = Metered()
    meter(metered.metering.processor)
    session = begin(metered.metering.processor)
    metered.switch(telemetry=TEAM)
    meter(metered.metering.processor)
    finish(session)
    assert (metered.tokens(), metered.tokens(team="blue")) == (14, 7)
    metered.switch()
    meter(metered.metering.processor)
    assert (metered.tokens(), metered.tokens(team="blue")) == (21, 7)


def test_what_changes_nothing_that_is_counted_keeps_the_sinks() -> None:
    """Rules, namespaces and bounds are the processor's own."""
    metered = Metered(telemetry=TEAM)
    before = metered.metering.processor
    metered.switch(telemetry=TEAM, metadata_namespaces=["mine"], max_body_bytes=4096)
    now = metered.metering.processor
    assert now is not before
    assert now.sinks == before.sinks
    assert now.limits.max_body_bytes == 4096
    metered.switch(telemetry=TEAM, max_label_values=7)
    assert metered.metering.processor.sinks != before.sinks


def test_labels_change_and_places_stay() -> None:
    """So do the series that have them; and what cannot work changes nothing."""
    metered = Metered(max_label_values=1)
    meter(metered.metering.processor)
    with pytest.raises(SettingsError, match="hash_key_file"):
        metered.switch(max_label_values=1, labels={"hash_key_file": "/no/such/key"})
    metered.switch(max_label_values=1, labels={"rules": {"model": {"rewrite": [{"pattern": "4o", "replace": "x"}]}}})
    meter(metered.metering.processor)
    metered.switch(max_label_values=1, labels={"rules": {"model": {"pinned": ["o3"]}}})
    meter(metered.metering.processor)
    assert (metered.tokens(), metered.tokens(model="other"), metered.tokens(model="gpt-x")) == (14, 7, None)


def test_prices_change_and_the_sum_goes_on() -> None:
    """In the same series; without prices nothing is added to it."""
    metered = Metered(prices={"models": [{"model": "gpt-4o", "input": 1e6, "output": 0}]})
    costs = []
    for prices in ({"models": [{"model": "gpt-4o", "input": 2e5, "output": 0}]}, {"enabled": False}, {}):
        meter(metered.metering.processor)
        costs.append(metered.registry.get_sample_value("ai_cost_usd_total", LABELS))
        metered.switch(prices=prices)
    assert costs == [pytest.approx(3), pytest.approx(3.6), pytest.approx(3.6)]


def test_without_a_page_nothing_is_remembered() -> None:
    """Nor what was remembered for the one that there was."""
    metered = Metered()
    for has_page in (False, True):
        meter(metered.metering.processor)
        metered.metering.settle()
        metered.switch(page=has_page)
        assert metered.metering.recent.snapshot().exchanges == []
    meter(metered.metering.processor)
    metered.metering.settle()
    assert len(metered.metering.recent.snapshot().exchanges) == 1


def test_running_totals_have_their_cost() -> None:
    """So that it is known of an answer that is given up: each total has that of what was used until then."""
    metered = Metered(prices={"models": [{"model": "gpt-4o", "input": 1, "output": 2}]})
    session = metered.metering.processor.open_session((), time.monotonic())
    costs = []
    chunks = [b'data: {"choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": %d}}\n\n' % n for n in (1, 2)]
    stream = response_headers({":status": "200", "content-type": "text/event-stream"})
    for message in (*exchange()[:2], stream, *map(response_body, chunks)):
        reply = metadata_of(session.receive(message, time.monotonic()))
        costs.append(reply.get("ai.gateway", {}).get("cost_usd_micros"))
    session.closed(Completion.CANCELLED, time.monotonic())
    assert costs == [None, None, None, 7, 9]
    metered.metering.settle()
    labels = LABELS | {"usage_source": "partial"}
    assert metered.registry.get_sample_value("ai_cost_usd_total", labels) == pytest.approx(9e-6)


def test_what_exchanges_need_is_loaded_if_they_need_it() -> None:
    """In the background, once there is a sidecar."""
    metered = Metered(prices={"enabled": False})
    metered.metering.load()
    assert not [thread for thread in threading.enumerate() if thread.name == "prices"]
    metered.switch()
    wait_for(lambda: "genai_prices.data" in sys.modules)


def test_what_is_refused_changes_nothing() -> None:
    """Who asks for it is told why."""
    metered = Metered()
    before = metered.metering.processor
    with pytest.raises(SettingsError, match="usage_log: cannot write /no/such/folder"):
        metered.metering.prepare(settings(usage_log="/no/such/folder/usage.jsonl"))
    assert metered.metering.processor is before
    assert metered.metering.tick() is None


def test_spans_of_earlier_settings_are_sent_when_their_last_stream_has_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """To the collector of then."""
    monkeypatch.setattr(metering_module, "_RETIRE_SECONDS", 0.01)
    with GrpcReceiver() as then, GrpcReceiver() as now:

        def telemetry(collector: GrpcReceiver) -> dict[str, Any]:
            exporter = {"name": "x", "host": "localhost", "port": collector.port, "disable_metrics": True}
            return {"exporters": {"otlp": [exporter]}, "queue": {"delay_seconds": 60}}

        metered = Metered(telemetry=telemetry(then))
        session = begin(metered.metering.processor)
        metered.switch(telemetry=telemetry(now))
        meter(metered.metering.processor)
        time.sleep(0.02)
        assert metered.metering.tick() == 0.01
        assert then.spans == []
        finish(session)
        wait_for(lambda: metered.metering.tick() is None and len(then.spans) == 5)
        assert now.spans == []
        stop_all(metered.metering.background(), 10)
        assert len(now.spans) == 5
        exported = {"signal": "traces", "exporter": "x"}
        assert metered.registry.get_sample_value("extproc_telemetry_exported_total", exported) == 10


def test_settings_are_let_go_of_however_often_they_change(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each keeps exporters and their threads until then."""
    monkeypatch.setattr(metering_module, "_RETIRE_SECONDS", 0.05)
    exporter = {"host": "localhost", "port": free_port(), "disable_metrics": True}
    metered = Metered()
    for name in "abc":
        time.sleep(0.06)  # long enough for those before the last, and not for that one
        metered.switch(telemetry={"exporters": {"otlp": [exporter | {"name": name}]}})
        metered.metering.tick()
        assert len(metered.metering.background()) <= 2
    stop_all(metered.metering.background(), 10)


def test_what_is_in_force_is_not_let_go_of_with_what_was(monkeypatch: pytest.MonkeyPatch) -> None:
    """Exports that go on under other settings go on."""
    monkeypatch.setattr(metering_module, "_RETIRE_SECONDS", 0.0)
    with GrpcReceiver() as collector:
        exporter = {"name": "x", "host": "localhost", "port": collector.port, "disable_metrics": True}
        telemetry = {"exporters": {"otlp": [exporter]}, "queue": {"delay_seconds": 60}}
        metered = Metered(telemetry=telemetry)
        metered.switch(telemetry=telemetry, metadata_namespaces=["mine"])
        assert metered.metering.tick() is None
        meter(metered.metering.processor)
        stop_all(metered.metering.background(), 10)
        assert len(collector.spans) == 5


def test_estimates_that_are_switched_on_are_prepared(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the first stream that needs them holds up all others, and nobody is told that they are not installed."""
    prepared: list[str] = []
    monkeypatch.setattr("extproc.metering.prepare_estimates", lambda given: prepared.append(given.usage.estimate))
    metered = Metered(usage={"estimate": "off"}, prices={"enabled": False})
    metered.metering.load()
    metered.switch(usage={"estimate": "always"}, prices={"enabled": False})
    assert prepared == ["off", "always"]
