from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from extproc.demo.terminal import stop_on_signals

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@pytest.fixture(autouse=True)
def _handlers() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in SIGNALS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_says_when_to_stop(number: signal.Signals) -> None:
    """Ctrl-C, a supervisor, a terminal that is closed."""
    stop = stop_on_signals()
    assert not stop.is_set()
    os.kill(os.getpid(), number)
    assert stop.wait(5)


def test_a_signal_that_was_ignored_before_stays_ignored() -> None:
    """As nohup asks for."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    stop = stop_on_signals()
    os.kill(os.getpid(), signal.SIGHUP)
    os.kill(os.getpid(), signal.SIGINT)
    assert stop.wait(5)
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
