from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest
from support.waiting import wait_for

from bench.processes import cpu_seconds, descendants, memory

BUSY = "import time\nwhile time.process_time() < 0.2: pass\nprint(time.process_time(), flush=True)\ninput()"


def test_the_cpu_time_of_a_process_is_what_it_says_itself() -> None:
    """And none that another process used."""
    with subprocess.Popen(
        [sys.executable, "-c", BUSY], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        said = float(child.stdout.readline())
        assert said <= cpu_seconds(child.pid) < said + 0.2
        assert cpu_seconds(os.getpid()) >= cpu_seconds(child.pid)  # whose parent we are
        assert child.pid in descendants(os.getpid())
        child.communicate("\n")


def test_our_own_clock_agrees() -> None:
    """Read before and after, it encloses what is read in between."""
    before = time.process_time()
    mine = cpu_seconds(os.getpid()) - sum(cpu_seconds(pid) for pid in descendants(os.getpid()))
    assert before <= mine <= time.process_time()


def test_the_memory_of_children_counts() -> None:
    """A worker's memory is the sidecar's."""
    held = "held = bytearray(b'x') * 30_000_000\nprint(len(held), flush=True)\ninput()"
    before = memory(os.getpid()).rss_bytes
    with subprocess.Popen(
        [sys.executable, "-c", held], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        child.stdout.readline()
        wait_for(lambda: memory(os.getpid()).rss_bytes > before + 30_000_000)
        own = memory(child.pid)
        assert own.pss_bytes <= own.rss_bytes
        child.communicate("\n")


def test_a_process_that_is_gone_is_said_to_be() -> None:
    """Instead of having used nothing."""
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    with pytest.raises(ProcessLookupError):
        cpu_seconds(child.pid)
