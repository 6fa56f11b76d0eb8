"""Why an exchange has no counts, or counts that may not be all: in words a person can act on.

Owns: the sentences. They are made of the record, of what is no secret in the capture (method, path, media types), and
of one member of the request, which the core has no use for. Must not know how a capture is played or printed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

import msgspec

from extproc.codec.framing import is_readable, media_type
from extproc.errors import ExtractionError, Reason, Stage
from extproc.providers import gemini_generate, openai_chat, tgi
from extproc.providers.base import Flavour, clean_name, is_word
from extproc.providers.detect import Target
from extproc.replay.capture import Capture
from extproc.replay.play import Observer
from extproc.usage import Completion, UsageRecord, UsageSource

_FIRST_ERROR_STATUS = 400

# The APIs whose streams carry usage only where the client asks for it.
_USAGE_ON_REQUEST = (openai_chat.CHAT, openai_chat.COMPLETIONS)

# A stream without usage, by whether the client asked for it.
_LEFT_OUT = ": this server leaves it out, or the stream ended before it"
_OPTION = "(stream_options.include_usage: true)"
_ASKED: Mapping[bool | None, str] = MappingProxyType(
    {
        True: f", though the client asked for it {_OPTION}{_LEFT_OUT}",
        False: f": the client did not ask for include_usage {_OPTION}",
        None: f"; whether the client asked for it {_OPTION} can't be seen: the request could not be read",
    }
)

# How the description of a flavour's counts begins, if it has none.
_NOTHING = "nothing"

# The APIs whose counts move while a stream runs, and that do not mark its end: with the others usage comes last.
_MOVING_COUNTS = (gemini_generate.GENERATE,)

_STAGES = MappingProxyType({Stage.REQUEST_BODY: "request", Stage.RESPONSE_BODY: "answer"})

# What is wrong with a body -> the rest of a sentence that begins with "the request" or "the answer".
_REASONS = MappingProxyType(
    {
        Reason.EMPTY: "has no body",
        Reason.CONTENT_TYPE: "is of type {type}, of which no usage is read",
        Reason.CONTENT_ENCODING: "has the content-encoding {coding}, which is not read: with "
        "request_headers_to_remove: [accept-encoding] on its route Envoy gets it uncompressed",
        Reason.CORRUPT_ENCODING: "is not of the content-encoding {coding} that its headers name",
        Reason.CORRUPT_FRAME: "has a frame that does not fit its checksum",
        Reason.NOT_JSON: "is not JSON, or a part of it is not",
        Reason.TRUNCATED: "stops in the middle: it was cut off, or captured in part",
        Reason.TOO_LARGE: "is more than {bounds} lets in: raise that setting",
        Reason.TOO_DEEP: "is deeper than {bounds} lets in: raise that setting",
        Reason.MALFORMED_COUNT: "held a count that is no whole number from 0, which was dropped",
    }
)


_NOT_OF_THE_ANSWER = (Stage.REQUEST_BODY, Stage.ESTIMATE)


class _StreamOptions(msgspec.Struct):
    include_usage: Any = None


class _Asked(msgspec.Struct):
    stream_options: _StreamOptions | None = None


def explain(record: UsageRecord, capture: Capture, observer: Observer) -> str | None:
    """Return why counts are missing or doubtful; None where all is well. `observer` is what it was played with."""
    return "; ".join(_reasons(record, capture, observer)) or None


def _reasons(record: UsageRecord, capture: Capture, observer: Observer) -> Iterator[str]:
    target = observer.detector.detect(capture.authority, capture.path)
    if not record.is_llm:
        yield _not_llm(record, capture, target)
        return
    bounds = " and ".join(f"{bound} ({getattr(observer.limits, bound)})" for bound in record.bounds_hit)
    yield from (_unreadable(error, capture, bounds) for error in record.extraction_errors)
    if record.usage_source in (UsageSource.NONE, UsageSource.ESTIMATED):
        yield from _without_usage(record, capture, target.flavour)
        if record.usage_source is UsageSource.ESTIMATED:
            yield "what is shown is counted from the texts"
    elif record.usage_source is UsageSource.PARTIAL:
        yield _partial(record)
    else:
        yield from _doubts(record, target.flavour)


def _not_llm(record: UsageRecord, capture: Capture, target: Target) -> str:
    if capture.method != "POST":
        method = capture.method if is_word(capture.method) else "another one"
        return f"not an LLM exchange: the method is {method}, and only answers to POST are counted"
    if target.is_excluded:
        return "not an LLM exchange: detection_rules say so"
    unasked = f"the request ({_type(capture.request_headers)}) does not name a model and give it something"
    if target.flavour is not None:
        reply = f"the answer ({_type(capture.response_headers)}) has no known shape"
        common = "not an LLM exchange: not only LLMs have such a path"
        return f"{common}, and {reply if target.flavour.by_shape else unasked}"
    why = f"not an LLM exchange: no known API has the path {clean_name(capture.path) or '/'}, and {unasked}"
    if record.status_code is None:
        # The sidecar left at the request, and so did the replay.
        return (
            f"{why}; if it is one all the same, name its provider on the route (x-llm-provider) or in detection_rules"
        )
    return f"{why}, nor is the answer ({_type(capture.response_headers)}) of a known shape"


def _unreadable(error: ExtractionError, capture: Capture, bounds: str) -> str:
    if error.stage is Stage.ESTIMATE:
        return f"the prompt could not be estimated ({error.reason.value})"
    is_request = error.stage is Stage.REQUEST_BODY
    headers = capture.request_headers if is_request else capture.response_headers
    if error == ExtractionError(Stage.RESPONSE_BODY, Reason.EMPTY) and capture.response is None:
        return "the capture does not hold the answer's body: save it with content"
    coding = headers.get("content-encoding", "")
    rest = _REASONS.get(error.reason, f"could not be read ({error.reason.value})").format(
        type=_type(headers), coding=coding if is_word(coding) else "it has", bounds=bounds
    )
    return f"the {_STAGES.get(error.stage, 'exchange')} {rest}"


def _without_usage(record: UsageRecord, capture: Capture, flavour: Flavour | None) -> Iterator[str]:
    if record.completion is Completion.ERROR:
        yield f"the answer is an error ({_error(record)}): providers report no usage with it"
    elif record.status_code is None:
        yield "the capture holds no answer: the request was blocked, or given up"
    elif flavour is not None and flavour.counted.startswith(_NOTHING):
        yield "nothing is counted here by design: this endpoint reports no token usage, and what looks like it is none"
    elif all(error.stage in _NOT_OF_THE_ANSWER for error in record.extraction_errors):
        yield _silent(record, capture, flavour)


def _silent(record: UsageRecord, capture: Capture, flavour: Flavour | None) -> str:
    """Return why an answer that could be read had no usage."""
    if not is_readable(capture.response_headers.get("content-type", "")):
        return f"the answer ({_type(capture.response_headers)}) is of a kind that carries no usage"
    is_by_shape = flavour is None or flavour.by_shape
    if is_by_shape and (record.provider, record.operation) == (tgi.GENERATE.provider, tgi.GENERATE.operation):
        return "the answer holds no usage: the client has to ask for it (parameters.details: true)"
    if record.operation is None:
        return "the answer is not of the shape of any API that is read"
    if not record.streaming:
        return "the answer holds no usage: this server, or something between, leaves it out"
    if is_by_shape or flavour in _USAGE_ON_REQUEST:
        return f"the stream carried no usage{_ASKED[_include_usage(capture)]}"
    return f"the stream carried no usage{_LEFT_OUT}"


def _partial(record: UsageRecord) -> str:
    if record.completion is Completion.ERROR:
        return f"the answer ended in an error ({_error(record)}): the counts are those reported before it"
    if record.completion is Completion.COMPLETE:
        return "counts may have been in what could not be read: those here may not be the last ones"
    return "the answer ended early: the counts are the last ones reported before that"


def _doubts(record: UsageRecord, flavour: Flavour | None) -> Iterator[str]:
    """Yield what may be wrong with counts that were reported."""
    if record.usage is not None and None in (record.usage.prompt_tokens, record.usage.completion_tokens):
        sides = {"prompt": record.usage.prompt_tokens, "completion": record.usage.completion_tokens}
        missing = " and no ".join(side for side, count in sides.items() if count is None)
        yield f"the provider reported no {missing} tokens"
    if record.streaming and record.finish_reason is None and flavour in _MOVING_COUNTS:
        yield "the stream told no finish reason: if it was cut off, the counts are not the last ones"


def _error(record: UsageRecord) -> str:
    status = record.status_code or 0
    if status < _FIRST_ERROR_STATUS or record.error_type == str(status):
        return str(record.error_type)
    return f"{record.error_type}, status {status}"


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
