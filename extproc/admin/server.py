"""The admin HTTP server.

    /metrics   Prometheus text or OpenMetrics, as the client asks, compressed if it can
    /livez     200 as long as the process runs
    /readyz    200 as long as new streams are welcome, else 503
    /status    what is running, and what it needs of Envoy, as JSON
    /          for browsers a page to look at, for others what is here
    /recent    what the page shows, as JSON

Owns: HTTP on the admin port; what is answered is the business of answers.py. It runs in threads of its own, so that a
slow scraper holds up nothing but itself, and it only ever reads. What a connection may take is bounded by
connections.py.
"""

from __future__ import annotations

import io
import ipaddress
import socket
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from socketserver import ThreadingMixIn
from typing import TYPE_CHECKING, Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

import structlog
from prometheus_client import CollectorRegistry, make_wsgi_app

from extproc.admin.answers import build_application, plain
from extproc.admin.connections import ANSWER_SECONDS, MAX_CONNECTIONS, AnswerWriter, BoundedReader, Places
from extproc.admin.scrapes import PacedRegistry, Turns
from extproc.config.address import HostPort
from extproc.errors import SettingsError

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

# How long `close` may have to wait for the listening thread.
_POLL_SECONDS = 0.1

log = structlog.stdlib.get_logger("extproc")


class _Handler(WSGIRequestHandler):
    server: _Server
    raw_requestline: bytes

    def setup(self) -> None:
        """Read within bounds, and say when there is an answer."""
        super().setup()
        self.rfile = io.BufferedReader(BoundedReader(self.connection))
        self.wfile = AnswerWriter(self.connection, lambda: self.server.places.answered(self.connection))

    def parse_request(self) -> bool:
        """Take what was asked; what becomes of it has its time."""
        if not self.raw_requestline.endswith(b"\n"):
            return False  # there is more of it than may be, or it came too slowly
        is_request = super().parse_request()
        self.connection.settimeout(ANSWER_SECONDS)
        self.server.places.asked(self.connection)
        return is_request

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class named it
        """Log nothing: a probe every few seconds is no news."""

    def get_stderr(self) -> io.StringIO:
        """Let nobody read what the library prints of clients that take no answer."""
        return io.StringIO()

    def address_string(self) -> str:
        return str(self.client_address[0])


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, address: tuple[str, int], app: WSGIApplication, max_connections: int) -> None:
        self.places = Places(max_connections)
        super().__init__(address, _Handler)
        self.set_app(app)

    def get_request(self) -> Any:
        """Accept a connection; where none can be had, for want of descriptors, wait before the next try."""
        try:
            return super().get_request()
        except OSError:
            time.sleep(_POLL_SECONDS)
            raise

    def process_request(self, request: Any, client_address: Any) -> None:
        """Serve a connection in a thread of its own, or hang up where there are too many."""
        if not self.places.take(request):
            self.shutdown_request(request)
            return
        try:
            super().process_request(request, client_address)
        except RuntimeError:  # there can be no thread more, and so nobody who would leave
            self.places.leave(request)
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serve a connection, and make room for another."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self.places.leave(request)

    def server_bind(self) -> None:
        # As the base class does, but for asking DNS for the host's name, which can take seconds where there is none.
        # A restart must not have to wait for the connections of the process before it to be forgotten.
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        socket.socket.bind(self.socket, self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])
        self.setup_environ()

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of clients that hang up."""


class _ServerV6(_Server):
    address_family = socket.AF_INET6


class _Listener:
    """Serves a WSGI application from a thread, from the moment it is made until `close`."""

    def __init__(self, address: HostPort, app: WSGIApplication, max_connections: int) -> None:
        """Listen on `address`. Raises SettingsError if it can't be had."""
        server_class = _ServerV6 if ":" in address.host else _Server
        try:
            self._server = server_class((address.host, address.port), app, max_connections)
        except OSError as error:
            raise SettingsError(f"cannot listen on {address}: {error.strerror}") from None
        self.address = HostPort(address.host, self._server.server_port)
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(_POLL_SECONDS,), name="admin", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class AdminServer(_Listener):
    """Serves the admin endpoints."""

    def __init__(  # noqa: PLR0913 - what it answers with, each from whoever knows it
        self,
        address: HostPort,
        registry: CollectorRegistry,
        is_ready: Callable[[], bool],
        *,
        version: str,
        find_status: Callable[[], Mapping[str, Any]] = dict,
        find_recent: Callable[[], Callable[[], bytes] | None] = lambda: None,
        max_connections: int = MAX_CONNECTIONS,
    ) -> None:
        """Listen on `address`. `find_recent` returns what tells the page, if there is to be one.

        Raises SettingsError if the address can't be had.
        """
        metrics = _metrics_of(registry)
        app = build_application(metrics, is_ready, find_status, find_recent, version)
        super().__init__(address, _guarded(app, address), max_connections)


class MetricsServer(_Listener):
    """Serves /metrics alone, for a scraper with a port of its own."""

    def __init__(self, address: HostPort, registry: CollectorRegistry) -> None:
        """Listen on `address`. Raises SettingsError if it can't be had."""
        metrics = _metrics_of(registry)

        def answer(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
            if environ.get("PATH_INFO") == "/metrics":
                return metrics(environ, start_response)
            return plain(start_response, "404 Not Found", "/metrics is all there is\n")

        super().__init__(address, _guarded(answer, address), MAX_CONNECTIONS)


def _metrics_of(registry: CollectorRegistry) -> WSGIApplication:
    metrics: WSGIApplication = make_wsgi_app(PacedRegistry(registry))
    turns = Turns()

    def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        with turns.next() as is_mine:
            if is_mine:
                return metrics(environ, start_response)
        return plain(start_response, "503 Service Unavailable", "too many scrapes at a time\n")

    return application


def _guarded(answer: WSGIApplication, address: HostPort) -> WSGIApplication:
    """Answer who only reads, and who is meant; say nothing of what went wrong but where."""
    is_loopback = _is_loopback(address.host)

    def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        method = environ.get("REQUEST_METHOD")
        if method not in ("GET", "HEAD"):
            return plain(start_response, "405 Method Not Allowed", "only GET and HEAD\n")
        if is_loopback and not _names_this_machine(environ.get("HTTP_HOST", "")):
            # A page in a browser has its own name point here, to be let read what this machine alone may see.
            return plain(start_response, "421 Misdirected Request", "this is for this machine, by its own names\n")
        try:
            body = answer(environ | {"REQUEST_METHOD": "GET"}, start_response)
        except Exception:  # the library would print all of it
            log.exception("bug")
            return plain(start_response, "500 Internal Server Error", "this is a bug\n")
        return body if method == "GET" else []

    return application


def _names_this_machine(host: str) -> bool:
    name = host.rpartition(":")[0] if ":" in host and not host.endswith("]") else host
    return name.lower() in ("", "localhost") or _is_address(name.strip("[]"))


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _is_loopback(host: str) -> bool:
    return host == "localhost" or (_is_address(host) and ipaddress.ip_address(host).is_loopback)
