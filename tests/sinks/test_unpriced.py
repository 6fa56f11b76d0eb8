from __future__ import annotations

from prometheus_client import CollectorRegistry
from support.metered_records import record

from extproc.sinks.prometheus import DroppedLabels
from extproc.sinks.unpriced import UnpricedExchanges
from extproc.usage import Cost, TokenUsage

USAGE = TokenUsage(1, 1)


def counted(registry: CollectorRegistry, model: str) -> float | None:
    return registry.get_sample_value("extproc_unpriced_exchanges_total", {"model": model})


def test_models_without_a_price_are_named() -> None:
    """So that somebody gives them one; the others are not here."""
    registry = CollectorRegistry()
    sink = UnpricedExchanges(registry, DroppedLabels(registry)).bound(9)
    for model in ("a", "a", None):
        sink.emit(record(USAGE, model=model, is_unpriced=True))
    sink.emit(record(USAGE, model="b", cost=Cost(0.0, 0)))
    sink.emit(record(model="b"))
    sink.emit(record(USAGE, model="b", is_unpriced=True, is_llm=False))
    assert [counted(registry, model) for model in ("a", "unknown", "b")] == [2, 1, None]


def test_their_names_are_bounded() -> None:
    """Clients choose them; the bound may change, and what has a place keeps it."""
    registry = CollectorRegistry()
    family = UnpricedExchanges(registry, DroppedLabels(registry))
    for number in range(3):
        family.bound(2).emit(record(USAGE, model=f"m{number}", is_unpriced=True))
    family.bound(3).emit(record(USAGE, model="m3", is_unpriced=True))
    assert [counted(registry, model) for model in ("m0", "m1", "m2", "m3", "other")] == [1, 1, None, 1, 1]
    assert registry.get_sample_value("extproc_label_values_dropped_total", {"label": "model"}) == 1
