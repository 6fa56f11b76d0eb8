"""What of a message is an exchange's: its phase with headers and body, and what Envoy itself has read.

Owns: what is taken out of messages for an exchange, and nothing else of them is. Must not know replies, or what else is
done with a message.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, TypeVar

from extproc.errors import DecodeError, Stage
from extproc.exchange import Exchange
from extproc.headers import RESPONSE_HEADERS, request_id_of
from extproc.server.observer import SinkObserver
from extproc.wire.ai import read_request_info, read_token_usage
from extproc.wire.envoy import Phase, read_headers
from extproc.wire.ext_proc_pb2 import Metadata, ProcessingRequest

if TYPE_CHECKING:
    from extproc.server.processor import Processor

_NO_HEADERS: Mapping[str, str] = MappingProxyType({})

T = TypeVar("T")


def feed(
    exchange: Exchange, phase: Phase, request: ProcessingRequest, processor: Processor, now: float
) -> Mapping[str, str]:
    """Take an exchange one phase further; return the headers that were read. The commonest phase comes first."""
    if phase is Phase.RESPONSE_BODY:
        body = request.response_body
        exchange.response_body(body.body, end_of_stream=body.end_of_stream, now=now)
    elif phase is Phase.REQUEST_BODY:
        body = request.request_body
        exchange.request_body(body.body, end_of_stream=body.end_of_stream, now=now)
    elif phase is Phase.REQUEST_HEADERS:
        headers = request.request_headers
        wanted = read_headers(headers.headers, processor.request_headers)
        exchange.request_headers(wanted, end_of_stream=headers.end_of_stream, now=now)
        if processor.names_requests:
            exchange.request_id = request_id_of(wanted)
        return wanted
    elif phase is Phase.RESPONSE_HEADERS:
        headers = request.response_headers
        wanted = read_headers(headers.headers, RESPONSE_HEADERS)
        exchange.response_headers(wanted, end_of_stream=headers.end_of_stream, now=now)
        return wanted
    elif phase is Phase.REQUEST_TRAILERS:
        exchange.request_trailers(now)
    else:
        exchange.response_trailers(now)
    return _NO_HEADERS


class NativeContext:
    """Takes what Envoy itself has read of one exchange, each once, where its configuration forwards it."""

    __slots__ = ("_knows_request", "_knows_usage", "_observer")

    def __init__(self, observer: SinkObserver) -> None:
        self._observer = observer
        self._knows_request = False
        self._knows_usage = False

    def feed(self, exchange: Exchange, metadata: Metadata) -> None:
        """Take the metadata of a message."""
        if not self._knows_request and (asked := self._decoded(read_request_info, metadata)) is not None:
            self._knows_request = True
            exchange.native_request(asked)
        if not self._knows_usage and (used := self._decoded(read_token_usage, metadata)) is not None:
            self._knows_usage = True
            exchange.native_usage(used)

    def _decoded(self, read: Callable[[Metadata], T | None], metadata: Metadata) -> T | None:
        try:
            return read(metadata)
        except DecodeError as error:
            self._observer.message_failed(Stage.MESSAGE, error.reason)
            return None
