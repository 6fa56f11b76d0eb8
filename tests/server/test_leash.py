from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator

import pytest

from extproc.server.leash import DRAIN, RELOAD, STOP, Leash
from extproc.server.signals import Order, Signals


class Held:
    """A leash, and the supervisor's end of it."""

    def __init__(self, signals: Signals) -> None:
        words, self.words = os.pipe()
        self.reports, reports = os.pipe()
        self.open = {words, reports, self.words, self.reports}
        self.leash = Leash(signals, words, reports)

    def say(self, words: bytes) -> None:
        os.write(self.words, words)

    def let_go(self) -> None:
        for end in (self.words, self.reports):
            os.close(end)
            self.open.discard(end)


@pytest.fixture(name="held")
def _held() -> Iterator[Held]:
    with Signals((signal.SIGUSR1,)) as signals:
        held = Held(signals)
        yield held
        for end in held.open:
            os.close(end)


def get_signal() -> None:
    os.kill(os.getpid(), signal.SIGUSR1)


def test_a_word_to_drain_and_a_word_to_stop(held: Held) -> None:
    """One after the other, or both at once."""
    held.say(DRAIN)
    assert held.leash.next() is Order.END
    held.leash.wake()
    assert held.leash.next() is None
    held.say(STOP)
    assert held.leash.next() is Order.END


def test_both_words_at_once_are_two_steps(held: Held) -> None:
    """For who was busy when they were said."""
    held.say(DRAIN + STOP)
    assert held.leash.next() is Order.END
    assert held.leash.next() is Order.END


def test_to_be_woken_is_no_word(held: Held) -> None:
    """It goes on as before."""
    held.leash.wake()
    assert held.leash.next() is None
    assert not held.leash.is_cut


def test_signals_drain_and_do_not_hurry(held: Held) -> None:
    """Who ends a service may signal all its processes, and the supervisor then says the same."""
    get_signal()
    assert held.leash.next() is Order.END
    held.say(DRAIN)
    assert held.leash.next() is None
    get_signal()
    assert held.leash.next() is None
    held.say(STOP)
    assert held.leash.next() is Order.END


def test_without_a_supervisor_it_drains_and_a_signal_hurries_it(held: Held) -> None:
    """There is nobody else who could."""
    held.let_go()
    assert held.leash.next() is Order.END
    assert held.leash.is_cut
    held.leash.wake()
    assert held.leash.next() is None
    get_signal()
    assert held.leash.next() is Order.END


def test_a_supervisor_may_go_while_it_drains(held: Held) -> None:
    """That is no hurry."""
    held.say(DRAIN)
    assert held.leash.next() is Order.END
    held.let_go()
    assert held.leash.next() is None
    assert held.leash.is_cut


def test_a_reload_comes_with_a_line(held: Held) -> None:
    """Which may come in pieces, and with other words around it."""
    held.say(RELOAD + b'{"a"')
    assert held.leash.next() is None
    held.say(b": 1}\n" + RELOAD + b"2\n" + DRAIN)
    assert held.leash.next() is Order.RELOAD
    assert held.leash.next() is Order.RELOAD
    assert held.leash.line == b"2"
    assert held.leash.next() is Order.END


def test_time_may_be_over(held: Held) -> None:
    """Then there is no order."""
    assert held.leash.next(0.01) is None


def test_a_report_is_a_line_and_may_find_nobody(held: Held) -> None:
    """Of JSON."""
    held.leash.report(is_ready=True)
    line = os.read(held.reports, 100)
    assert (json.loads(line), line[-1:]) == ({"is_ready": True}, b"\n")
    held.let_go()
    held.leash.report(is_ready=True)
