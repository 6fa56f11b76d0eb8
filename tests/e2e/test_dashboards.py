"""What the boards ask has an answer: every query of every panel, of a real Prometheus that scrapes a real sidecar."""

from __future__ import annotations

import math
from collections.abc import Iterator

import pytest
from support.observed import Observed, boards, queries, substituted
from support.waiting import wait_for

from extproc.demo.mock.server import MockProviders, Pace

pytestmark = pytest.mark.e2e

ASKED = [(board, title, query) for board, document in boards() for title, query in queries(document)]


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


def answer(observed: Observed, query: str) -> dict[frozenset[tuple[str, str]], float]:
    """Return what is not NaN of an answer."""
    found = observed.prometheus.query(query)
    return {labels: value for labels, value in found.items() if not math.isnan(value)}


def test_every_query_of_every_panel_has_an_answer(observed: Observed) -> None:
    """Counts at 0 are an answer, and nothing else is left out."""
    silent: list[tuple[str, str, str]] = []

    def is_answered() -> bool:
        silent[:] = [(board, title, query) for board, title, query in ASKED if not answer(observed, substituted(query))]
        return not silent

    try:
        wait_for(is_answered)
    except AssertionError:
        pytest.fail("\n".join(f"{board}: {title}: {query}" for board, title, query in silent))
