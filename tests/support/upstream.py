"""An upstream that sends exactly what a test tells it to, when it tells it to."""

from __future__ import annotations

import socket
import ssl
import struct
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from extproc.config.address import HostPort

Script = Callable[["Reply"], None]


class Reply:
    """One request that was received, and the answer the script writes to it."""

    def __init__(self, handler: BaseHTTPRequestHandler, body: bytes) -> None:
        self._handler = handler
        self.body = body
        self.headers = handler.headers
        self.path = handler.path

    def send(
        self, body: bytes, content_type: str | None = "application/json", *, status: int = 200, **headers: str
    ) -> None:
        """Send a whole answer with its length, or a part of one whose length is given."""
        self._start(status, content_type, {"content_length": str(len(body))} | headers)
        self.write(body)

    def write(self, body: bytes) -> None:
        """Send more of an answer."""
        self._handler.wfile.write(body)

    def stream(self, content_type: str = "text/event-stream", **headers: str) -> None:
        """Start an answer in chunks."""
        self._start(200, content_type, headers | {"transfer-encoding": "chunked"})

    def chunk(self, data: bytes) -> None:
        """Send one chunk."""
        self._handler.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        self._handler.wfile.flush()

    def end(self, trailers: dict[str, str] | None = None) -> None:
        """End an answer in chunks."""
        lines = "".join(f"{name}: {value}\r\n" for name, value in (trailers or {}).items())
        self._handler.wfile.write(f"0\r\n{lines}\r\n".encode())

    def reset(self) -> None:
        """Reset the connection where it stands."""
        self._handler.wfile.flush()
        # Closing with a linger of zero sends RST in the place of FIN.
        self._handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._handler.connection.close()
        self._handler.close_connection = True

    def _start(self, status: int, content_type: str | None, headers: dict[str, str]) -> None:
        self._handler.send_response(status)
        if content_type is not None:
            self._handler.send_header("content-type", content_type)
        for name, value in headers.items():
            self._handler.send_header(name.replace("_", "-"), value)
        self._handler.end_headers()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_POST(self) -> None:
        if self.headers.get("transfer-encoding") == "chunked":
            body = self._read_chunks()
        else:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
        try:
            self.server.script(Reply(self, body))
        except OSError:
            self.close_connection = True  # the client hung up

    do_GET = do_POST  # noqa: N815 - the base class calls it so

    def _read_chunks(self) -> bytes:
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def log_message(self, *_: Any) -> None:
        pass


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 1024
    script: Script

    def handle_error(self, *_: Any) -> None:
        pass


class Upstream:
    """A context: a server on loopback that answers every request with `script`."""

    def __init__(self, script: Script | None = None) -> None:
        self._server = _Server(("127.0.0.1", 0), _Handler)
        if script is not None:
            self._server.script = script
        self.address = HostPort("127.0.0.1", self._server.server_port)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)

    def use_tls(self, context: ssl.SSLContext) -> None:
        """Speak TLS from now on."""
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)

    @property
    def script(self) -> Script:
        """What answers the next requests."""
        return self._server.script

    @script.setter
    def script(self, script: Script) -> None:
        self._server.script = script

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
