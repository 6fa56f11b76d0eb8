"""What boards and pages ask has an answer: every query of them, of a real Prometheus that scrapes a real sidecar."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families
from support.documented import examples_of, name_of, pages
from support.observed import Observed, boards, queries, substituted
from support.promql import grouped, selectors
from support.waiting import wait_for

from extproc.demo.mock.server import MockProviders, Pace
from tools.alerts import RULES

pytestmark = pytest.mark.e2e

ASKED = [(board, title, query) for board, document in boards() for title, query in queries(document)]
# Of the pages on migrations tests/e2e/test_migrations.py asks.
SHOWN = [
    (name_of(page), query)
    for page in pages()
    if page.parent.name != "migrate"
    for block in examples_of(page, "promql")
    for query in block.split("\n\n")
]
# As a page shows it, what was asked a month ago.
_OF_ANOTHER_TIME = re.compile(r" (?:offset \w+|@ \d+)")


@pytest.fixture(scope="module", name="observed")
def _observed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Observed]:
    """Used twice: a count that has not changed since it is there has no increase. Tokens come one after another."""
    with (
        MockProviders(Pace(event_seconds=0.002)) as providers,
        Observed(tmp_path_factory.mktemp("observed"), providers) as observed,
    ):
        observed.use()
        observed.use()
        yield observed


# Labels that Prometheus adds as it scrapes, and one that a board makes itself.
_ADDED = {"cluster", "namespace", "job", "instance"}
_MADE = {"shown"}

# What a healthy sidecar does not have, so that no series shows its labels.
_NEVER_HERE = {"extproc_sink_errors_total", "up"}


def rules() -> list[str]:
    """Return what alerts and records ask."""
    groups = yaml.safe_load(RULES.read_text())["groups"]
    return [rule["expr"] for group in groups for rule in group["rules"]]


def expressions() -> list[str]:
    """Return what boards and rules ask, as Prometheus gets it."""
    return rules() + [substituted(query) for _, _, query in ASKED]


def answer(observed: Observed, query: str) -> dict[frozenset[tuple[str, str]], float]:
    """Return what is not NaN of an answer."""
    found = observed.prometheus.query(query)
    return {labels: value for labels, value in found.items() if not math.isnan(value)}


def wait_for_answers(observed: Observed, asked: Mapping[str, str]) -> None:
    """Wait until each query has one; fail with the names of those that get none."""
    silent = dict(asked)

    def is_answered() -> bool:
        for name, query in list(silent.items()):
            if answer(observed, query):
                del silent[name]
        return not silent

    try:
        wait_for(is_answered)
    except AssertionError:
        pytest.fail("\n".join(silent))


def test_every_query_of_every_panel_has_an_answer(observed: Observed) -> None:
    """Counts at 0 are an answer, and nothing else is left out."""
    wait_for_answers(observed, {f"{board}: {title}: {query}": substituted(query) for board, title, query in ASKED})


def test_every_query_of_every_page_has_an_answer(observed: Observed) -> None:
    """As it stands there; of another time one that can be asked, which has an answer now."""
    assert len(SHOWN) > 30
    for _, query in SHOWN:
        observed.prometheus.query(query)
    wait_for_answers(observed, {f"{page}: {query}": _OF_ANOTHER_TIME.sub("", query) for page, query in SHOWN})


def test_every_label_that_is_asked_for_is_there(observed: Observed) -> None:
    """On the metric that is chosen by it; or, where series are grouped by it, on one of those."""
    there: dict[str, set[str]] = defaultdict(set)
    for family in text_string_to_metric_families(observed.gateway.stack.scrape()):
        for sample in family.samples:
            there[sample.name] |= _ADDED | sample.labels.keys()
    for expression in expressions():
        asked = [each for each in selectors(expression) if ":" not in each.metric and each.metric not in _NEVER_HERE]
        for each in asked:
            assert each.labels <= there[each.metric], (each, expression)
        if asked:
            known = set().union(*(there[each.metric] for each in asked))
            assert grouped(expression) <= known | _ADDED | _MADE, expression


def test_rules_can_be_evaluated_over_real_series(observed: Observed) -> None:
    """A match that finds two where there may be one is an error, and shows only where there are series."""
    for expression in rules():
        observed.prometheus.query(expression)
