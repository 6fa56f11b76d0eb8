"""`python -m bench.collector ADDRESS`: an OTLP collector over gRPC that takes everything and looks at nothing.

ADDRESS is host:port. A process of its own, so that what it costs is not counted as the sidecar's.
"""

from __future__ import annotations

import signal
import sys
from concurrent.futures import ThreadPoolExecutor

import grpc

from extproc.server.signals import Signals

_THREADS = 4


class _TakesAll(grpc.GenericRpcHandler):
    """Answers each call with an empty message, which is what success looks like."""

    def service(self, _details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[bytes, bytes]:
        return grpc.unary_unary_rpc_method_handler(lambda _request, _context: b"")


def main() -> None:
    """Serve until SIGTERM."""
    server = grpc.server(ThreadPoolExecutor(_THREADS), handlers=[_TakesAll()])
    if not server.add_insecure_port(sys.argv[1]):
        sys.exit(f"cannot listen on {sys.argv[1]}")
    with Signals((signal.SIGTERM, signal.SIGINT)) as signals:
        server.start()
        while not signals.wait():
            pass
    server.stop(0).wait()


if __name__ == "__main__":
    main()
