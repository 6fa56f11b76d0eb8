"""What can go wrong, as closed sets of stages and reasons, and what a command ends with then.

Errors about traffic are values with low-cardinality names, never text from the traffic: they end up in a metric's
labels. Errors about settings are sentences for a person. Imports nothing of ours.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

EXIT_FAILURE: Final = 1
EXIT_USAGE: Final = 2
# Of `extproc doctor`: the gravest thing that was found.
EXIT_WARNINGS: Final = 3
EXIT_ERRORS: Final = 4
# Of `extproc serve`: it was told to stop, and streams that had not finished by then were cut off.
EXIT_CUT: Final = 5
# What a shell expects of a command that Ctrl-C has ended.
EXIT_INTERRUPTED: Final = 130


class Stage(enum.StrEnum):
    """Where extraction failed."""

    MESSAGE = "message"  # the ext_proc message itself
    REQUEST_BODY = "request_body"
    RESPONSE_BODY = "response_body"
    ESTIMATE = "estimate"  # nothing failed: what was not reported could not be estimated either
    EXCHANGE = "exchange"  # our own code


class Reason(enum.StrEnum):
    """Why extraction failed."""

    EMPTY = "empty"  # no body where the API has one
    CONTENT_TYPE = "content_type"  # a media type that carries no usage
    CONTENT_ENCODING = "content_encoding"  # a content coding this build does not read
    CORRUPT_ENCODING = "corrupt_encoding"  # the coding is known, the bytes are not of it
    CORRUPT_FRAME = "corrupt_frame"  # an AWS frame that does not fit its checksum
    NOT_JSON = "not_json"
    TRUNCATED = "truncated"  # the document or the compressed stream stops in the middle
    TOO_LARGE = "too_large"  # a bound was passed; the rest of this body was not read
    TOO_DEEP = "too_deep"  # arrays and objects in one another beyond a bound
    MALFORMED_COUNT = "malformed_count"  # a token count that is no whole number >= 0
    NATIVE_FAILED = "native_failed"  # Envoy saw usage, and could not read it
    UNDECODABLE = "undecodable"  # bytes that are no ProcessingRequest, or in one no message of Envoy's AI API
    UNKNOWN_PHASE = "unknown_phase"  # a ProcessingRequest without a phase known here
    INTERNAL = "internal"  # an exception nobody foresaw: a bug to report


class Bound(enum.StrEnum):
    """What traffic can be too much for, by the name of its setting."""

    BODY = "max_body_bytes"
    EVENT = "max_event_bytes"
    EVENTS = "max_events_per_message"
    DECODED = "max_decoded_bytes"
    RATIO = "max_decoding_ratio"
    DEPTH = "max_json_depth"
    VALUES = "max_json_values"
    MESSAGE = "max_message_bytes"
    METADATA_VALUE = "max_metadata_value_bytes"
    STREAMS = "max_streams"
    STREAM_AGE = "max_stream_seconds"
    MEMORY = "max_memory_bytes"


class Hindrance(enum.StrEnum):
    """What a configuration of Envoy's makes impossible."""

    OBSERVABILITY_MODE = "observability_mode"  # no reply of ours is read
    REQUEST_HEADERS = "request_headers_not_sent"
    FORWARD_RULES = "headers_not_forwarded"  # that every exchange has
    REQUEST_BODY = "request_body_not_sent"  # and nothing in its place
    RESPONSE_BODY = "response_body_not_sent"  # and nothing in its place
    LABEL_NAMESPACES = "namespaces_not_forwarded"  # that custom labels are taken from
    ATTRIBUTES = "attributes_not_sent"  # that spans should have
    EDIT = "edit_refused"  # of a request, to ask for usage
    REQUEST_ID = "request_id_not_forwarded"  # that the usage log should have


# How each is mended, and what it is for the user.
MENDS: Final = MappingProxyType(
    {
        Hindrance.OBSERVABILITY_MODE: "metadata cannot be written: remove observability_mode from the ext_proc filter",
        Hindrance.REQUEST_HEADERS: "set processing_mode.request_header_mode to SEND",
        Hindrance.FORWARD_RULES: "list :method, :authority, :path and content-type in forward_rules.allowed_headers",
        Hindrance.REQUEST_BODY: "model and stream are not known: set processing_mode.request_body_mode to "
        "BUFFERED_PARTIAL, or forward envoy.ai.request_info",
        Hindrance.RESPONSE_BODY: "there are no tokens: set processing_mode.response_body_mode to STREAMED, or forward "
        "envoy.ai.token_usage",
        Hindrance.LABEL_NAMESPACES: "custom labels stay <unknown>: list the namespaces in "
        "metadata_options.forwarding_namespaces.untyped",
        Hindrance.ATTRIBUTES: "spans lack route and upstream: list xds.route_name in request_attributes and "
        "upstream.address in response_attributes",
        Hindrance.EDIT: "requests are not asked for usage any more: let mutation_rules allow accept-encoding and "
        "content-length, or set usage.inject_include_usage to false",
        Hindrance.REQUEST_ID: "the usage log has no request_id: list x-request-id in forward_rules.allowed_headers",
    }
)


@dataclass(frozen=True, slots=True)
class ExtractionError:
    """One thing that could not be read, as it is counted."""

    stage: Stage
    reason: Reason


class ExtprocError(Exception):
    """Base of every exception this project raises on purpose."""


class DecodeError(ExtprocError):
    """Bytes that could not be decoded. Carries why, and which bound was passed if one was; nothing of the bytes."""

    def __init__(self, reason: Reason, bound: Bound | None = None) -> None:
        super().__init__(reason.value)
        self.reason = reason
        self.bound = bound


class StackError(ExtprocError):
    """A process of the embedded stack that did not start, or ended by itself. The message is one line for a person."""


class ListenerError(ExtprocError):
    """A listener that does not do what it is there for. The message is one line for a person."""


class WorkerError(ExtprocError):
    """Workers that did not end in order. The message is one line for a person."""


class SettingsError(ExtprocError, ValueError):
    """A setting that cannot work. The message is one line: what is wrong, and what is allowed.

    It is a ValueError because that is what pydantic takes from a validator.
    """
