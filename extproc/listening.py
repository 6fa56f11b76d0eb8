"""What settings mean for how a process listens: its engine, certificates and socket.

Owns: turning settings into what the server room takes. Must not know what is metered.
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry

from extproc.config.settings import Settings
from extproc.server.certificates import CertificateFiles, ServerCertificates
from extproc.server.engine import Engine, EngineOptions, build_engine
from extproc.server.health import Health
from extproc.server.listener import Listener, ListenerOptions
from extproc.server.processor import Processor
from extproc.server.slow import Watch
from extproc.sinks.certificates import CertificateMetrics


class Listening:
    """The engine of a process, and what is around it."""

    def __init__(
        self,
        settings: Settings,
        processor: Processor,
        registry: CollectorRegistry,
        watch: Watch | None = None,
        *,
        shares_port: bool = False,
    ) -> None:
        """Raises SettingsError for certificates that can't be used, or an engine that can't be had."""
        self.health = Health()
        certificates = build_certificates(settings, registry)
        engine_options = EngineOptions(
            max_concurrent_streams=settings.max_concurrent_streams,
            credentials=None if certificates is None else certificates.build_credentials(),
            shares_port=shares_port,
            watch=watch or Watch(),
        )
        options = ListenerOptions(
            certificates=certificates,
            poll_seconds=settings.config_poll_seconds,
            socket_mode=None if settings.socket_mode is None else int(settings.socket_mode, 8),
        )
        self.engine: Engine = build_engine(settings.engine, processor, self.health, engine_options)
        self.listener = Listener(self.engine, self.health, options)


def build_certificates(settings: Settings, registry: CollectorRegistry) -> ServerCertificates | None:
    """Return the certificates of the ext_proc port, with their metrics in `registry`; None where there is no TLS.

    Raises SettingsError where they cannot be used.
    """
    if settings.listen_tls is None:
        return None
    return ServerCertificates(CertificateFiles(**settings.listen_tls.model_dump()), CertificateMetrics(registry))
