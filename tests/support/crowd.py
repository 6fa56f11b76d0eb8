"""Several threads that do the same again and again, as clients do."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def crowd(size: int, act: Callable[[], object]) -> Iterator[None]:
    """Have so many threads do it again and again meanwhile; what is under way at the end is finished."""
    is_over = threading.Event()

    def run() -> None:
        while not is_over.is_set():
            act()

    threads = [threading.Thread(target=run) for _ in range(size)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        is_over.set()
        for thread in threads:
            thread.join()
