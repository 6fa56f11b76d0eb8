"""The composition root of `extproc serve`: settings in, a running process out.

Owns: which parts there are, how they are wired, and the life of the process from start to exit. Every other file gets
what it needs passed in.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import traceback
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

from prometheus_client import CollectorRegistry, GCCollector, ProcessCollector, disable_created_metrics

from extproc import __version__
from extproc.admin.server import AdminServer
from extproc.config.address import HostPort, parse_address, parse_host_port
from extproc.config.settings import Settings
from extproc.errors import SettingsError
from extproc.providers.detect import FLAVOURS, Detector, Rule
from extproc.readers import Limits
from extproc.server.aio import AioServer
from extproc.server.health import Health
from extproc.server.listen import check_listen
from extproc.server.session import Processor
from extproc.sinks.metadata import DynamicMetadata
from extproc.sinks.prometheus import ServerMetrics, TokenMetrics

log = logging.getLogger("extproc")


def build_processor(settings: Settings, registry: CollectorRegistry) -> Processor:
    """Return what all sessions share, with its metrics in `registry`."""
    server_metrics = ServerMetrics(registry, version=__version__)
    return Processor(
        limits=build_limits(settings),
        detector=build_detector(settings),
        build_metadata=DynamicMetadata(settings.metadata_namespaces).build,
        sinks=(TokenMetrics(registry, max_label_values=settings.max_label_values), server_metrics),
        observer=server_metrics,
        report_bug=report_bug,
    )


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
    frame = traceback.extract_tb(error.__traceback__)[-1]
    log.error("bug: %s at %s:%s in %s", type(error).__name__, Path(frame.filename).name, frame.lineno, frame.name)


async def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT, drain, return. Raises SettingsError if an address can't be had."""
    disable_created_metrics()  # type: ignore[no-untyped-call]  # the library has left it untyped
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    GCCollector(registry=registry)
    health = Health()
    server = AioServer(build_processor(settings, registry), health, max_message_bytes=settings.max_message_bytes)
    stop, stop_at_once = _stop_events()
    admin = AdminServer(
        parse_host_port(settings.admin_listen), registry, lambda: health.is_serving, version=__version__
    )
    try:
        listen = parse_address(settings.listen)
        check_listen(listen)
        port = await server.start(str(listen))
        if isinstance(listen, HostPort):
            listen = HostPort(listen.host, port)
        log.info("ready: ext_proc on %s, admin on http://%s, version %s", listen, admin.address, __version__)
        await stop.wait()
        log.info("draining: running streams have %g s to finish", settings.drain_seconds)
        await _drain(server, settings.drain_seconds, stop_at_once)
        log.info("stopped")
    finally:
        admin.close()


def _stop_events() -> tuple[asyncio.Event, asyncio.Event]:
    """Return two events: the first signal sets the first, the second the second."""
    stop, stop_at_once = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        # Who starts us with a signal ignored means it: a supervisor that shares our terminal, nohup.
        if signal.getsignal(number) is not signal.SIG_IGN:
            loop.add_signal_handler(number, _advance, (stop, stop_at_once))
    return stop, stop_at_once


def _advance(steps: Sequence[asyncio.Event]) -> None:
    """Set the first event that is not set yet."""
    next((step for step in steps if not step.is_set()), steps[-1]).set()


async def _drain(server: AioServer, grace_seconds: float, stop_at_once: asyncio.Event) -> None:
    """Drain, and cut it short if a second signal comes."""
    draining = asyncio.ensure_future(server.drain(grace_seconds))
    impatience = asyncio.ensure_future(stop_at_once.wait())
    await asyncio.wait({draining, impatience}, return_when=asyncio.FIRST_COMPLETED)
    impatience.cancel()
    if not draining.done():
        log.warning("stopping at once: running streams are cut off")
        await server.drain(0)
    await draining
