"""A gRPC server with TLS that says how it is, and nothing else."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Self

import grpc
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthServicer, add_HealthServicer_to_server
from support.otlp import Certificates

from extproc.config.address import HostPort


class HealthService(HealthServicer):
    """A context: a real server with the certificate of `localhost`. `checks` counts who got as far as asking."""

    def __init__(self, files: Certificates, *, wants_certificate: bool) -> None:
        self.checks = 0
        pair = (Path(files.server_key_file).read_bytes(), Path(files.server_cert_file).read_bytes())
        authority = Path(files.ca_file).read_bytes() if wants_certificate else None
        credentials = grpc.ssl_server_credentials([pair], authority, require_client_auth=wants_certificate)
        self._server = grpc.server(ThreadPoolExecutor(2))
        add_HealthServicer_to_server(self, self._server)
        self.address = HostPort("127.0.0.1", self._server.add_secure_port("127.0.0.1:0", credentials))

    def Check(self, request: HealthCheckRequest, context: grpc.ServicerContext) -> HealthCheckResponse:  # noqa: ARG002, N802 - gRPC's signature
        """Be well."""
        self.checks += 1
        return HealthCheckResponse(status=HealthCheckResponse.SERVING)

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop(None).wait()
