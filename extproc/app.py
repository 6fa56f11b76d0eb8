"""The composition root of `extproc serve`: settings in, a running process out.

Owns: which parts there are, how they are wired, and the life of the process from start to exit. Every other file gets
what it needs passed in.
"""

from __future__ import annotations

import gc
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import fields
from pathlib import Path
from typing import Protocol

import structlog
from prometheus_client import CollectorRegistry, GCCollector, ProcessCollector, disable_created_metrics

from extproc import __version__
from extproc.admin.server import AdminServer
from extproc.config.address import HostPort, UnixSocket, parse_address, parse_host_port
from extproc.config.settings import Settings
from extproc.config.telemetry import Telemetry
from extproc.errors import SettingsError
from extproc.logs import place_of
from extproc.observability import Tracing, build_admin_view, build_counts, build_pushes, running, scraped
from extproc.providers.detect import FLAVOURS, Detector, Rule
from extproc.readers import Limits
from extproc.server.engine import Engine, EngineOptions, build_engine
from extproc.server.health import Health
from extproc.server.hindrances import MENDS, Hindrances, Wanted
from extproc.server.listen import check_listen
from extproc.server.session import Processor
from extproc.server.signals import Signals
from extproc.sinks.base import UsageSink
from extproc.sinks.envoy_problems import EnvoyProblems
from extproc.sinks.line_output import LineOutput, find_stdout
from extproc.sinks.metadata import DynamicMetadata
from extproc.sinks.prometheus import ServerMetrics
from extproc.sinks.settled import SettledRegistry
from extproc.sinks.usage_log import DebugLines, UsageLog, UsageLogLines
from extproc.surveying import build_surveyor
from extproc.telemetry.metrics import build_metric_sinks
from extproc.telemetry.store import is_shared

log = structlog.stdlib.get_logger("extproc")

# In collections of the middle generation; the default is 10.
_FULL_COLLECTION_THRESHOLD = 1000

# So many exchanges wait at most until they are counted together; it takes a fraction of a millisecond.
_BATCH_SIZE = 16

# How long a thread may go on in Python while another waits. Less costs more than it brings: waking takes as long.
_SWITCH_INTERVAL_SECONDS = 0.0001


def build_processor(settings: Settings, registry: CollectorRegistry, sinks: Sequence[UsageSink] = ()) -> Processor:
    """Return what all sessions share, with its metrics in `registry`; `sinks` are others that are to be told."""
    server_metrics = ServerMetrics(registry, version=__version__)
    metrics = build_metric_sinks(registry, settings.telemetry, max_label_values=settings.max_label_values)
    return Processor(
        limits=build_limits(settings),
        detector=build_detector(settings),
        build_metadata=DynamicMetadata(settings.metadata_namespaces).build,
        # Who does not want them does without the question, too.
        sinks=(*metrics, server_metrics, *sinks, *((DebugLines(),) if settings.log_level == "debug" else ())),
        observer=server_metrics,
        report_bug=report_bug,
        hindrances=build_hindrances(settings, EnvoyProblems(registry)),
        surveyor=None if settings.telemetry is None else build_surveyor(settings.telemetry),
        names_requests=settings.usage_log is not None,
        # Values that another process reads are moved at once: nobody here would know when they are read. So are those
        # that are written down.
        batch_size=1 if is_shared() or settings.usage_log is not None else _BATCH_SIZE,
    )


def build_usage_log(settings: Settings, registry: CollectorRegistry, stdout: int | None = None) -> tuple[UsageLog, ...]:
    """Return the usage log, if there is one. Raises SettingsError if it can't be had.

    `stdout` is what stands for our own standard output, as a descriptor.
    """
    if settings.usage_log is None:
        return ()
    labels = () if settings.telemetry is None else settings.telemetry.custom_labels
    if settings.usage_log == "stdout":
        output = LineOutput(find_stdout() if stdout is None else stdout)
    else:
        output = LineOutput(Path(settings.usage_log))
    return (UsageLog(output, UsageLogLines(registry), [label.name for label in labels]),)


def build_hindrances(settings: Settings, problems: EnvoyProblems) -> Hindrances:
    """Return what looks for configurations of Envoy's that these settings can't work with."""
    telemetry = settings.telemetry or Telemetry()
    wanted = Wanted(
        frozenset(label.metadataNamespace for label in telemetry.custom_labels if label.metadataKey is not None),
        attributes=telemetry.exporters.send_traces,
        request_id=settings.usage_log is not None,
    )
    return Hindrances(wanted, lambda hindrance, missing: problems.tell(hindrance, missing, MENDS))


def build_limits(settings: Settings) -> Limits:
    """Return the bounds of an exchange, which are settings by the same names."""
    return Limits(**{each.name: getattr(settings, each.name) for each in fields(Limits)})


def build_detector(settings: Settings) -> Detector:
    """Return what tells providers and flavours, with the deployment's own rules; raise SettingsError for a bad one."""
    for index, rule in enumerate(settings.detection_rules):
        if rule.flavour is not None and rule.flavour not in FLAVOURS:
            known = ", ".join(FLAVOURS)
            raise SettingsError(
                f"detection_rules[{index}].flavour: no such flavour {rule.flavour!r}; there are {known}"
            )
    return Detector(
        [
            Rule(rule.authority, rule.path, rule.provider, rule.flavour, is_llm=rule.llm)
            for rule in settings.detection_rules
        ]
    )


def report_bug(error: BaseException) -> None:
    """Log where an unforeseen exception was raised, and its type; its text may repeat traffic, so it is left out."""
    log.error("bug", exception=type(error).__name__, at=place_of(error))


class Orders(Protocol):
    """What tells a process to drain, and then to stop at once: signals, or a worker's leash."""

    def wait(self) -> list[int] | bool:
        """Wait; return something true when the next step is due, and not when `wake` was called."""
        ...

    def wake(self) -> None:
        """Let `wait` return. Any thread may call this."""
        ...


def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT, drain, return. Raises SettingsError if an address can't be had."""
    disable_created_metrics()  # type: ignore[no-untyped-call]  # the library has left it untyped
    registry = SettledRegistry()
    ProcessCollector(registry=registry)
    GCCollector(registry=registry)
    health = Health()
    telemetry = settings.telemetry or Telemetry()
    counts = build_counts(telemetry, registry)
    tracing = Tracing(telemetry, counts)
    usage_log = build_usage_log(settings, registry)
    processor = build_processor(settings, registry, (*tracing.sinks, *usage_log))
    registry.settle = processor.teller.drain
    background = (*tracing.exports, *build_pushes(telemetry, registry, counts), *usage_log)
    engine = build_engine(settings.engine, processor, health, build_engine_options(settings))
    view = build_admin_view(settings.telemetry, registry)
    admin = AdminServer(parse_host_port(settings.admin_listen), view, lambda: health.is_serving, version=__version__)

    def tell(listen: HostPort | UnixSocket) -> None:
        log.info("ready", listen=str(listen), admin=f"http://{admin.address}", version=__version__)

    with (
        closing(admin),
        scraped(telemetry, registry, admin.address),
        running(background, telemetry),
        Signals((signal.SIGTERM, signal.SIGINT)) as signals,
    ):
        listen = parse_address(settings.listen)
        check_listen(listen)
        serve_until_told(engine, listen, signals, settings.drain_seconds, tell)


def settle_interpreter() -> None:
    """Have the interpreter of a process that is all set up keep out of the way of messages.

    What is loaded by now stays for good, so the garbage collector need not look at it ever again. Nothing that lives
    long is made in cycles here, so it may look at all the rest seldom: that takes as long as there are open streams, or
    series in a scrape. And whoever works beside the engine gives way sooner than after the usual 5 ms.
    """
    gc.collect()
    gc.freeze()
    young, middle, _ = gc.get_threshold()
    gc.set_threshold(young, middle, _FULL_COLLECTION_THRESHOLD)
    sys.setswitchinterval(_SWITCH_INTERVAL_SECONDS)


def serve_until_told(
    engine: Engine,
    listen: HostPort | UnixSocket,
    orders: Orders,
    drain_seconds: float,
    on_ready: Callable[[HostPort | UnixSocket], None],
) -> None:
    """Serve on an address until `orders` say otherwise, drain, return; tell where, once it does.

    Raises SettingsError if the address can't be had.
    """
    port = engine.start(str(listen))
    settle_interpreter()
    on_ready(HostPort(listen.host, port) if isinstance(listen, HostPort) else listen)
    while not orders.wait():
        pass
    log.info("draining", drain_seconds=drain_seconds)
    _drain(engine, drain_seconds, orders)
    log.info("stopped")


def build_engine_options(settings: Settings, *, shares_port: bool = False) -> EngineOptions:
    """Return how the engine listens."""
    return EngineOptions(
        max_message_bytes=settings.max_message_bytes,
        max_concurrent_streams=settings.max_concurrent_streams,
        shares_port=shares_port,
    )


def _drain(engine: Engine, grace_seconds: float, orders: Orders) -> None:
    """Drain, and cut it short if that is the next order."""
    drained = threading.Event()

    def drain() -> None:
        engine.drain(grace_seconds)
        drained.set()
        orders.wake()

    draining = threading.Thread(target=drain, name="drain")
    draining.start()
    while not drained.is_set():
        if orders.wait():
            log.warning("stopping at once, running streams are cut off")
            engine.drain(0)
            break
    draining.join()
