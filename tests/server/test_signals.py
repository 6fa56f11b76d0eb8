from __future__ import annotations

import os
import signal
import threading

from extproc.server.signals import Order, SignalOrders, Signals


def test_signals_wait_to_be_taken() -> None:
    """In their order, however many there were; and without one, time is over."""
    with Signals((signal.SIGUSR1, signal.SIGUSR2)) as signals:
        assert signals.wait(0) == []
        for number in (signal.SIGUSR1, signal.SIGUSR2, signal.SIGUSR1):
            os.kill(os.getpid(), number)
        assert signals.wait(10) == [signal.SIGUSR1, signal.SIGUSR2, signal.SIGUSR1]
        assert signals.wait(0) == []


def test_any_thread_can_wake_who_waits() -> None:
    """There is no signal then."""
    with Signals((signal.SIGUSR1,)) as signals:
        threading.Thread(target=signals.wake).start()
        assert signals.wait(10) == []
    signals.wake()  # nobody waits any more, and that is no error


def test_a_descriptor_can_be_watched() -> None:
    """There is no signal then; and one that comes at the same time is not lost."""
    reader, writer = os.pipe()
    with Signals((signal.SIGUSR1,)) as signals:
        os.write(writer, b"x")
        assert signals.wait(10, [reader]) == []
        os.kill(os.getpid(), signal.SIGUSR1)
        assert signals.wait(10, [reader]) == [signal.SIGUSR1]
    os.close(reader)
    os.close(writer)


def test_an_end_is_not_lost_behind_reloads() -> None:
    """However many came while nobody could listen; it comes first, and twice is twice."""
    with SignalOrders((signal.SIGUSR1,), (signal.SIGUSR2,)) as orders:
        for _ in range(2000):
            os.kill(os.getpid(), signal.SIGUSR2)
        os.kill(os.getpid(), signal.SIGUSR1)
        os.kill(os.getpid(), signal.SIGUSR1)
        assert [orders.next(0) for _ in range(3)] == [Order.END, Order.END, None]


def test_reloads_that_come_together_are_one() -> None:
    """Each would read the same."""
    with SignalOrders((signal.SIGUSR1,), (signal.SIGUSR2,)) as orders:
        for _ in range(3):
            os.kill(os.getpid(), signal.SIGUSR2)
        assert [orders.next(0) for _ in range(2)] == [Order.RELOAD, None]


def test_who_is_woken_often_is_awake() -> None:
    """There may be no room for more to say."""
    with Signals((signal.SIGUSR1,)) as signals:
        for _ in range(70_000):
            signals.wake()
        assert signals.wait(10) == []


def test_handlers_are_put_back() -> None:
    """What a signal did before, it does again."""
    before = signal.getsignal(signal.SIGUSR1)
    with Signals((signal.SIGUSR1,)):
        assert signal.getsignal(signal.SIGUSR1) is not before
    assert signal.getsignal(signal.SIGUSR1) is before


def test_what_is_ignored_stays_ignored() -> None:
    """Who started us has decided so."""
    before = signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    try:
        with Signals((signal.SIGUSR1, signal.SIGUSR2)) as signals:
            os.kill(os.getpid(), signal.SIGUSR1)
            assert signal.getsignal(signal.SIGUSR1) is signal.SIG_IGN
            assert signals.wait(0) == []
    finally:
        signal.signal(signal.SIGUSR1, before)
