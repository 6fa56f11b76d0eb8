"""Why an exchange has no counts, or counts that may not be all: in words a person can act on.

Owns: the sentences. They are made of the record, of what is no secret in the capture (method, path, media types), and
of one member of the request, which the core has no use for. Must not know how a capture is played or printed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

import msgspec

from extproc.codec.framing import EVENT_STREAM, media_type
from extproc.errors import ExtractionError, Reason, Stage
from extproc.providers import openai_chat, uncounted
from extproc.providers.base import Flavour, clean_name, is_word
from extproc.providers.detect import detect
from extproc.readers import Limits
from extproc.replay.capture import Capture
from extproc.usage import Completion, UsageRecord, UsageSource

_FIRST_ERROR_STATUS = 400

# The APIs whose streams carry usage only where the client asks for it.
_USAGE_ON_REQUEST = (openai_chat.CHAT, openai_chat.COMPLETIONS)

_STAGES = MappingProxyType({Stage.REQUEST_BODY: "request", Stage.RESPONSE_BODY: "answer"})

# What is wrong with a body -> the rest of a sentence that begins with "the request" or "the answer".
_REASONS = MappingProxyType(
    {
        Reason.EMPTY: "has no body",
        Reason.CONTENT_TYPE: "is of type {type}, of which no usage is read",
        Reason.CONTENT_ENCODING: "has the content-encoding {coding}, which is not read: with "
        "request_headers_to_remove: [accept-encoding] on its route Envoy gets it uncompressed",
        Reason.CORRUPT_ENCODING: "is not of the content-encoding {coding} that its headers name",
        Reason.NOT_JSON: "is not JSON, or a part of it is not",
        Reason.TRUNCATED: "stops in the middle: it was cut off, or captured in part",
        Reason.TOO_LARGE: "is larger than {limit}: raise that setting",
        Reason.MALFORMED_COUNT: "held a count that is no whole number from 0, which was dropped",
    }
)


class _StreamOptions(msgspec.Struct):
    include_usage: Any = None


class _Asked(msgspec.Struct):
    stream_options: _StreamOptions | None = None


def explain(record: UsageRecord, capture: Capture, limits: Limits) -> str | None:
    """Return why counts are missing or doubtful; None where all is well.

    `limits` are those it was played with.
    """
    return "; ".join(_reasons(record, capture, limits)) or None


def _reasons(record: UsageRecord, capture: Capture, limits: Limits) -> Iterator[str]:
    if not record.is_llm:
        yield _not_llm(record, capture)
        return
    yield from (_unreadable(error, capture, limits) for error in record.extraction_errors)
    if record.usage_source is UsageSource.NONE:
        yield from _without_usage(record, capture)
    elif record.usage_source is UsageSource.PARTIAL:
        yield _partial(record)
    else:
        yield from _doubts(record, capture)


def _not_llm(record: UsageRecord, capture: Capture) -> str:
    if capture.method != "POST":
        method = capture.method if is_word(capture.method) else "another one"
        return f"not an LLM exchange: the method is {method}, and only answers to POST are counted"
    why = (
        f"not an LLM exchange: no known API has the path {clean_name(capture.path) or '/'}, and the request "
        f"({_type(capture.request_headers)}) does not name a model and give it something"
    )
    if record.status_code is None:
        # The sidecar left at the request, and so did the replay.
        return f"{why}; if it is one all the same, name its provider on the route (x-llm-provider)"
    return f"{why}, nor is the answer ({_type(capture.response_headers)}) of a known shape"


def _unreadable(error: ExtractionError, capture: Capture, limits: Limits) -> str:
    is_request = error.stage is Stage.REQUEST_BODY
    headers = capture.request_headers if is_request else capture.response_headers
    if error == ExtractionError(Stage.RESPONSE_BODY, Reason.EMPTY) and capture.response is None:
        return "the capture does not hold the answer's body: save it with content"
    is_event = not is_request and media_type(headers.get("content-type", "")) == EVENT_STREAM
    name = "max_event_bytes" if is_event else "max_body_bytes"
    coding = headers.get("content-encoding", "")
    rest = _REASONS.get(error.reason, f"could not be read ({error.reason.value})").format(
        type=_type(headers), coding=coding if is_word(coding) else "it has", limit=f"{name} ({getattr(limits, name)})"
    )
    return f"the {_STAGES.get(error.stage, 'exchange')} {rest}"


def _without_usage(record: UsageRecord, capture: Capture) -> Iterator[str]:
    flavour = _flavour_at(capture)
    if record.completion is Completion.ERROR:
        yield f"the answer is an error ({_error(record)}): providers report no usage with it"
    elif record.status_code is None:
        yield "the capture holds no answer: the request was blocked, or given up"
    elif flavour is uncounted.UNCOUNTED:
        yield "nothing is counted here by design: this endpoint reports no token usage, and what looks like it is none"
    elif all(error.stage is Stage.REQUEST_BODY for error in record.extraction_errors):
        yield _silent(record, capture, flavour)


def _silent(record: UsageRecord, capture: Capture, flavour: Flavour | None) -> str:
    """Return why an answer that could be read had no usage."""
    if record.operation is None:
        return "the answer is not of the shape of any API that is read"
    if not record.streaming:
        return "the answer holds no usage: this server, or something between, leaves it out"
    if flavour not in _USAGE_ON_REQUEST and flavour is not None:
        return "the stream carried no usage: this server leaves it out, or the stream ended before it"
    match _include_usage(capture):
        case True:
            return (
                "the stream carried no usage, though the client asked for it (stream_options.include_usage: true): "
                "this server leaves it out, or the stream ended before it"
            )
        case None:
            return (
                "the stream carried no usage; whether the client asked for it (stream_options.include_usage: true) "
                "can't be seen: the request could not be read"
            )
        case _:
            return (
                "the stream carried no usage: the client did not ask for include_usage "
                "(stream_options.include_usage: true)"
            )


def _partial(record: UsageRecord) -> str:
    if record.completion is Completion.ERROR:
        return f"the answer ended in an error ({_error(record)}): the counts are those reported before it"
    if record.completion is Completion.COMPLETE:
        return "counts may have been in what could not be read: those here may not be the last ones"
    return "the answer ended early: the counts are the last ones reported before that"


def _doubts(record: UsageRecord, capture: Capture) -> Iterator[str]:
    """Yield what may be wrong with counts that were reported."""
    if record.usage is not None and None in (record.usage.prompt_tokens, record.usage.completion_tokens):
        sides = {"prompt": record.usage.prompt_tokens, "completion": record.usage.completion_tokens}
        missing = " and no ".join(side for side, count in sides.items() if count is None)
        yield f"the provider reported no {missing} tokens"
    if record.streaming and record.finish_reason is None and _flavour_at(capture) not in _USAGE_ON_REQUEST:
        # With those usage comes last; with all others counts move while the stream runs.
        yield "the stream told no finish reason: if it was cut off, the counts are not the last ones"


def _error(record: UsageRecord) -> str:
    status = record.status_code or 0
    if status < _FIRST_ERROR_STATUS or record.error_type == str(status):
        return str(record.error_type)
    return f"{record.error_type}, status {status}"


def _flavour_at(capture: Capture) -> Flavour | None:
    return detect(capture.authority, capture.path).flavour


def _include_usage(capture: Capture) -> bool | None:
    """Say whether the client asked for usage in the stream; None if that can't be read.

    Nothing but this member becomes a value, however large the request is.
    """
    try:
        asked = msgspec.json.decode(capture.request, type=_Asked)
    except (msgspec.MsgspecError, RecursionError):
        return None
    return asked.stream_options is not None and asked.stream_options.include_usage is True


def _type(headers: Mapping[str, str]) -> str:
    """Return the media type of a body, if it is one that can be printed."""
    type_ = media_type(headers.get("content-type", ""))
    parts = type_.replace("+", "").split("/")
    is_type = len(parts) == 2 and all(is_word(part) for part in parts)  # noqa: PLR2004 - type and subtype
    return type_ if is_type else "of no content-type" if not type_ else "of an odd content-type"
