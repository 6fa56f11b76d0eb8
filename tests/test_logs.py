from __future__ import annotations

import logging
import subprocess
import sys

PROGRAM = """
import logging
from extproc.logs import write_logs
write_logs("info", "worker 1: ")
logging.getLogger("extproc").info("ready")
logging.getLogger("extproc").debug("sk-1")
logging.getLogger("grpc._cython.cygrpc").error("Invalid encoding on sk-2")
logging.getLogger("other").warning("careful")
logging.getLogger("other").info("sk-3")
"""


def test_what_is_written_is_ours_and_what_libraries_warn_of() -> None:
    """And nothing of gRPC's own, which repeats values of metadata that it can't decode."""
    written = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True).stderr
    lines = [line.split(maxsplit=2)[2] for line in written.splitlines()]
    assert lines == ["INFO worker 1: ready", "WARNING worker 1: careful"]
    assert logging.getLevelName(logging.CRITICAL) not in written
