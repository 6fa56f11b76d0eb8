"""Where an exchange stands in a trace: what callers say of it, whether it is sampled, and how that is told on.

Owns: W3C's traceparent and tracestate (https://www.w3.org/TR/trace-context/), b3 in one header or in several
(https://github.com/openzipkin/b3-propagation), and OpenTelemetry's samplers
(https://opentelemetry.io/docs/specs/otel/trace/sdk/#built-in-samplers). What is no trace context is as none. Must not
know spans, or how headers arrive; random bits are passed in.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from extproc.credentials import holds_secret, is_key
from extproc.surroundings import TraceContext

TRACEPARENT: Final = "traceparent"
TRACESTATE: Final = "tracestate"
B3: Final = "b3"
_B3_TRACE_ID, _B3_SPAN_ID = "x-b3-traceid", "x-b3-spanid"
_B3_SAMPLED, _B3_FLAGS = "x-b3-sampled", "x-b3-flags"

# By the names that OTEL_PROPAGATORS has for them: the headers each reads.
PROPAGATORS: Final[Mapping[str, frozenset[str]]] = {
    "tracecontext": frozenset({TRACEPARENT, TRACESTATE}),
    "b3": frozenset({B3}),
    "b3multi": frozenset({_B3_TRACE_ID, _B3_SPAN_ID, _B3_SAMPLED, _B3_FLAGS}),
}

_TRACEPARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.DOTALL)
_B3_SINGLE = re.compile(r"([0-9a-fA-F]{32}|[0-9a-fA-F]{16})-([0-9a-fA-F]{16})(?:-([01d])(?:-[0-9a-fA-F]{16})?)?")
_B3_ID = re.compile(r"[0-9a-fA-F]{32}|[0-9a-fA-F]{16}")
_B3_SPAN = re.compile(r"[0-9a-fA-F]{16}")
_TRACESTATE_MEMBER = re.compile(
    r"(?:[a-z][a-z0-9_*/-]{0,255}|[a-z0-9][a-z0-9_*/-]{0,240}@[a-z][a-z0-9_*/-]{0,13})"
    r"=[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]"
)
_MAX_TRACESTATE_CHARACTERS = 512
_MAX_TRACESTATE_MEMBERS = 32
# What as many of the longest members take, with their commas: what is longer is none, and is not looked into.
_MAX_READ_CHARACTERS = _MAX_TRACESTATE_MEMBERS * (256 + 1 + 256 + 1)

_INVALID_VERSION = "ff"
_FIRST_VERSION = "00"
_SAMPLED_FLAG = 1

_B3_DECISIONS = {"0": False, "1": True, "d": True, "true": True, "false": False}

_SPAN_ID_BITS = 64
_TRACE_ID_BITS = 128
_RATIO_LIMIT = 1 << 64  # the ratio goes by the lower half of a trace id


@dataclass(frozen=True, slots=True)
class Parent:
    """What a caller says of its trace. `is_sampled` is None where it leaves that to others.

    Without a `trace_id` it only says whether to sample, which b3 can.
    """

    trace_id: int | None
    span_id: int | None
    is_sampled: bool | None
    tracestate: str = ""


def read_parent(headers: Mapping[str, str], propagators: Sequence[str]) -> Parent | None:
    """Return what the first of the propagators that finds anything reads; header names are lower-case."""
    for propagator in propagators:
        parent = _READERS[propagator](headers)
        if parent is not None:
            return parent
    return None


def _read_w3c(headers: Mapping[str, str]) -> Parent | None:
    value = headers.get(TRACEPARENT)
    match = _TRACEPARENT.fullmatch(value.strip()) if value else None
    if match is None:
        return None
    version, trace_id, span_id, flags, rest = match.groups()
    # What a later version adds stands behind the fields of the first, which has nothing there.
    if version == _INVALID_VERSION or (version == _FIRST_VERSION and rest is not None):
        return None
    is_sampled = bool(int(flags, 16) & _SAMPLED_FLAG)
    return _checked(trace_id, span_id, is_sampled, _read_tracestate(headers.get(TRACESTATE, "")))


def _read_tracestate(value: str) -> str:
    """Return the list that stands in `value`, or nothing where it is none: it is for others, and passed on whole.

    Nor is one in which a client has put a credential: spans are told to collectors.
    """
    if len(value) > _MAX_READ_CHARACTERS or holds_secret(value) or is_key(value):
        return ""
    members = [member for member in (part.strip(" \t") for part in value.split(",")) if member]
    names = {member.partition("=")[0] for member in members}
    is_list = len(names) == len(members) <= _MAX_TRACESTATE_MEMBERS
    if not is_list or not all(map(_TRACESTATE_MEMBER.fullmatch, members)):
        return ""
    while members and len(",".join(members)) > _MAX_TRACESTATE_CHARACTERS:
        members.pop()
    return ",".join(members)


def _read_b3(headers: Mapping[str, str]) -> Parent | None:
    value = headers.get(B3, "").strip()
    if value in _B3_DECISIONS:
        return Parent(None, None, _B3_DECISIONS[value])
    match = _B3_SINGLE.fullmatch(value)
    return None if match is None else _checked(match[1], match[2], _B3_DECISIONS.get(match[3] or ""))


def _read_b3_multi(headers: Mapping[str, str]) -> Parent | None:
    decision = _B3_DECISIONS.get(headers.get(_B3_SAMPLED, "").strip().lower())
    if headers.get(_B3_FLAGS, "").strip() == "1":
        decision = True  # debug
    trace_id, span_id = headers.get(_B3_TRACE_ID, "").strip(), headers.get(_B3_SPAN_ID, "").strip()
    if _B3_ID.fullmatch(trace_id) and _B3_SPAN.fullmatch(span_id):
        parent = _checked(trace_id, span_id, decision)
        if parent is not None:
            return parent
    return None if decision is None else Parent(None, None, decision)


_READERS: Final[Mapping[str, Callable[[Mapping[str, str]], Parent | None]]] = {
    "tracecontext": _read_w3c,
    "b3": _read_b3,
    "b3multi": _read_b3_multi,
}


def _checked(trace_id: str, span_id: str, is_sampled: bool | None, tracestate: str = "") -> Parent | None:
    """Return the parent with these ids in hex; None if one of them is zero, which is no id."""
    trace, span = int(trace_id, 16), int(span_id, 16)
    return Parent(trace, span, is_sampled, tracestate) if trace and span else None


@dataclass(frozen=True, slots=True)
class Sampling:
    """Which traces are recorded: a sampler by OpenTelemetry's name, and the share of traces for those that take one."""

    sampler: str = "parentbased_traceidratio"
    rate: float = 1.0

    def begin(self, parent: Parent | None, random_bits: Callable[[int], int]) -> TraceContext:
        """Return the place of an exchange in the parent's trace, or in a new one."""
        trace_id, parent_span_id, tracestate = None, None, ""
        if parent is not None:
            trace_id, parent_span_id, tracestate = parent.trace_id, parent.span_id, parent.tracestate
        if trace_id is None:
            trace_id = draw_id(random_bits, _TRACE_ID_BITS)
        is_sampled = self._decides(None if parent is None else parent.is_sampled, trace_id)
        return TraceContext(
            trace_id, parent_span_id, is_sampled, draw_id(random_bits, _SPAN_ID_BITS), tracestate=tracestate
        )

    def _decides(self, parent_decision: bool | None, trace_id: int) -> bool:
        kind = self.sampler.removeprefix("parentbased_")
        if kind != self.sampler and parent_decision is not None:
            return parent_decision
        if kind == "traceidratio":
            return trace_id & (_RATIO_LIMIT - 1) < round(self.rate * _RATIO_LIMIT)
        return kind == "always_on"


def draw_id(random_bits: Callable[[int], int], bits: int = _SPAN_ID_BITS) -> int:
    """Return a random id, which is not zero."""
    return random_bits(bits) or 1


def format_traceparent(context: TraceContext) -> str:
    """Return the header that tells an upstream of the span of the call to it."""
    return f"00-{context.trace_id:032x}-{context.client_span_id:016x}-{context.is_sampled:02x}"


def format_b3(context: TraceContext) -> str:
    """Return the same as b3, in one header."""
    return f"{context.trace_id:032x}-{context.client_span_id:016x}-{context.is_sampled:d}"
