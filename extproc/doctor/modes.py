"""Do the modes of the filter let usage be seen, and what becomes of traffic when the sidecar is slow or gone?

Owns: what is found of timeouts, failure modes, processing modes and observability mode. Configurations without bodies
are looked at in doctor/zero_body.py. Must not know namespaces or headers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from extproc.doctor.attached import Attached
from extproc.doctor.documents import Object, is_true, number, seconds, text, texts
from extproc.doctor.envoy import Chain, Route
from extproc.doctor.findings import Finding, error, note, warning
from extproc.doctor.forwarding import namespaces_read
from extproc.doctor.sidecar import Expected
from extproc.doctor.zero_body import reads_usage_itself

_DEFAULT_TIMEOUT_SECONDS = 0.2
_SHORT_TIMEOUT_SECONDS = 1.0

_DEFAULT_BUFFER_BYTES = 1024 * 1024
# By which routes and virtual hosts say otherwise; the second is the older.
_BUFFER_KEYS = ("request_body_buffer_limit", "per_request_buffer_limit_bytes")


def check_timeout(attached: Sequence[Attached]) -> Iterator[Finding]:
    """Find timeouts that a busy CPU will not keep."""
    for each in attached:
        timeout = seconds(each.filter.config, "message_timeout")
        is_default = timeout is None
        timeout = _DEFAULT_TIMEOUT_SECONDS if timeout is None else timeout
        if timeout < _SHORT_TIMEOUT_SECONDS and each.hears_replies:
            said = "the default of 200 ms" if is_default else f"{timeout * 1000:g} ms"
            yield warning(
                "message-timeout-short",
                each.where,
                f"message_timeout is {said}: on a busy or throttled CPU exchanges go on unmetered, or fail.",
                "message_timeout: 2s",
            )


def check_failure_mode(attached: Sequence[Attached]) -> Iterator[Finding]:
    """Find exchanges that fail with the sidecar."""
    for each in attached:
        for effective in each.effective:
            if not is_true(effective.config, "failure_mode_allow"):
                yield warning(
                    "failure-mode-closed",
                    effective.where,
                    "failure_mode_allow is off: while the sidecar is "
                    "gone or slow, requests are answered with errors. If that is what you want, pass "
                    "--ignore failure-mode-closed.",
                    "failure_mode_allow: true",
                )


def check_headers_shown(attached: Sequence[Attached]) -> Iterator[Finding]:
    """Find headers that are not shown at all."""
    for each in attached:
        for effective in each.effective:
            if text(effective.mode, "request_header_mode") == "SKIP":
                yield error(
                    "request-headers-skipped",
                    effective.where,
                    "request_header_mode is SKIP: path and authority "
                    "are never shown, by which an LLM and its API are known.",
                    "processing_mode:\n  request_header_mode: SEND",
                )
            if text(effective.mode, "response_header_mode") == "SKIP" and _shows_answers(effective.mode):
                yield error(
                    "response-headers-skipped",
                    effective.where,
                    "response_header_mode is SKIP: without status, "
                    "content-type and content-encoding an answer can't be read for what it is.",
                    "processing_mode:\n  response_header_mode: SEND",
                )


def _shows_answers(mode: dict[str, object]) -> bool:
    return text(mode, "response_body_mode") not in ("", "NONE")


def check_bodies(attached: Sequence[Attached]) -> Iterator[Finding]:
    """Find body modes that hide usage, or hold answers back."""
    for each in attached:
        for effective in each.effective:
            request = text(effective.mode, "request_body_mode") or "NONE"
            response = text(effective.mode, "response_body_mode") or "NONE"
            is_native = reads_usage_itself(each)
            if response == "NONE" and not is_native:
                yield error(
                    "response-body-hidden",
                    effective.where,
                    "response_body_mode is NONE: no answer is shown, so no tokens are counted.",
                    "processing_mode:\n  response_body_mode: STREAMED",
                )
            if response in ("BUFFERED", "BUFFERED_PARTIAL"):
                yield warning(
                    "response-body-buffered",
                    effective.where,
                    f"response_body_mode is {response}: streams "
                    "reach clients when they are over, and not as they come.",
                    "processing_mode:\n  response_body_mode: STREAMED",
                )
            if request == "NONE" and not is_native:
                yield warning(
                    "request-body-hidden",
                    effective.where,
                    "request_body_mode is NONE: the model that was "
                    "asked for is only known where the path or the answer names it.",
                    "processing_mode:\n  request_body_mode: BUFFERED_PARTIAL",
                )
            if request == "BUFFERED":
                yield note(
                    "request-body-buffered",
                    effective.where,
                    "request_body_mode is BUFFERED: requests larger than Envoy's buffer are answered with 413.",
                    "processing_mode:\n  request_body_mode: BUFFERED_PARTIAL",
                )


def check_observability(attached: Sequence[Attached], expected: Expected) -> Iterator[Finding]:
    """Find metadata that is expected of a filter that hears nothing."""
    for each in attached:
        if each.hears_replies:
            continue
        kept = [_kept(effective.config) for effective in each.effective]
        wanted = namespaces_read(each).union(*kept) & set(expected.written)
        if wanted:
            yield error(
                "observability-mode",
                each.where,
                "observability_mode is on: Envoy does not hear what the sidecar says, so there is no metadata under "
                f"{', '.join(sorted(wanted))}. Its own metrics work.",
                "observability_mode: false      # or, if metrics are enough, do not receive or read these namespaces",
            )
        else:
            yield note(
                "observability-mode-metrics-only",
                each.where,
                "observability_mode is on: the sidecar has metrics and traces, and Envoy no metadata.",
                "observability_mode: false",
            )


def _kept(config: Object) -> tuple[str, ...]:
    return texts(config, "metadata_options", "receiving_namespaces", "untyped")


def check_buffers(attached: Sequence[Attached], expected: Expected) -> Iterator[Finding]:
    """Find buffers smaller than what the sidecar asks Envoy to hold."""
    for each in attached:
        if not is_true(each.filter.config, "allow_mode_override"):
            continue
        limit = min((_buffer_bytes(each.chain, route) for route in each.chain.routes), default=_DEFAULT_BUFFER_BYTES)
        if limit < expected.max_whole_response_bytes:
            yield warning(
                "buffer-too-small",
                each.where,
                f"The sidecar asks for answers of up to {expected.max_whole_response_bytes} bytes in one message, and "
                f"Envoy holds {limit:.0f}: of larger ones only the start may be shown, and their counts are lost.",
                f"request_body_buffer_limit: {_DEFAULT_BUFFER_BYTES}     # at the virtual host\n"
                f"# or, in the sidecar's settings, max_whole_response_bytes: {limit:.0f}",
            )


def _buffer_bytes(chain: Chain, route: Route) -> float:
    """Return how much Envoy holds of a body: what the route says, else its virtual host, else the listener."""
    said = (number(level, key) for level in reversed(route.levels) for key in _BUFFER_KEYS)
    own = next((limit for limit in said if limit is not None), None)
    own = number(chain.listener, "per_connection_buffer_limit_bytes") if own is None else own
    return _DEFAULT_BUFFER_BYTES if own is None else own
