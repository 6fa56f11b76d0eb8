"""From exec to ready: how long `extproc serve` takes until /readyz says that streams are welcome.

Owns: the starts, each engine in turn, and beside them what the interpreter takes to start and end by itself.
"""

from __future__ import annotations

import http.client
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.engines import ENGINES, has_engine
from bench.scenarios.base import Course, Outcome
from extproc.config.address import HostPort
from extproc.demo.process import claim_port
from extproc.demo.stack import LOOPBACK, SERVE
from extproc.errors import StackError

_STARTS, _QUICK_STARTS = 10, 3
_POLL_SECONDS = 0.002
_TIMEOUT_SECONDS = 30.0
_HTTP_OK = 200


def run(course: Course) -> Outcome:
    """Start and end it, again and again. Raises StackError if it does not get ready."""
    engines = [engine for engine in ENGINES if has_engine(engine)]
    seconds: dict[str, list[float]] = {name: [] for name in ("python", *engines)}
    for number in range(_QUICK_STARTS if course.is_quick else _STARTS):
        course.on_progress(f"start: {number + 1}")
        seconds["python"].append(_python_seconds())
        for engine in engines:
            seconds[engine].append(_ready_seconds(engine))
    figures = {f"{name}_seconds": statistics.median(each) for name, each in seconds.items()}
    python = figures["python_seconds"]
    findings = [
        f"{engine}: ready {figures[f'{engine}_seconds']:.2f} s after exec (median of {len(seconds[engine])}, "
        f"{min(seconds[engine]):.2f} .. {max(seconds[engine]):.2f}); {figures[f'{engine}_seconds'] / python:.1f} times "
        "an empty Python program"
        for engine in engines
    ]
    return Outcome(figures, tuple(findings))


def _python_seconds() -> float:
    begun = time.monotonic()
    subprocess.run([sys.executable, "-c", ""], check=True)
    return time.monotonic() - begun


def _ready_seconds(engine: str) -> float:
    address = claim_port(HostPort(LOOPBACK, 0), "")
    with tempfile.TemporaryDirectory(prefix="bench-") as directory:
        config = Path(directory) / "settings.json"
        config.write_text(f'{{"engine": "{engine}"}}')
        flags = ("--config", str(config), "--listen", f"unix:{directory}/s.sock", "--admin-listen", str(address))
        begun = time.monotonic()
        process = subprocess.Popen((*SERVE, *flags), stderr=subprocess.DEVNULL)
        try:
            while not _is_ready(address):
                if process.poll() is not None or time.monotonic() - begun > _TIMEOUT_SECONDS:
                    raise StackError("the sidecar did not get ready")
                time.sleep(_POLL_SECONDS)
            return time.monotonic() - begun
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait()


def _is_ready(address: HostPort) -> bool:
    connection = http.client.HTTPConnection(address.host, address.port, timeout=1)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == _HTTP_OK
    except OSError:
        return False
    finally:
        connection.close()
