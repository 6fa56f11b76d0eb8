"""What the demo's commands share in front of a person.

Owns: where they print, how they are stopped, and how they wait for it.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console

from extproc.demo.stack import Stack
from extproc.errors import ExtprocError

# How often a stack that only stays up is looked at.
_CHECK_SECONDS = 0.5

# Wide enough for the tables where there is no terminal to ask.
_PLAIN_WIDTH = 120


def build_console() -> Console:
    """Return the console on standard output: colours in a terminal, plain text elsewhere."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = _PLAIN_WIDTH
    return console


def stop_on_signals() -> threading.Event:
    """Return an event that Ctrl-C and SIGTERM set, in the place of ending the process where it stands."""
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # Who starts us with a signal ignored means it: nohup does.
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, lambda *_: stop.set())
    return stop


def stay(stack: Stack, stop: threading.Event) -> None:
    """Wait until it is time to stop. Raises StackError if a process of the stack ends before."""
    while not stop.wait(_CHECK_SECONDS):
        with unless_stopping(stop):
            stack.check()


@contextmanager
def unless_stopping(stop: threading.Event) -> Iterator[None]:
    """Pass over what fails because everything is being stopped; raise the rest.

    Ctrl-C reaches Envoy as well, which may be gone before our own handler has run.
    """
    try:
        yield
    except (ExtprocError, OSError):
        if not stop.wait(_CHECK_SECONDS):
            raise
