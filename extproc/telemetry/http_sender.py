"""OTLP over HTTP: https://opentelemetry.io/docs/specs/otlp/#otlphttp.

Owns: the request, and which failures are worth another try. It goes straight to the collector that is configured:
proxies and passwords that the environment or ~/.netrc name are not used, and a redirect is a failure, so that headers
reach nobody but whom they are meant for.
"""

from __future__ import annotations

import gzip
import math
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final

import urllib3
from urllib3.exceptions import HTTPError
from urllib3.exceptions import TimeoutError as HttpTimeoutError
from urllib3.util import Timeout

from extproc.telemetry.certificates import build_context
from extproc.telemetry.route import Route
from extproc.telemetry.sender import SendError

_RETRYABLE: Final = frozenset((429, 502, 503, 504))
_OK: Final = range(200, 300)

# More than any answer of a collector has; the rest is not read.
_MAX_ANSWER_BYTES: Final = 65_536


class HttpSender:
    """Posts to one URL."""

    def __init__(
        self, route: Route, content_type: str, user_agent: str, count_rejected: Callable[[bytes], int]
    ) -> None:
        """`count_rejected` reads an answer that is not empty. Raises OSError where a certificate can't be read."""
        self._url = route.address
        configured = {name.lower(): value for name, value in route.headers.items()}
        self._headers = {"user-agent": user_agent} | configured | {"content-type": content_type}
        if route.is_gzip:
            self._headers["content-encoding"] = "gzip"
        self._is_gzip = route.is_gzip
        self._pool = urllib3.PoolManager(1, ssl_context=build_context(route.tls) if route.is_tls else None)
        pool = self._pool.connection_from_url(route.address)
        self._connect = pool.ConnectionCls
        pool.ConnectionCls = self._open  # type: ignore[assignment]  # it is only called
        self._socket: socket.socket | None = None
        self._count_rejected = count_rejected

    def send(self, payload: bytes, timeout_seconds: float) -> int:
        """Return how many items were rejected. Raises SendError."""
        body = gzip.compress(payload, compresslevel=6) if self._is_gzip else payload
        give_up_at = time.monotonic() + timeout_seconds
        try:
            with self._hanging_up_after(timeout_seconds):
                response = self._pool.request(
                    "POST",
                    self._url,
                    body=body,
                    headers=self._headers,
                    timeout=Timeout(total=timeout_seconds),
                    retries=False,
                    redirect=False,
                    preload_content=False,
                )
                try:
                    answer = response.read(_MAX_ANSWER_BYTES, decode_content=True)
                finally:
                    response.drain_conn() if response.length_remaining == 0 else response.close()
        except HttpTimeoutError:
            raise SendError("timed out", is_retryable=True) from None
        except (HTTPError, OSError) as error:
            reason = _reason(error) if time.monotonic() < give_up_at else "timed out"
            raise SendError(reason, is_retryable=True) from None
        if response.status not in _OK:
            raise SendError(
                f"HTTP {response.status}",
                is_retryable=response.status in _RETRYABLE,
                retry_after_seconds=_retry_after(response.headers.get("retry-after")),
            )
        return self._count_rejected(answer) if answer else 0

    def close(self) -> None:
        """Close connections that are not in use."""
        self._pool.clear()

    def _open(self, **options: Any) -> Any:
        """Return a connection whose socket is known here once it is connected."""
        connection = self._connect(**options)
        connect = connection.connect

        def connect_and_tell() -> None:
            connect()
            self._socket = getattr(connection, "sock", None)

        connection.connect = connect_and_tell  # type: ignore[method-assign]
        return connection

    @contextmanager
    def _hanging_up_after(self, seconds: float) -> Iterator[None]:
        """Bound what is done meanwhile: timeouts are of each read, and an answer may come byte by byte."""
        timer = threading.Timer(seconds, self._hang_up)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def _hang_up(self) -> None:
        if self._socket is not None:
            with suppress(OSError):  # it is closed
                # Not what TLS makes of it, which is not for two threads.
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)


def _reason(error: BaseException) -> str:
    """Return what kind of error it was: its text repeats addresses."""
    inner = error.__cause__ or error.__context__
    return type(error if inner is None else inner).__name__


def _retry_after(value: str | None) -> float | None:
    """Return the seconds a server asks for. A date is not worth its clock: then our own pause stands."""
    try:
        seconds = float(value or "")
    except ValueError:
        return None
    return seconds if math.isfinite(seconds) and seconds >= 0 else None
