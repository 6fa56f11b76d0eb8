"""OTLP over gRPC: https://opentelemetry.io/docs/specs/otlp/#otlpgrpc.

Owns: the channel, and which failures are worth another try. It goes straight to the collector that is configured:
proxies that the environment names are not asked, and headers of other exporters are not sent.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final, cast

import grpc
from google.protobuf.message import DecodeError
from google.rpc.error_details_pb2 import RetryInfo  # type: ignore[import-untyped]  # carries no types
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]  # carries no types

from extproc.config.telemetry import TlsSettings
from extproc.telemetry.certificates import build_context
from extproc.telemetry.counts import Signal
from extproc.telemetry.route import Route
from extproc.telemetry.sender import SendError

_METHODS: Final = {
    Signal.TRACES: "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
    Signal.METRICS: "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
}

_RETRYABLE: Final = frozenset(
    (
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.ABORTED,
        grpc.StatusCode.OUT_OF_RANGE,
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DATA_LOSS,
    )
)
_STATUS_DETAILS: Final = "grpc-status-details-bin"

# A collector that comes back is found within seconds, and not after gRPC's two minutes.
_MAX_RECONNECT_MILLISECONDS: Final = 5000


class GrpcSender:
    """Sends to one service of one collector."""

    def __init__(self, route: Route, user_agent: str, count_rejected: Callable[[bytes], int]) -> None:
        """`count_rejected` reads an answer that is not empty. Raises OSError where a certificate can't be read."""
        options = (
            ("grpc.enable_http_proxy", 0),
            ("grpc.primary_user_agent", user_agent),
            ("grpc.max_reconnect_backoff_ms", _MAX_RECONNECT_MILLISECONDS),
        )
        compression = grpc.Compression.Gzip if route.is_gzip else grpc.Compression.NoCompression
        self._channel = (
            grpc.secure_channel(route.address, _build_credentials(route.tls), options, compression)
            if route.is_tls
            else grpc.insecure_channel(route.address, options, compression)
        )
        # Bytes in, bytes out.
        self._export: grpc.UnaryUnaryMultiCallable[bytes, bytes] = self._channel.unary_unary(_METHODS[route.signal])
        self._metadata = tuple((name.lower(), value) for name, value in route.headers.items())
        self._count_rejected = count_rejected

    def send(self, payload: bytes, timeout_seconds: float) -> int:
        """Return how many items were rejected. Raises SendError."""
        try:
            answer = self._export(payload, timeout=timeout_seconds, metadata=self._metadata)
        except grpc.RpcError as error:
            raise _send_error(cast("grpc.Call", error)) from None
        except ValueError:  # the channel is closed, or a header is none
            raise SendError("the call could not be made", is_retryable=False) from None
        return self._count_rejected(answer) if answer else 0

    def close(self) -> None:
        """Close the channel; a call that goes on is cancelled."""
        self._channel.close()


def _build_credentials(tls: TlsSettings | None) -> grpc.ChannelCredentials:
    """Return what a TLS connection is made with; gRPC's own list of authorities is only for who has no other."""
    if tls is not None:
        build_context(tls)  # gRPC takes what is no certificate, and never connects with it
    own = tls or TlsSettings()
    build_context(own)  # what cannot be used is said now; gRPC itself would just find nobody
    files = (own.ca_file or ssl.get_default_verify_paths().cafile, own.key_file, own.cert_file)
    return grpc.ssl_channel_credentials(*(None if name is None else Path(name).read_bytes() for name in files))


def _send_error(error: grpc.Call) -> SendError:
    code = error.code()
    retry_after_seconds = _retry_after(error)
    is_busy = code is grpc.StatusCode.RESOURCE_EXHAUSTED and retry_after_seconds is not None
    return SendError(
        f"gRPC {code.name}", is_retryable=is_busy or code in _RETRYABLE, retry_after_seconds=retry_after_seconds
    )


def _retry_after(error: grpc.Call) -> float | None:
    for name, value in error.trailing_metadata() or ():
        if name == _STATUS_DETAILS:
            with suppress(DecodeError):
                for detail in Status.FromString(value).details:
                    retry = RetryInfo()
                    if detail.Unpack(retry):
                        return float(retry.retry_delay.seconds + retry.retry_delay.nanos / 1e9)
    return None
