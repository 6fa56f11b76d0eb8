from __future__ import annotations

from collections.abc import Callable

import pytest
from msgspec.structs import replace
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.openmetrics import exposition as openmetrics
from support.metered_records import put, record, series
from support.records import TRACE

from extproc.sinks.prometheus import DroppedLabels
from extproc.sinks.token_families import TokenFamilies
from extproc.sinks.tokens import TokenMetrics
from extproc.usage import Completion, Cost, Failure, Timing, TokenUsage, UsageSource


@pytest.fixture(name="registry")
def _registry() -> CollectorRegistry:
    return CollectorRegistry()


def test_the_lines_are_those_of_kgateways_guide(registry: CollectorRegistry) -> None:
    """Dashboards that are written against them keep working."""
    metrics = TokenMetrics(registry, max_label_values=9)
    metrics.emit(record(TokenUsage(100, 500)))
    metrics.emit(record(TokenUsage(104, 39)))
    text = generate_latest(registry).decode()
    assert "# HELP ai_completion_tokens_total Completion tokens\n# TYPE ai_completion_tokens_total counter\n" in text
    assert 'ai_completion_tokens_total{llm="openai",model="gpt-3.5-turbo"} 539.0\n' in text
    assert "# HELP ai_prompt_tokens_total Prompt tokens\n# TYPE ai_prompt_tokens_total counter\n" in text
    assert 'ai_prompt_tokens_total{llm="openai",model="gpt-3.5-turbo"} 204.0\n' in text
    assert 'ai_total_tokens_total{llm="openai",model="gpt-3.5-turbo"} 743.0\n' in text
    assert 'ai_requests_total{llm="openai",model="gpt-3.5-turbo"} 2.0\n' in text


@pytest.mark.parametrize("source", [UsageSource.PARTIAL, UsageSource.ESTIMATED])
def test_what_was_not_all_reported_is_counted_apart(registry: CollectorRegistry, source: UsageSource) -> None:
    """Under a label more; requests are requests, and what was reported is as it ever was."""
    metrics = TokenMetrics(registry, max_label_values=9)
    metrics.emit(record(TokenUsage(3, 4)))
    metrics.emit(replace(record(TokenUsage(30, 40)), usage_source=source))
    lines = generate_latest(registry).decode().splitlines()
    assert 'ai_prompt_tokens_total{llm="openai",model="gpt-3.5-turbo"} 3.0' in lines
    told = f'ai_prompt_tokens_total{{llm="openai",model="gpt-3.5-turbo",usage_source="{source}"}} 30.0'
    assert told in lines
    assert 'ai_requests_total{llm="openai",model="gpt-3.5-turbo"} 2.0' in lines
    assert not [line for line in lines if "usage_source" in line and "_tokens_" not in line]


def test_a_count_that_was_not_sent_adds_no_series(registry: CollectorRegistry) -> None:
    """A count of 0 does."""
    metrics = TokenMetrics(registry, max_label_values=9)
    metrics.emit(record(TokenUsage(3, 4, cached_tokens=0)))
    seen = series(registry)
    assert "ai_cached_tokens_total" in seen
    assert (
        not {"ai_reasoning_tokens_total", "ai_cache_creation_tokens_total", "ai_time_to_first_token_seconds_sum"} & seen
    )
    labels = {"llm": "openai", "model": "gpt-3.5-turbo"}
    assert registry.get_sample_value("ai_cached_tokens_total", labels) == 0


def test_what_limits_were_charged_in_tokens_is_counted(registry: CollectorRegistry) -> None:
    """Which need not be what was used; without a charge in tokens there is no series."""
    metrics = TokenMetrics(registry, max_label_values=9)
    metrics.emit(record(TokenUsage(3, 4)))
    assert "ai_rate_limited_tokens_total" not in series(registry)
    metrics.emit(record(TokenUsage(3, 4), rate_limited_tokens=0))
    metrics.emit(record(TokenUsage(3, 4), rate_limited_tokens=21))
    labels = {"llm": "openai", "model": "gpt-3.5-turbo"}
    assert registry.get_sample_value("ai_rate_limited_tokens_total", labels) == 21


def test_an_exchange_without_usage_is_a_request_all_the_same(registry: CollectorRegistry) -> None:
    """And has a duration."""
    TokenMetrics(registry, max_label_values=9).emit(record())
    labels = {"llm": "openai", "model": "gpt-3.5-turbo"}
    assert registry.get_sample_value("ai_requests_total", labels) == 1
    assert registry.get_sample_value("ai_request_duration_seconds_sum", labels) == 1.5
    assert registry.get_sample_value("ai_prompt_tokens_total", labels) is None


def test_costs_are_added_up_in_dollars(registry: CollectorRegistry) -> None:
    """As they are, and not in micros: many small ones are something. What has no price adds no series."""
    metrics = TokenMetrics(registry, max_label_values=9)
    for cost in (Cost(0.0000002, 0), Cost(0.0000003, 0), None):
        metrics.emit(record(TokenUsage(3, 4), cost=cost))
    labels = {"llm": "openai", "model": "gpt-3.5-turbo"}
    assert registry.get_sample_value("ai_cost_usd_total", labels) == pytest.approx(0.0000005)
    metrics.emit(record(TokenUsage(3, 4), model="other", is_unpriced=True))
    assert registry.get_sample_value("ai_cost_usd_total", labels | {"model": "other"}) is None


@pytest.mark.parametrize(
    ("completion", "status", "failure"),
    [
        (Completion.ERROR, 400, "client_error"),
        (Completion.ERROR, 401, "client_error"),
        (Completion.ERROR, 429, "rate_limited"),
        (Completion.ERROR, 503, "server_error"),
        (Completion.ERROR, 200, "interrupted"),
        (Completion.ERROR, None, "interrupted"),
        (Completion.TRUNCATED, 200, "interrupted"),
        (Completion.CANCELLED, 200, None),
        (Completion.COMPLETE, 200, None),
    ],
)
def test_failures_are_counted_by_whose_turn_it_is(
    registry: CollectorRegistry, completion: Completion, status: int | None, failure: str | None
) -> None:
    """Each from 0 on, so that the first one is an increase; what a client gave up is none."""
    TokenMetrics(registry, max_label_values=9).emit(record(completion=completion, status_code=status))
    labels = {"llm": "openai", "model": "gpt-3.5-turbo"}
    counted = {each.value: registry.get_sample_value("ai_failed_requests_total", labels | {"failure": each.value})
               for each in Failure}  # fmt: skip
    assert counted == {each.value: float(each == failure) for each in Failure}


def test_what_caches_saved_and_cost_has_counters_of_its_own(registry: CollectorRegistry) -> None:
    """From 0 on where there is a price for it; nothing where nobody told."""
    metrics = TokenMetrics(registry, max_label_values=9)
    for cost in (Cost(1.0, 10**6), Cost(1.0, 10**6, 0.0), Cost(1.0, 10**6, 0.25)):
        metrics.emit(record(TokenUsage(3, 4), cost=cost))
    labels = {"llm": "openai", "model": "gpt-3.5-turbo"}
    assert registry.get_sample_value("ai_cache_savings_usd_total", labels) == 0.25
    assert registry.get_sample_value("ai_cache_write_premium_usd_total", labels) is None
    metrics.emit(record(TokenUsage(3, 4), cost=Cost(1.0, 10**6, None, 0.125)))
    assert registry.get_sample_value("ai_cache_write_premium_usd_total", labels) == 0.125


def test_the_first_token_is_timed_where_there_was_one(registry: CollectorRegistry) -> None:
    """In seconds."""
    TokenMetrics(registry, max_label_values=9).emit(record(time_to_first_token_seconds=0.25))
    labels = {"llm": "openai", "model": "gpt-3.5-turbo"}
    assert registry.get_sample_value("ai_time_to_first_token_seconds_sum", labels) == 0.25


@pytest.mark.parametrize(
    ("completion_tokens", "first", "last", "pace"),
    [(4, 0.25, 1.0, 0.25), (1, 0.25, 0.25, None), (0, 0.25, 1.0, None), (None, 0.25, 1.0, None), (4, None, None, None)],
)
def test_the_pace_is_that_of_the_tokens_after_the_first(
    registry: CollectorRegistry,
    completion_tokens: int | None,
    first: float | None,
    last: float | None,
    pace: float | None,
) -> None:
    """In seconds for each of them, where there was more than one."""
    usage = TokenUsage(3, completion_tokens)
    told = record(usage, time_to_first_token_seconds=first, timing=Timing(last_token_seconds=last, output_chunks=2))
    TokenMetrics(registry, max_label_values=9).emit(told)
    labels = {"llm": "openai", "model": "gpt-3.5-turbo"}
    assert registry.get_sample_value("ai_time_per_output_token_seconds_sum", labels) == pace


def test_an_exchange_that_is_not_with_an_llm_counts_nothing(registry: CollectorRegistry) -> None:
    """Not even under unknown."""
    TokenMetrics(registry, max_label_values=9).emit(record(is_llm=False))
    assert not {name for name in series(registry) if name.startswith("ai_")}


def test_model_names_are_bounded_and_what_is_dropped_is_counted(registry: CollectorRegistry) -> None:
    """A client that makes up names makes no series."""
    metrics = TokenMetrics(registry, max_label_values=2)
    for number in range(10):
        metrics.emit(record(TokenUsage(1, 1), model=f"m{number}"))
    assert registry.get_sample_value("ai_prompt_tokens_total", {"llm": "openai", "model": "m1"}) == 1
    assert registry.get_sample_value("ai_prompt_tokens_total", {"llm": "openai", "model": "other"}) == 8
    assert registry.get_sample_value("extproc_label_values_dropped_total", {"label": "model"}) == 8
    assert registry.get_sample_value("extproc_label_values_dropped_total", {"label": "llm"}) == 0


def test_an_unknown_model_is_called_so(registry: CollectorRegistry) -> None:
    """A label can't be absent."""
    TokenMetrics(registry, max_label_values=9).emit(record(model=None))
    assert registry.get_sample_value("ai_requests_total", {"llm": "openai", "model": "unknown"}) == 1


def test_what_it_hands_out_is_what_the_library_would() -> None:
    """Family by family and line by line, in both formats, and so for whoever asks for a few by their names."""
    registry, library = CollectorRegistry(), CollectorRegistry()
    metrics = TokenMetrics(registry, max_label_values=200)
    families = metrics._families
    failed = metrics._failed_families.failed
    histograms = (families.duration, families.first_token, families.per_token)
    for family in (
        families.requests,
        failed,
        *families.tokens.values(),
        families.rate_limited,
        *families.money.values(),
        *histograms,
    ):
        library.register(family)
    for number in range(3):
        usage = TokenUsage(number, 4, cached_tokens=0) if number else None
        first_token = 0.3 if number == 1 else None
        timing = Timing(last_token_seconds=1.2, output_chunks=2)
        cost = Cost(0.25, 250_000) if number == 1 else None
        facts = {"time_to_first_token_seconds": first_token, "timing": timing, "cost": cost}
        metrics.emit(record(usage, model=f'm"{number}', **facts))
    for encode in (generate_latest, openmetrics.generate_latest):
        own = [line for line in encode(registry).splitlines() if b" ai_" in line or line.startswith(b"ai_")]
        assert own == [line for line in encode(library).splitlines() if line != b"# EOF"]
    names = ["ai_prompt_tokens_total", "ai_request_duration_seconds_count"]
    # In no order: the library keeps what it restricts itself to in a set.
    own, others = (
        sorted(generate_latest(each.restricted_registry(names)).splitlines()) for each in (registry, library)
    )
    assert own == others


def lines(registry: CollectorRegistry, encode: Callable[[CollectorRegistry], bytes] = generate_latest) -> list[str]:
    return [line for line in encode(registry).decode().splitlines() if line.startswith("ai_")]


def test_custom_labels_follow_the_others(registry: CollectorRegistry) -> None:
    """As kgateway appends them; where nothing is known of them, in its word."""
    metrics = TokenMetrics(registry, max_label_values=9, custom_labels=("team", "user"))
    metrics.emit(put(record(), labels=("red", "ann")))
    metrics.emit(record())
    counts = [line for line in lines(registry) if line.startswith("ai_requests_total")]
    assert counts == [
        'ai_requests_total{llm="openai",model="gpt-3.5-turbo",team="red",user="ann"} 1.0',
        'ai_requests_total{llm="openai",model="gpt-3.5-turbo",team="<unknown>",user="<unknown>"} 1.0',
    ]
    assert registry.get_sample_value("extproc_label_values_dropped_total", {"label": "user"}) == 0


def test_the_values_of_custom_labels_are_bounded(registry: CollectorRegistry) -> None:
    """A header is a client's to choose."""
    metrics = TokenMetrics(registry, max_label_values=2, custom_labels=("user",))
    for number in range(5):
        metrics.emit(put(record(TokenUsage(1, 1)), labels=(f"u{number}",)))
    labels = {"llm": "openai", "model": "gpt-3.5-turbo", "user": "other"}
    assert registry.get_sample_value("ai_requests_total", labels) == 3
    assert registry.get_sample_value("extproc_label_values_dropped_total", {"label": "user"}) == 3


def test_sampled_exchanges_leave_their_trace(registry: CollectorRegistry) -> None:
    """On tokens, costs and durations, and where the format has a place for it: the plain one has none."""
    metrics = TokenMetrics(registry, max_label_values=9, exemplars=True)
    used = TokenUsage(100, 0)
    metrics.emit(put(record(used, time_to_first_token_seconds=0.02, cost=Cost(0.5, 500_000)), trace=TRACE))
    metrics.emit(put(record(used), trace=None))
    trace = f'# {{span_id="{0xDEF:016x}",trace_id="{0xABC:032x}"}}'
    seen = {line.split(" ")[0]: line for line in lines(registry, openmetrics.generate_latest) if trace in line}
    labels = 'llm="openai",model="gpt-3.5-turbo"'
    assert set(seen) == {
        f"ai_prompt_tokens_total{{{labels}}}",
        f"ai_total_tokens_total{{{labels}}}",
        f"ai_cost_usd_total{{{labels}}}",
        f'ai_request_duration_seconds_bucket{{le="2.56",{labels}}}',
        f'ai_time_to_first_token_seconds_bucket{{le="0.02",{labels}}}',
    }
    assert f"{trace} 100.0 " in seen[f"ai_prompt_tokens_total{{{labels}}}"]
    assert not [line for line in lines(registry) if "#" in line]


def test_no_trace_is_left_unless_asked_for(registry: CollectorRegistry) -> None:
    """It takes time, and the traces may go nowhere."""
    TokenMetrics(registry, max_label_values=9).emit(put(record(TokenUsage(1, 1)), trace=TRACE))
    assert not [line for line in lines(registry, openmetrics.generate_latest) if "#" in line]


def test_what_was_counted_stays_when_the_labels_change(registry: CollectorRegistry) -> None:
    """Who bills by sums must not see them go back, and who goes back to the old labels counts on."""
    families = TokenFamilies(registry)

    def emit(*labels: str) -> None:
        metrics = TokenMetrics(registry, max_label_values=9, custom_labels=labels, families=families, dropped=dropped)
        metrics.emit(put(record(TokenUsage(1, 1)), labels=("me",) * len(labels)))

    dropped = DroppedLabels(registry)
    for labels in ((), ("team",), (), ("user", "team")):
        emit(*labels)
    own = {"llm": "openai", "model": "gpt-3.5-turbo"}
    told = {
        frozenset(labels): registry.get_sample_value("ai_total_tokens_total", own | dict.fromkeys(labels, "me"))
        for labels in ((), ("team",), ("user", "team"))
    }
    assert told == {frozenset(): 4, frozenset({"team"}): 2, frozenset({"user", "team"}): 2}
    assert generate_latest(registry).count(b"# TYPE ai_total_tokens_total counter\n") == 1


def test_labels_in_another_order_are_the_same(registry: CollectorRegistry) -> None:
    """To who scrapes them; twice the same series would be refused."""
    families, dropped = TokenFamilies(registry), DroppedLabels(registry)
    values = {"team": "blue", "user": "me"}
    for labels in (("team", "user"), ("user", "team")):
        metrics = TokenMetrics(registry, max_label_values=9, custom_labels=labels, families=families, dropped=dropped)
        exchange = record(TokenUsage(1, 3), streaming=True, time_to_first_token_seconds=0.5)
        metrics.emit(put(exchange, labels=tuple(values[each] for each in labels)))
    lines = [line for line in generate_latest(registry).decode().splitlines() if line.startswith("ai_")]
    assert len(lines) == len({line.split("}")[0] for line in lines})
    told = {"llm": "openai", "model": "gpt-3.5-turbo", **values}
    for name in ("requests_total", "request_duration_seconds_count", "time_to_first_token_seconds_count"):
        assert registry.get_sample_value(f"ai_{name}", told) == 2


def test_the_places_that_series_take_stay_taken(registry: CollectorRegistry) -> None:
    """However often settings are read again: else a client could fill them anew after each time."""
    families, dropped = TokenFamilies(registry), DroppedLabels(registry)
    for places, models in ((2, ("a", "b", "c")), (2, ("d", "e")), (3, ("f", "g"))):
        metrics = TokenMetrics(registry, max_label_values=places, families=families, dropped=dropped)
        for model in models:
            metrics.emit(record(TokenUsage(1, 1), model=model))
    found = {
        sample.labels["model"]: sample.value
        for family in registry.collect()
        for sample in family.samples
        if sample.name == "ai_requests_total"
    }
    assert found == {"a": 1, "b": 1, "f": 1, "other": 4}
