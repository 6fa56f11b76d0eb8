"""Configurations in which Envoy reads the usage itself, and no body comes to the sidecar: is all of it set?

Owns: what is found of Envoy's AI Protocol Manager beside ext_proc. docs/adr/0007 tells how the two work together. Must
not know what else there is to find.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from extproc.config.needs import ZERO_BODY_TYPED_NAMESPACES, ZERO_BODY_UNTYPED_NAMESPACES
from extproc.doctor.attached import Attached, Effective
from extproc.doctor.documents import dig, obj, text, texts
from extproc.doctor.envoy import Filter, Route
from extproc.doctor.findings import Finding, error, note, warning

_MANAGER = "AiProtocolManager"

_SIGNAL = """\
- name: envoy.filters.http.ai_protocol_manager     # behind ext_proc
  typed_config:
    response_handling:
      token_usage: {include_unconfigured_routes: true, usage_signal: SYNTHESIZE_TRAILERS}"""


def _manager(attached: Attached) -> tuple[int, Filter] | None:
    """Return the filter that reads usage, and its place, if there is one that does."""
    found = (
        (index, each)
        for index, each in attached.chain.find(_MANAGER)
        if not each.is_disabled and isinstance(dig(each.config, "response_handling", "token_usage"), dict)
    )
    return next(found, None)


def reads_usage_itself(attached: Attached) -> bool:
    """Say whether Envoy reads the usage of answers."""
    return _manager(attached) is not None


def check_zero_body(attached: Sequence[Attached]) -> Iterator[Finding]:
    """Find what keeps usage that Envoy has read from the sidecar."""
    for each in attached:
        manager = _manager(each)
        if manager is None:
            continue
        for effective in each.effective:
            if text(effective.mode, "response_body_mode") in ("", "NONE"):
                yield from _check_native(each, effective, *manager)
            else:
                yield from _check_both(effective, manager[1])


def _check_native(attached: Attached, effective: Effective, index: int, manager: Filter) -> Iterator[Finding]:
    typed = texts(effective.config, "metadata_options", "forwarding_namespaces", "typed")
    if not set(ZERO_BODY_TYPED_NAMESPACES) <= set(typed):
        yield error(
            "usage-not-forwarded",
            effective.where,
            "No answer is shown to the sidecar, and the usage that Envoy "
            f"has read ({', '.join(ZERO_BODY_TYPED_NAMESPACES)}) is not sent to it: no tokens are counted.",
            "metadata_options:\n  forwarding_namespaces:\n    typed: [" + ", ".join(ZERO_BODY_TYPED_NAMESPACES) + "]",
        )
    if index < attached.index:
        yield error(
            "usage-read-too-late",
            effective.where,
            "ai_protocol_manager stands before ext_proc; answers pass "
            "filters from the last to the first, so the sidecar is asked before there is usage.",
            "http_filters:\n- name: envoy.filters.http.ext_proc\n"
            "- name: envoy.filters.http.ai_protocol_manager\n- name: envoy.filters.http.router",
        )
    signal = text(manager.config, "response_handling", "token_usage", "usage_signal")
    if signal != "SYNTHESIZE_TRAILERS":
        yield error(
            "usage-without-signal",
            effective.where,
            "Nothing tells the sidecar that there is usage: of answers "
            "without trailers, which most are, no tokens are counted.",
            _SIGNAL,
        )
    if text(effective.mode, "response_trailer_mode") != "SEND":
        yield error(
            "trailers-skipped",
            effective.where,
            "response_trailer_mode is not SEND: the one message in which "
            "the sidecar would hear of the usage is not sent.",
            "processing_mode:\n  response_trailer_mode: SEND",
        )
    if text(effective.mode, "response_header_mode") != "SKIP":
        yield warning(
            "response-headers-shown",
            effective.where,
            "With response headers shown Envoy 1.40 forgets the trailers of many answers, and their usage is lost.",
            "processing_mode:\n  response_header_mode: SKIP",
        )
    yield from _check_model(attached, effective)
    yield from _check_coding(attached)


def _check_both(effective: Effective, manager: Filter) -> Iterator[Finding]:
    if text(manager.config, "response_handling", "token_usage", "usage_signal") == "SYNTHESIZE_TRAILERS":
        yield error(
            "answers-never-end",
            effective.where,
            "Response bodies are sent to the sidecar beside SYNTHESIZE_TRAILERS: Envoy 1.40 never ends an answer then.",
            "processing_mode:\n  request_body_mode: NONE\n  response_header_mode: SKIP\n"
            "  response_body_mode: NONE\n  response_trailer_mode: SEND",
        )


def _check_model(attached: Attached, effective: Effective) -> Iterator[Finding]:
    """Find exchanges whose model is only known from their answers."""
    options = obj(effective.config, "metadata_options", "forwarding_namespaces")
    told = {*texts(options, "typed"), *texts(options, "untyped")}
    shown = text(effective.mode, "request_body_mode") not in ("", "NONE")
    read = any(each.kind in ("JsonToMetadata", _MANAGER) for each in attached.chain.filters[: attached.index])
    if not shown and not (told & set(ZERO_BODY_UNTYPED_NAMESPACES) and read):
        yield note(
            "model-unknown",
            effective.where,
            "Nothing tells the sidecar which model a request asks for: the "
            "answer's own name stands for it, and failed exchanges have none.",
            "# json_to_metadata before ext_proc, as in envoy/envoy-zero-body.yaml, and\nmetadata_options:\n"
            "  forwarding_namespaces:\n    untyped: [" + ", ".join(ZERO_BODY_UNTYPED_NAMESPACES) + "]",
        )


def _check_coding(attached: Attached) -> Iterator[Finding]:
    """Find answers that may come compressed, of which ai_protocol_manager reads none."""
    filters = attached.chain.filters
    last = max((index for index, each in enumerate(filters) if each.kind == _MANAGER), default=0)
    if any(each.kind == "Decompressor" for each in filters[last:]):
        return
    for route in attached.chain.routes:
        if route.leads_on and not _drops_accept_encoding(route):
            yield warning(
                "compressed-unread",
                route.where,
                "accept-encoding is passed on, and Envoy reads no usage in "
                "compressed answers: their tokens are not counted.",
                "request_headers_to_remove: [accept-encoding]      # at the virtual host",
            )


def _drops_accept_encoding(route: Route) -> bool:
    removed = [name.lower() for level in route.levels for name in texts(level, "request_headers_to_remove")]
    return "accept-encoding" in removed
