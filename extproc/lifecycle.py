"""The life of a process that serves, from the moment it listens to its last stream.

Owns: what comes behind what: ready, orders, drain, and how an end is hurried. Must not know what serves, what is told
at each step, or where orders come from.
"""

from __future__ import annotations

import gc
import sys
import threading
import time
from dataclasses import dataclass
from typing import Protocol

import structlog

from extproc.config.address import HostPort, UnixSocket
from extproc.config.settings import Settings
from extproc.listening import Listening
from extproc.memory import keep_large_apart
from extproc.server.listener import Listener
from extproc.server.signals import Order

log = structlog.stdlib.get_logger("extproc")

# In collections of the middle generation; the default is 10.
_FULL_COLLECTION_THRESHOLD = 1000

# How long a thread may go on in Python while another waits. Less costs more than it brings: waking takes as long.
_SWITCH_INTERVAL_SECONDS = 0.0001


class Orders(Protocol):
    """What tells a process what to do: signals, or a worker's leash."""

    def next(self, timeout_seconds: float | None = None) -> Order | None:
        """Wait for the next order; None if there is none when `wake` was called, or time is over."""
        ...

    def wake(self) -> None:
        """Let `next` return. Any thread may call this."""
        ...


@dataclass(frozen=True, slots=True)
class Patience:
    """How long an end may take: while new streams are still taken, and then while old ones may finish."""

    delay_seconds: float
    drain_seconds: float


def patience_of(settings: Settings) -> Patience:
    """Return how long these settings let it take."""
    return Patience(settings.drain_delay_seconds, settings.drain_seconds)


class Host(Protocol):
    """The process around an engine."""

    def ready(self, listen: HostPort | UnixSocket) -> None:
        """Hear where streams are welcome now."""
        ...

    def reload(self) -> None:
        """Take the settings as they are now."""
        ...

    def tick(self) -> float | None:
        """Do what is due; return in how many seconds something will be."""
        ...

    def patience(self) -> Patience:
        """Return how long the end may take."""
        ...


def serve_until_told(listening: Listening, listen: HostPort | UnixSocket, orders: Orders, host: Host) -> int:
    """Serve on an address until `orders` say otherwise, drain; return how many exchanges had to be cut off.

    Raises SettingsError if the address can't be had, and ListenerError if what listens does not answer.
    """
    port = listening.listener.start(str(listen))
    settle_interpreter()
    host.ready(HostPort(listen.host, port) if isinstance(listen, HostPort) else listen)
    while (order := orders.next(host.tick())) is not Order.END:
        if order is Order.RELOAD:
            host.reload()
    patience = host.patience()
    listening.health.set_serving(False)
    is_hurried = _wait(orders, patience.delay_seconds)
    _drain(listening.listener, 0.0 if is_hurried else patience.drain_seconds, orders)
    if cut_streams := listening.engine.cut_streams:
        log.warning("exchanges were cut off", exchanges=cut_streams)
    return cut_streams


def settle_interpreter() -> None:
    """Have the interpreter of a process that is all set up keep out of the way of messages.

    What is loaded by now stays for good, so the garbage collector need not look at it ever again. Nothing that lives
    long is made in cycles here, so it may look at all the rest seldom: that takes as long as there are open streams, or
    series in a scrape. And whoever works beside the engine gives way sooner than after the usual 5 ms. What a
    large message took is given back behind it.
    """
    gc.collect()
    gc.freeze()
    young, middle, _ = gc.get_threshold()
    gc.set_threshold(young, middle, _FULL_COLLECTION_THRESHOLD)
    sys.setswitchinterval(_SWITCH_INTERVAL_SECONDS)
    keep_large_apart()


def _wait(orders: Orders, seconds: float) -> bool:
    """Wait for so long; return True at once if the next order to end comes."""
    if seconds:
        log.info("not ready any more, new streams are still taken", drain_delay_seconds=seconds)
    deadline = time.monotonic() + seconds
    while (left_seconds := deadline - time.monotonic()) > 0:
        if orders.next(left_seconds) is Order.END:
            log.warning("stopping at once, running streams are cut off")
            return True
    return False


def _drain(listener: Listener, grace_seconds: float, orders: Orders) -> None:
    """Drain, and cut it short if that is the next order."""
    log.info("draining", drain_seconds=grace_seconds)
    drained = threading.Event()

    def drain() -> None:
        listener.drain(grace_seconds)
        drained.set()
        orders.wake()

    draining = threading.Thread(target=drain, name="drain")
    draining.start()
    while not drained.is_set():
        if orders.next() is Order.END:
            log.warning("stopping at once, running streams are cut off")
            listener.drain(0)
            break
    draining.join()
