"""The certificates of the ext_proc port, and those that come after them.

Owns: that gRPC only gets files that go together, and gets new ones when there are some: they are read at each handshake
and every few seconds, so that whoever writes a wrong one hears of it then, and not when Envoy connects the next time.
What is half written, or does not go together, leaves what was served before. Streams that run are not touched: a
connection keeps the certificate it was made with.
"""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

import grpc
import structlog

from extproc.certificates import expires_at, first_certificate, naming_authorities, use_pair
from extproc.errors import SettingsError

log = structlog.stdlib.get_logger("extproc")


class CertificateObserver(Protocol):
    """Hears what becomes of the files. Must not raise."""

    def certificate_served(self, expires_at_seconds: float) -> None:
        """A certificate is served from now on, which expires then, in seconds since the epoch."""
        ...

    def certificates_reloaded(self, *, is_good: bool) -> None:
        """The files have changed, and are served or could not be used."""
        ...


@dataclass(frozen=True, slots=True)
class CertificateFiles:
    """Where they are. With `client_ca_file` clients have to present a certificate of an authority in it."""

    cert_file: str
    key_file: str
    client_ca_file: str | None = None

    def __iter__(self) -> Iterator[str]:
        yield from (file for file in (self.cert_file, self.key_file, self.client_ca_file) if file is not None)


@dataclass(frozen=True, slots=True)
class _Loaded:
    """The content of files that go together."""

    contents: tuple[bytes, ...]
    leaf: bytes  # in DER
    expires_at_seconds: float

    def configuration(self) -> grpc.ServerCertificateConfiguration:
        """Return it as gRPC takes it."""
        chain, key, *authorities = self.contents
        return grpc.ssl_server_certificate_configuration([(key, chain)], *authorities)


class ServerCertificates:
    """What the port presents, and whom it trusts."""

    def __init__(self, files: CertificateFiles, observer: CertificateObserver) -> None:
        """Read the files. Raises SettingsError where they cannot be used."""
        self._files = files
        self._observer = observer
        self._lock = threading.Lock()
        try:
            self._loaded = _load(files)
        except OSError as error:
            raise SettingsError(f"listen_tls: cannot use {error.filename}: {error.strerror}") from None
        self._seen: object = self._loaded.contents
        self._is_handed_over = True  # to gRPC, when it asks for credentials
        self.handshakes = 0  # that have begun
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._tell()

    @property
    def leaf(self) -> bytes:
        """The certificate that is presented to new connections, in DER."""
        return self._loaded.leaf

    @property
    def demands_client_certificate(self) -> bool:
        """Whether clients have to present one."""
        return self._files.client_ca_file is not None

    def build_credentials(self) -> grpc.ServerCredentials:
        """Return what gRPC listens with, once."""
        return grpc.dynamic_ssl_server_credentials(
            self._loaded.configuration(),
            self._fetch,  # type: ignore[arg-type]  # the stubs do not know that None says that nothing is new
            self.demands_client_certificate,
        )

    def look(self) -> None:
        """Take what the files hold now, if that is new and can be used. Any thread may call this."""
        with self._lock:
            self._look()

    def start(self, poll_seconds: float) -> None:
        """Look every so often, in a thread; 0: only at handshakes."""
        if poll_seconds:
            self._thread = threading.Thread(target=self._poll, args=(poll_seconds,), name="certificates", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """End the thread. It may be called again."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()

    def _poll(self, poll_seconds: float) -> None:
        while not self._stopping.wait(poll_seconds):
            self.look()

    def _fetch(self) -> grpc.ServerCertificateConfiguration | None:
        """Return what gRPC is to use from this handshake on; None: what it has."""
        with self._lock:
            self.handshakes += 1
            self._look()
            if self._is_handed_over:
                return None
            self._is_handed_over = True
            return self._loaded.configuration()

    def _look(self) -> None:
        seen = _peek(self._files)
        if seen == self._seen:
            return
        try:
            loaded = _load(self._files)
        except _StillChangingError:
            return  # there is a next time
        except OSError as error:
            self._seen = seen
            self._observer.certificates_reloaded(is_good=False)
            log.error("certificates not reloaded, the old ones stay", file=error.filename, reason=error.strerror)  # noqa: TRY400 - no bug
            return
        self._seen = loaded.contents
        if loaded.contents == self._loaded.contents:
            return  # they are as they were, before somebody got them wrong
        self._loaded, self._is_handed_over = loaded, False
        self._observer.certificates_reloaded(is_good=True)
        log.info("certificates reloaded", expires_at=_date(loaded.expires_at_seconds))
        self._tell()

    def _tell(self) -> None:
        """Tell until when the certificate is good, and whoever reads logs if it is not any more."""
        self._observer.certificate_served(self._loaded.expires_at_seconds)
        if self._loaded.expires_at_seconds <= time.time():
            expired_at = _date(self._loaded.expires_at_seconds)
            log.warning("the certificate has expired", file=self._files.cert_file, expired_at=expired_at)


class _StillChangingError(OSError):
    """The files were written to while they were read."""


def _load(files: CertificateFiles) -> _Loaded:
    """Return files that go together. Raises OSError with the name of one that cannot be used, and why."""
    contents = _read(files)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    use_pair(context, files.cert_file, files.key_file)
    with naming_authorities(files.client_ca_file):
        if files.client_ca_file is not None:
            context.load_verify_locations(cafile=files.client_ca_file)
    # The library reads the files itself: it has seen what is handed on if they are still the same.
    if contents != _read(files):
        raise _StillChangingError
    leaf = first_certificate(contents[0])
    return _Loaded(contents, leaf, expires_at(leaf))


def _read(files: CertificateFiles) -> tuple[bytes, ...]:
    return tuple(Path(file).read_bytes() for file in files)


def _peek(files: CertificateFiles) -> object:
    """Return what changes when the files do: their content, or why there is none."""
    try:
        return _read(files)
    except OSError as error:
        return (error.errno, error.filename)


def _date(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()
