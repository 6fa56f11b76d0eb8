"""What is measured: Envoy alone, an external processor that does nothing, the sidecar; on each engine, in each mode.

Owns: the list of subjects, which of them the installed code has, and how each is started and watched.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from prometheus_client.parser import text_string_to_metric_families

from bench.engines import ENGINES, EngineName, has_engine
from bench.load import NATIVE
from bench.processes import Memory, cpu_seconds, memory
from bench.proxy import Proxy
from extproc.demo.process import Child
from extproc.demo.stack import SERVE, Ports, SidecarCommand, Stack, fetch

ROOT = Path(__file__).resolve().parents[1]
ENVOY = "envoy.yaml"
ZERO_BODY = "envoy-zero-body.yaml"

_UPSTREAM_READY_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Subject:
    """One of the things that are compared. Without an engine it is Envoy alone."""

    name: str
    engine: EngineName | None = None
    file: str = ENVOY
    is_floor: bool = False

    @property
    def missing(self) -> str | None:
        """Why it can't be measured; None if it can."""
        if not (ROOT / "envoy" / self.file).is_file():
            return f"there is no envoy/{self.file}"
        if self.engine is not None and not has_engine(self.engine):
            return f"this grpcio has no engine {self.engine}"
        return None


BARE = Subject("bare")
_ZERO_BODY_ENGINE: EngineName = "completion_queue"

SUBJECTS = (
    BARE,
    *(Subject(f"floor/{engine}", engine, is_floor=True) for engine in ENGINES),
    *(Subject(f"sidecar/{engine}", engine) for engine in ENGINES),
    Subject(f"zero-body-floor/{_ZERO_BODY_ENGINE}", _ZERO_BODY_ENGINE, ZERO_BODY, is_floor=True),
    Subject(f"zero-body/{_ZERO_BODY_ENGINE}", _ZERO_BODY_ENGINE, ZERO_BODY),
)


class Upstream:
    """A context: the mock provider, at `socket`."""

    def __init__(self) -> None:
        self._directory = tempfile.TemporaryDirectory(prefix="bench-")
        self.socket = Path(self._directory.name) / "upstream.sock"
        self._child: Child | None = None

    def __enter__(self) -> Self:
        log = Path(self._directory.name) / "upstream.log"
        self._child = Child("the upstream", [str(NATIVE / "upstream"), str(self.socket)], log)
        self._child.wait_until(self.socket.exists, _UPSTREAM_READY_SECONDS)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._child is not None:
            self._child.end()
        self._directory.cleanup()


@dataclass(frozen=True, slots=True)
class Used:
    """CPU time so far, in seconds."""

    sidecar_cpu_seconds: float
    envoy_cpu_seconds: float


class Running:
    """A context: a subject, started. Subjects that are not measured now are idle."""

    def __init__(
        self,
        subject: Subject,
        upstream: Upstream,
        *,
        settings: Mapping[str, Any] | None = None,
        command: tuple[str, ...] = SERVE,
        workers: int = 1,
    ) -> None:
        self.subject = subject
        self._exit = ExitStack()
        self._directory = Path(self._exit.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        proxy = Proxy(upstream.socket, file=subject.file, has_ext_proc=subject.engine is not None)
        flags: tuple[str, ...] = ()
        self._has_sidecar = subject.engine is not None
        if subject.engine is None or subject.is_floor:
            # Beside Envoy alone it idles, and is no part of it.
            command = (sys.executable, "-m", "bench.floor", "--engine", subject.engine or ENGINES[0])
        else:
            config = self._directory / "settings.json"
            config.write_text(json.dumps({"engine": subject.engine, **(settings or {})}))
            flags = ("--config", str(config))
        sidecar = SidecarCommand(command, flags, workers)
        self.stack = Stack(proxy, Ports(), on_log_line=lambda _: None, sidecar=sidecar)

    def __enter__(self) -> Self:
        try:
            self._exit.enter_context(self.stack)
        except BaseException:
            self._exit.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._exit.close()

    @property
    def port(self) -> int:
        """Where it takes traffic, on loopback."""
        return self.stack.gateway.port

    @property
    def sidecar_pid(self) -> int:
        """The process id of the sidecar."""
        assert self.stack.sidecar is not None  # noqa: S101 - for the type checker: it was started
        return self.stack.sidecar.pid

    @property
    def envoy_pid(self) -> int:
        """The process id of Envoy."""
        assert self.stack.envoy is not None  # noqa: S101 - as above
        return self.stack.envoy.pid

    def used(self) -> Used:
        """Return the CPU time used so far."""
        return Used(cpu_seconds(self.sidecar_pid) if self._has_sidecar else 0.0, cpu_seconds(self.envoy_pid))

    def sidecar_memory(self) -> Memory:
        """Return what the sidecar holds now."""
        return memory(self.sidecar_pid) if self._has_sidecar else Memory(0, 0)

    def messages(self) -> int:
        """Return how many messages Envoy has sent to the sidecar, by its own count."""
        return self._envoy_counter("stream_msgs_sent")

    def unmetered(self) -> int:
        """Return how many exchanges Envoy has let go on without the sidecar, by its own count."""
        return self._envoy_counter("failure_mode_allowed")

    def _envoy_counter(self, name: str) -> int:
        """Read a counter of the ext_proc filter."""
        stats = json.loads(fetch(f"http://{self.stack.envoy_admin}/stats?format=json&filter=ext_proc.{name}"))
        return sum(stat.get("value", 0) for stat in stats["stats"])

    def counters(self) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
        """Return the sidecar's metrics: name and labels to value. A floor has none."""
        families = text_string_to_metric_families(self.stack.scrape())
        return {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in families
            for sample in family.samples
        }

    def phases(self) -> dict[str, int]:
        """Return how many messages of each phase the sidecar has counted."""
        return {
            dict(labels)["phase"]: int(value)
            for (name, labels), value in self.counters().items()
            if name == "extproc_messages_total"
        }
