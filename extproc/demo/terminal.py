"""What the demo's commands share in front of a person: where they print, and how they are stopped."""

from __future__ import annotations

import signal
import threading

from rich.console import Console

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
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    return stop
