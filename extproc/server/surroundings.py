"""The HTTP exchange around a call, collected as its messages come by, where telemetry asks for it.

Owns: what is taken of headers, attributes and other filters' metadata, which parent a trace has, and that credentials
are left where they are. Must not know which telemetry there is, or where the clock is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

import orjson

from extproc.credentials import REDACTED, holds_secret, is_secret_name
from extproc.providers.base import clean_name
from extproc.surroundings import UNKNOWN_LABEL, Surroundings, TraceContext
from extproc.trace_context import PROPAGATORS, Sampling, read_parent
from extproc.wire.context import Scalar, encode_request_header, read_attributes, read_headers_if, read_metadata
from extproc.wire.envoy import Phase
from extproc.wire.ext_proc_pb2 import HeaderMap, Metadata, ProcessingRequest

_PSEUDO_HEADERS = frozenset({":method", ":scheme", ":authority", ":path"})

_MAX_HEADER_CHARACTERS = 1024
_MAX_HEADERS_CHARACTERS = 4096
_MAX_SHOWN_CHARACTERS = 1024
# More than a header that names a few things has.
_MAX_JSON_HEADER_CHARACTERS = 16 * 1024

_ROUTE = "xds.route_name"
_UPSTREAM_ADDRESS = "upstream.address"
_UPSTREAM_TLS_VERSION = "upstream.tls_version"

_MAX_PORT = 65535

Headers = tuple[tuple[str, tuple[str, ...]], ...]


@dataclass(frozen=True, slots=True)
class LabelSource:
    """Where the value of a custom label comes from: a path in a namespace, a header or a member of one, or a constant.

    The first of `path`, `header` and `value` that is set.
    """

    namespace: str = ""
    path: tuple[str, ...] = ()
    header: str = ""
    header_key: str = ""
    value: str = UNKNOWN_LABEL


@dataclass(frozen=True, slots=True)
class Rule:
    """What is different for exchanges whose authority and path, without its query, fit."""

    authority: re.Pattern[str]
    path: re.Pattern[str]
    sampling: Sampling

    def fits(self, authority: str, path: str) -> bool:
        """Say whether an exchange is meant."""
        return self.authority.fullmatch(authority) is not None and self.path.fullmatch(path) is not None


@dataclass(frozen=True, slots=True)
class Surveyor:
    """What is collected of every exchange.

    `sampling` is None where there are no traces. `propagators` are those that parents are read by, `inject` what writes
    a header for the upstream. `is_reported` says of a header's name whether a deployment wants it in its telemetry.
    `follows_only` says that a trace is only gone on with, and none begins here. `clock` is None where nobody asks what
    this process takes; else it is the clock that messages are stamped by.
    """

    random_bits: Callable[[int], int]
    sampling: Sampling | None = None
    propagators: tuple[str, ...] = ()
    inject: Mapping[str, Callable[[TraceContext], str]] | None = None
    labels: tuple[LabelSource, ...] = ()
    is_reported: Callable[[str], bool] | None = None
    skip_paths: tuple[re.Pattern[str], ...] = ()
    rules: tuple[Rule, ...] = ()
    clock: Callable[[], float] | None = None
    follows_only: bool = False
    metadata_labels: tuple[tuple[int, LabelSource], ...] = field(init=False)  # with their places among the labels
    trace_headers: frozenset[str] = field(init=False)  # that parents are read from
    request_headers: frozenset[str] = field(init=False)  # that are read of a request

    def __post_init__(self) -> None:
        """Find out once which headers are read."""
        traced = frozenset[str]().union(*(PROPAGATORS[name] for name in self.propagators if self.sampling))
        labelled = {source.header for source in self.labels if source.header}
        from_metadata = tuple((index, source) for index, source in enumerate(self.labels) if source.path)
        object.__setattr__(self, "metadata_labels", from_metadata)
        object.__setattr__(self, "trace_headers", traced)
        object.__setattr__(self, "request_headers", _PSEUDO_HEADERS | labelled | traced)

    def begin(self, initial_metadata: Iterable[tuple[str, str | bytes]]) -> Survey:
        """Return the survey of an exchange whose gRPC stream was opened with this initial metadata."""
        wanted = self.trace_headers
        told = ((key, value) for key, value in initial_metadata if key in wanted)
        return Survey(self, {key: value for key, value in told if isinstance(value, str)} if wanted else {})


class Survey:
    """What is known of the surroundings of one exchange so far."""

    __slots__ = ("_attributes", "_grpc_headers", "_has_begun", "_headers", "_labels", "_path", "_processing_seconds",
                 "_request_headers", "_response_headers", "_rule", "_surveyor", "_trace")  # fmt: skip

    def __init__(self, surveyor: Surveyor, grpc_headers: Mapping[str, str]) -> None:
        self._surveyor = surveyor
        self._grpc_headers = grpc_headers
        self._headers: Mapping[str, str] = {}
        self._path = ""
        self._attributes: dict[str, Scalar] = {}
        self._labels: list[str | None] = [None] * len(surveyor.labels)
        self._request_headers: Headers = ()
        self._response_headers: Headers = ()
        self._rule: int | None = None
        self._trace: TraceContext | None = None
        self._has_begun = False
        self._processing_seconds = 0.0

    def take(self, phase: Phase, request: ProcessingRequest, headers: Mapping[str, str]) -> bytes:
        """Take a message, and the headers that were read of it; return what to add to its reply."""
        if self._surveyor.metadata_labels and request.HasField("metadata_context"):
            self._take_metadata(request.metadata_context)
        if phase is Phase.REQUEST_HEADERS:
            return self._take_request_headers(request, headers)
        if phase is Phase.RESPONSE_TRAILERS:  # without bodies the only message there is of an answer
            self._attributes.update(read_attributes(request))
        elif phase is Phase.RESPONSE_HEADERS:
            self._attributes.update(read_attributes(request))
            if self._surveyor.is_reported is not None:
                self._response_headers = _report(request.response_headers.headers, self._surveyor.is_reported)
        return b""

    def _take_request_headers(self, request: ProcessingRequest, headers: Mapping[str, str]) -> bytes:
        surveyor = self._surveyor
        self._headers = headers
        for index, source in enumerate(surveyor.labels):
            if not source.path:
                self._labels[index] = _label_of(source, headers)
        self._path = _without_query(headers.get(":path", ""))
        if surveyor.rules:
            authority = headers.get(":authority", "")
            fitting = (index for index, rule in enumerate(surveyor.rules) if rule.fits(authority, self._path))
            self._rule = next(fitting, None)
        self._attributes.update(read_attributes(request))
        if surveyor.is_reported is not None:
            self._request_headers = _report(request.request_headers.headers, surveyor.is_reported)
        self._begin_trace()
        if self._trace is None or not surveyor.inject:
            return b""
        return b"".join(encode_request_header(name, write(self._trace)) for name, write in surveyor.inject.items())

    def _take_metadata(self, metadata: Metadata) -> None:
        """Take the dynamic metadata of other filters, which any message may bring; what was found first stands."""
        for index, source in self._surveyor.metadata_labels:
            if self._labels[index] is None:
                self._labels[index] = _print_scalar(read_metadata(metadata, source.namespace, source.path))

    @property
    def is_sampled(self) -> bool:
        """Whether there will be spans of it."""
        return self._trace is not None and self._trace.is_sampled

    def spend(self, since: float) -> None:
        """Count the time since a message came as time that it took here."""
        clock = self._surveyor.clock
        if clock is not None:
            self._processing_seconds += clock() - since

    def end(self, since: float) -> None:
        """Take note that the exchange is over; its last message came at `since`."""
        if not self._has_begun:
            self._begin_trace()  # its headers were not shown
        self.spend(since)

    def build(self) -> Surroundings:
        """Return what is known of an exchange that is over."""
        headers, attributes, path = self._headers, self._attributes, self._path
        return Surroundings(
            headers.get(":method"),
            headers.get(":scheme"),
            *split_address(headers.get(":authority", "")),
            _shown(path) if path else None,
            _text(attributes, _ROUTE),
            *split_address(_text(attributes, _UPSTREAM_ADDRESS) or ""),
            _text(attributes, _UPSTREAM_TLS_VERSION),
            tuple([UNKNOWN_LABEL if value is None else _shown(value) for value in self._labels]),
            self._request_headers,
            self._response_headers,
            self._trace,
            self._processing_seconds,
            self._rule,
            any(pattern.fullmatch(path) for pattern in self._surveyor.skip_paths),
        )

    def _begin_trace(self) -> None:
        self._has_begun = True
        surveyor = self._surveyor
        sampling = surveyor.sampling
        if sampling is None:
            return
        if self._rule is not None:
            sampling = surveyor.rules[self._rule].sampling
        # Where Envoy traces as well, the span of its call to us is the nearer parent: it is told in gRPC's metadata.
        parent = read_parent(self._grpc_headers, surveyor.propagators) if self._grpc_headers else None
        parent = parent or read_parent(self._headers, surveyor.propagators)
        if parent is not None or not surveyor.follows_only:
            self._trace = sampling.begin(parent, surveyor.random_bits)


@lru_cache(maxsize=1024)
def split_address(address: str) -> tuple[str | None, int | None]:
    """Return host and port of `host:port`, `[v6]:port` or a host alone; None for what is not there.

    A user in front of them, as in URLs, may have a password with it, and is left out.
    """
    address = address.rpartition("@")[2]
    host, colon, port = address.rpartition(":")
    if not colon or (":" in host and not host.endswith("]")):
        host, port = address, ""
    number = int(port) if port.isascii() and port.isdecimal() and len(port) <= len(str(_MAX_PORT)) else None
    return clean_name(host.strip("[]")), number if number is not None and number <= _MAX_PORT else None


def _report(headers: HeaderMap, is_reported: Callable[[str], bool]) -> Headers:
    read = read_headers_if(
        headers, lambda name: not name.startswith(":") and is_reported(name) and not is_secret_name(name)
    )
    # A batch of spans, most of which have them, has to fit what a collector takes, whatever clients send.
    left, told = _MAX_HEADERS_CHARACTERS, []
    for name, values in read.items():
        size = len(name) + sum(min(len(value), _MAX_HEADER_CHARACTERS) + 1 for value in values)
        if size <= left:
            left -= size
            told.append((name, tuple(map(_reported_value, values))))
    return tuple(told)


def _reported_value(value: str) -> str:
    # It looks for what ends beyond that, too; but to look through all that a client sends would take long.
    return _known_reported(value[: 2 * _MAX_HEADER_CHARACTERS])


@lru_cache(1024)  # most of what clients send, they send each time
def _known_reported(value: str) -> str:
    return REDACTED if holds_secret(value) else value[:_MAX_HEADER_CHARACTERS]


def _label_of(source: LabelSource, headers: Mapping[str, str]) -> str | None:
    """Return the value of a label that does not come from metadata."""
    if not source.header:
        return source.value
    value = headers.get(source.header)
    if value is None or not source.header_key:
        return None if value is None else clean_name(value)
    if len(value) > _MAX_JSON_HEADER_CHARACTERS:
        return None
    try:
        document = orjson.loads(value)
    except ValueError:
        return None
    return _print_scalar(document.get(source.header_key)) if isinstance(document, dict) else None


def _print_scalar(value: object) -> str | None:
    """Return a value as kgateway prints it: numbers as floats, truth values with capitals."""
    if isinstance(value, str):
        return clean_name(value)
    if isinstance(value, bool):
        return str(value)
    return str(float(value)) if isinstance(value, int | float) else None


def _shown(value: str) -> str:
    """Return a path, or the value of a label, as it may be told: a client may have its key in either."""
    return _known_shown(value[:_MAX_SHOWN_CHARACTERS]) if value else value


@lru_cache(1024)  # most exchanges have the same few
def _known_shown(value: str) -> str:
    return REDACTED if holds_secret(value) else clean_name(value) or UNKNOWN_LABEL


def _text(attributes: Mapping[str, Scalar], name: str) -> str | None:
    value = attributes.get(name)
    return clean_name(value) if isinstance(value, str) else None


def _without_query(path: str) -> str:
    return path.partition("?")[0].partition("#")[0]
