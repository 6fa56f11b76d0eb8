"""Collectors of OTLP over gRPC and over HTTP: real servers that decode what arrives with opentelemetry-proto.

They can be told to be slow, to refuse, to redirect, to hang, to take only a part, and to go and come back.
"""

from __future__ import annotations

import base64
import gzip
import json
import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

import grpc
import trustme
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.protobuf.json_format import Parse
from google.rpc.error_details_pb2 import RetryInfo  # type: ignore[import-untyped]  # carries no types
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]  # as above
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2_grpc import (
    MetricsServiceServicer,
    add_MetricsServiceServicer_to_server,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import (
    TraceServiceServicer,
    add_TraceServiceServicer_to_server,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import Span

# How long a server waits for those that it lets hang.
_LONGEST_HANG_SECONDS = 60.0


class Certificates:
    """An authority of the test's own, with certificates for `localhost` and for one client, in files of a folder."""

    def __init__(self, folder: Path) -> None:
        authority = trustme.CA()
        self.ca_file = str(folder / "ca.pem")
        authority.cert_pem.write_to_path(self.ca_file)
        self.server_cert_file, self.server_key_file = self._write(authority.issue_cert("localhost"), folder / "server")
        self.client_cert_file, self.client_key_file = self._write(authority.issue_cert("client"), folder / "client")

    @staticmethod
    def _write(certificate: trustme.LeafCert, path: Path) -> tuple[str, str]:
        cert_file, key_file = str(path.with_suffix(".pem")), str(path.with_suffix(".key"))
        certificate.cert_chain_pems[0].write_to_path(cert_file)
        certificate.private_key_pem.write_to_path(key_file)
        return cert_file, key_file


@dataclass(frozen=True)
class OtlpRequest:
    """One export request as it arrived: header names are lower-case, `body` is as it was on the wire."""

    message: ExportTraceServiceRequest | ExportMetricsServiceRequest
    headers: Mapping[str, str]
    path: str = ""
    content_type: str = ""
    body: bytes = b""


@dataclass
class Behaviour:
    """What a collector does with requests; it may be changed while it runs."""

    status: int | grpc.StatusCode | None = None  # refuse with this one
    retry_after_seconds: float | None = None  # and say when to come back
    details: bytes | None = None  # or say that in gRPC, which may be nonsense
    location: str | None = None  # with a status of 3xx
    message: str = ""  # what it says to that
    delay_seconds: float = 0.0
    hangs: bool = False
    rejected: int = 0  # partial success
    attempts: int = 0  # requests that have come, refused ones included
    released: threading.Event = field(default_factory=threading.Event)

    def pause(self) -> None:
        """Count an attempt, and take the time that it is to take."""
        self.attempts += 1
        time.sleep(self.delay_seconds)
        if self.hangs:
            self.released.wait(_LONGEST_HANG_SECONDS)


class Receiver:
    """What both kinds have in common: a context that records what it takes."""

    def __init__(self, certificates: Certificates | None = None, *, wants_client_certificate: bool = False) -> None:
        self.behaviour = Behaviour()
        self.requests: list[OtlpRequest] = []
        self.port = 0
        self._certificates = certificates
        self._wants_client_certificate = wants_client_certificate

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Serve; again on the same port after a stop."""
        raise NotImplementedError

    def stop(self) -> None:
        """Be down."""
        raise NotImplementedError

    @property
    def endpoint(self) -> str:
        """Where it is, as a URL without a path."""
        return f"{'http' if self._certificates is None else 'https'}://localhost:{self.port}"

    @property
    def spans(self) -> list[Span]:
        """All spans that have arrived, in their order."""
        return [
            span
            for message in self._messages(ExportTraceServiceRequest)
            for resource in message.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]

    @property
    def metrics(self) -> list[Metric]:
        """All metrics that have arrived, in their order: those of the last push come last."""
        return [
            metric
            for message in self._messages(ExportMetricsServiceRequest)
            for resource in message.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
        ]

    @property
    def resources(self) -> list[Resource]:
        """The resource of each request."""
        traces = [
            entry.resource for message in self._messages(ExportTraceServiceRequest) for entry in message.resource_spans
        ]
        metrics = self._messages(ExportMetricsServiceRequest)
        return traces + [entry.resource for message in metrics for entry in message.resource_metrics]

    def _messages(self, kind: type[Any]) -> Iterator[Any]:
        return (request.message for request in tuple(self.requests) if isinstance(request.message, kind))


class GrpcReceiver(Receiver):
    """A collector that speaks OTLP/gRPC."""

    _server: grpc.Server

    def start(self) -> None:
        """Serve."""
        self._server = grpc.server(ThreadPoolExecutor(8), options=[("grpc.so_reuseport", 0)])
        add_TraceServiceServicer_to_server(_TraceService(self), self._server)  # type: ignore[no-untyped-call]  # generated
        add_MetricsServiceServicer_to_server(_MetricsService(self), self._server)  # type: ignore[no-untyped-call]  # generated
        address = f"127.0.0.1:{self.port}"  # as `localhost` it may get the port for one of two addresses only
        if self._certificates is None:
            self.port = self._server.add_insecure_port(address)
        else:
            self.port = self._server.add_secure_port(address, self._credentials(self._certificates))
        self._server.start()

    def stop(self) -> None:
        """Be down."""
        self.behaviour.released.set()
        self._server.stop(None).wait()

    def take(self, message: Any, context: grpc.ServicerContext) -> int:
        """Record a request; return how many items are rejected."""
        behaviour = self.behaviour
        behaviour.pause()
        if isinstance(behaviour.status, grpc.StatusCode):
            details = behaviour.details
            if behaviour.retry_after_seconds is not None:
                detail = AnyMessage()
                detail.Pack(RetryInfo(retry_delay=Duration(nanos=int(behaviour.retry_after_seconds * 1e9))))
                details = Status(code=behaviour.status.value[0], details=[detail]).SerializeToString()
            if details is not None:
                context.set_trailing_metadata((("x-other", "1"), ("grpc-status-details-bin", details)))
            context.abort(behaviour.status, behaviour.message)
        headers = {name: value for name, value in context.invocation_metadata() if isinstance(value, str)}
        self.requests.append(OtlpRequest(message, headers, body=message.SerializeToString()))
        return behaviour.rejected

    def _credentials(self, certificates: Certificates) -> grpc.ServerCredentials:
        pair = (Path(certificates.server_key_file).read_bytes(), Path(certificates.server_cert_file).read_bytes())
        if not self._wants_client_certificate:
            return grpc.ssl_server_credentials([pair])
        return grpc.ssl_server_credentials([pair], Path(certificates.ca_file).read_bytes(), True)


class _TraceService(TraceServiceServicer):
    def __init__(self, receiver: GrpcReceiver) -> None:
        self._receiver = receiver

    def Export(self, request: Any, context: Any) -> ExportTraceServiceResponse:  # noqa: N802 - gRPC's name
        """Take spans."""
        return _trace_response(self._receiver.take(request, context))


class _MetricsService(MetricsServiceServicer):
    def __init__(self, receiver: GrpcReceiver) -> None:
        self._receiver = receiver

    def Export(self, request: Any, context: Any) -> ExportMetricsServiceResponse:  # noqa: N802 - gRPC's name
        """Take metrics."""
        return _metrics_response(self._receiver.take(request, context))


class HttpReceiver(Receiver):
    """A collector that speaks OTLP/HTTP, in protobuf and in JSON, on whatever path it is asked."""

    _server: _HttpServer

    def start(self) -> None:
        """Serve."""
        self._server = _HttpServer(("localhost", self.port), _Handler)
        self._server.receiver = self
        self.port = self._server.server_port
        if self._certificates is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(self._certificates.server_cert_file, self._certificates.server_key_file)
            if self._wants_client_certificate:
                context.load_verify_locations(self._certificates.ca_file)
                context.verify_mode = ssl.CERT_REQUIRED
            self._server.socket = context.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def stop(self) -> None:
        """Be down."""
        self.behaviour.released.set()
        self._server.shutdown()
        self._server.close_connections()
        self._server.server_close()


class _HttpServer(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True
    receiver: HttpReceiver

    def __init__(self, *arguments: Any) -> None:
        self._connections: set[Any] = set()
        super().__init__(*arguments)

    def process_request(self, request: Any, client_address: Any) -> None:
        self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._connections.discard(request)
        super().shutdown_request(request)

    def close_connections(self) -> None:
        """Hang up on those that are kept open."""
        for connection in tuple(self._connections):
            self.shutdown_request(connection)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: clients of the tests hang up and fail to shake hands on purpose."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _HttpServer

    def do_POST(self) -> None:
        """Take a request."""
        behaviour = self.server.receiver.behaviour
        body = self.rfile.read(int(self.headers["content-length"]))
        behaviour.pause()
        if isinstance(behaviour.status, int):
            self._answer(behaviour.status, "text/plain", behaviour.message.encode())
            return
        headers = {name.lower(): value for name, value in self.headers.items()}
        content_type = headers["content-type"]
        is_metrics = "metrics" in self.path
        decoded = gzip.decompress(body) if headers.get("content-encoding") == "gzip" else body
        message = (ExportMetricsServiceRequest if is_metrics else ExportTraceServiceRequest)()
        if content_type == "application/json":
            Parse(_with_base64_ids(json.loads(decoded)), message)
        else:
            message.ParseFromString(decoded)
        self.server.receiver.requests.append(OtlpRequest(message, headers, self.path, content_type, decoded))
        answer = (_metrics_response if is_metrics else _trace_response)(behaviour.rejected)
        if content_type == "application/json":
            rejected = {"rejectedDataPoints" if is_metrics else "rejectedSpans": str(behaviour.rejected)}
            said = {"partialSuccess": rejected} if behaviour.rejected else {}
            self._answer(200, content_type, json.dumps(said).encode())
        else:
            self._answer(200, content_type, answer.SerializeToString())

    def _answer(self, status: int, content_type: str, body: bytes) -> None:
        behaviour = self.server.receiver.behaviour
        self.send_response(status)
        self.send_header("content-type", content_type)
        self.send_header("content-length", str(len(body)))
        if behaviour.retry_after_seconds is not None:
            self.send_header("retry-after", str(behaviour.retry_after_seconds))
        if behaviour.location is not None:
            self.send_header("location", behaviour.location)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002 - the library's name
        """Say nothing."""


def parse_json_traces(payload: bytes) -> ExportTraceServiceRequest:
    """Return what a document of OTLP/JSON says."""
    return Parse(_with_base64_ids(json.loads(payload)), ExportTraceServiceRequest())


def attributes_of(attributes: Any) -> dict[str, Any]:
    """Return attributes as what they are worth in Python; a key that stands twice is an error."""
    found: dict[str, Any] = {}
    entry: KeyValue
    for entry in attributes:
        assert entry.key not in found
        found[entry.key] = _value_of(entry.value)
    return found


def _value_of(value: AnyValue) -> Any:
    kind = value.WhichOneof("value")
    assert kind is not None
    found = getattr(value, kind)
    return [_value_of(inner) for inner in found.values] if kind == "array_value" else found


def _trace_response(rejected: int) -> ExportTraceServiceResponse:
    response = ExportTraceServiceResponse()
    if rejected:
        response.partial_success.rejected_spans = rejected
    return response


def _metrics_response(rejected: int) -> ExportMetricsServiceResponse:
    response = ExportMetricsServiceResponse()
    if rejected:
        response.partial_success.rejected_data_points = rejected
    return response


def _with_base64_ids(value: Any) -> str:
    """Return a document of OTLP/JSON as protobuf's own JSON, which has base64 where OTLP has hex."""

    def convert(inner: Any) -> Any:
        if isinstance(inner, list):
            return [convert(entry) for entry in inner]
        if isinstance(inner, dict):
            return {
                key: base64.b64encode(bytes.fromhex(entry)).decode()
                if key in ("traceId", "spanId", "parentSpanId")
                else convert(entry)
                for key, entry in inner.items()
            }
        return inner

    return json.dumps(convert(value))
