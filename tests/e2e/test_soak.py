"""The soak itself, for some seconds: that it runs, that its ledger balances, and that it sees what does not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from soak import mixed
from soak.bombs import Body, bodies
from soak.ledger import Kill, Ledger, Rule
from soak.plays import Truth

from extproc.codec.br import Brotli
from extproc.codec.content import ContentDecoder
from extproc.codec.deflate import Gzip
from extproc.codec.zstd import Zstd

KILL = Kill(1, at_seconds=100.0, ready_seconds=102.0)
TRUTH = Truth([(3, 4)])
LINE = {"request_id": "a", "prompt_tokens": 3, "completion_tokens": 4, "hits_addend": 7, "completion": "complete"}


def entry(began: float, ended: float, *, worker: int = 1, failed: bool = False, **calls: int) -> dict[str, Any]:
    """A line of the access log."""
    counts = {"prompt_tokens": 3, "completion_tokens": 4}
    call: dict[str, object] = {
        "destination": f"extproc-{worker}",
        "failed_open": failed,
        "bytes_sent": 9,
        "bytes_received": 9,
        **calls,
    }
    about: dict[str, Any] = {"request_id": "a", "flags": "-", "began": str(began), "ended": str(ended)}
    return {**about, "ai": counts, "hits_addend": 7, "calls": call}


def ledger_of(access: dict[str, Any], *lines: dict[str, Any], fault: str | None = None) -> Ledger:
    """A ledger with one exchange."""
    ledger = Ledger()
    ledger.open("a", "mock", is_edited=False)
    for line in lines:
        ledger.take_line(line)
    ledger.take_entry(access)
    ledger.tell("a", TRUTH, fault)
    return ledger


@pytest.mark.e2e
def test_a_short_soak_balances() -> None:
    """All kinds of traffic, reloads and outages; what takes minutes is for `make soak`."""
    every = {"scrape": 0.4, "reload": 0.9, "reload_badly": 1.3, "toggle_collector": 1.1}
    said: list[str] = []
    plan = mixed.Plan(
        4.0, per_second=60.0, bomb_bytes=1024 * 1024, patience_seconds=30, every_seconds=every, say=said.append
    )
    outcome = mixed.run(plan)
    assert outcome.faults == []
    assert outcome.figures["ledger difference"] == 0
    assert outcome.figures["exchanges"] > 40
    assert set(outcome.figures["done to the sidecar"]) >= {"scrapes", "reloads", "bad reloads", "collector outages"}
    assert len(said) == 2


def test_an_exchange_that_is_the_same_everywhere_balances() -> None:
    """And is forgotten."""
    ledger = ledger_of(entry(1, 2), LINE)
    assert (ledger.balanced, ledger.open_pages, ledger.judge([])) == (1, 0, [])


@pytest.mark.parametrize(
    "lines",
    [
        (),
        (LINE, LINE),
        (LINE | {"prompt_tokens": 4},),
        (LINE | {"completion": "cancelled"},),
        (LINE | {"hits_addend": 8},),
    ],
    ids=["none", "twice", "other counts", "another end", "another charge"],
)
def test_any_difference_is_found(lines: tuple[dict[str, Any], ...]) -> None:
    """A ledger that always balances shows nothing."""
    ledger = ledger_of(entry(1, 2), *lines)
    (unbalanced,) = ledger.judge([KILL])
    assert unbalanced.rule is None


@pytest.mark.parametrize(
    ("access", "rule"),
    [
        (entry(99, 101), Rule.KILLED),
        (entry(99, 101, worker=0), None),
        (entry(101, 103, failed=True, bytes_received=0), Rule.NOBODY_LISTENED),
        (entry(101, 103, failed=True, bytes_received=5), None),
        (entry(102.1, 103, failed=True, bytes_received=0), None),
        (entry(98, 99.8), Rule.LINE_LOST),
        (entry(98, 99.8, failed=True), None),
        (entry(98, 99), None),
    ],
)
def test_only_a_kill_of_its_own_worker_explains_it(access: dict[str, Any], rule: Rule | None) -> None:
    """Not what merely was near to one."""
    (unbalanced,) = ledger_of(access).judge([KILL])
    assert unbalanced.rule is rule


def test_no_kill_explains_what_a_client_lacks() -> None:
    """Whatever becomes of a sidecar, clients get what was sent."""
    (unbalanced,) = ledger_of(entry(99, 101), fault="the answer broke off").judge([KILL])
    assert unbalanced.rule is None


@pytest.mark.parametrize("body", [body for body in bodies(0.002) if body.coding], ids=lambda body: body.name)
def test_a_bomb_goes_off(body: Body) -> None:
    """What is made by repetition is what a coder would have made of it."""
    decoders: dict[str | None, Callable[[], ContentDecoder]] = {"gzip": Gzip, "br": Brotli, "zstd": Zstd}
    decoder = decoders[body.coding]()
    size = sum(len(out) for piece in body.pieces() for out in decoder.feed(piece))
    assert size in (20 * 1024 * 1024, 1 + 3 * 200_000)
