from __future__ import annotations

from prometheus_client import CollectorRegistry
from support.logged import Logged

from extproc.errors import Hindrance
from extproc.sinks.envoy_problems import EnvoyProblems

MENDS = dict.fromkeys(Hindrance, "do this")


def test_a_problem_is_told_with_its_mend(logged: Logged) -> None:
    """In the log, and as a series that was there before: an alert needs its 0."""
    registry = CollectorRegistry()
    problems = EnvoyProblems(registry)

    def series() -> dict[str, float | None]:
        name = "extproc_envoy_misconfigured"
        return {each.value: registry.get_sample_value(name, {"problem": each.value}) for each in Hindrance}

    assert set(series().values()) == {0}
    problems.tell(Hindrance.FORWARD_RULES, ":path", MENDS)
    problems.tell(Hindrance.OBSERVABILITY_MODE, "", MENDS)
    problems.tell(Hindrance.FORWARD_RULES, ":path", MENDS)  # again, under other settings
    assert {name for name, value in series().items() if value == 1} == {"headers_not_forwarded", "observability_mode"}
    assert [(line["log_level"], line["problem"], line.get("missing"), line["mend"]) for line in logged] == [
        ("warning", "headers_not_forwarded", ":path", "do this"),
        ("warning", "observability_mode", None, "do this"),
    ]
