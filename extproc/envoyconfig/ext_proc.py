"""The filter `envoy.filters.http.ext_proc`, and what a route says of it.

Owns: every one of its settings. envoy/envoy.yaml has the reasons for each in comments, next to the same values.

https://www.envoyproxy.io/docs/envoy/latest/api-v3/extensions/filters/http/ext_proc/v3/ext_proc.proto
"""

from __future__ import annotations

from envoy_data_plane.envoy.config.common.mutation_rules.v3 import HeaderMutationRules
from envoy_data_plane.envoy.config.core.v3 import GrpcService, GrpcServiceEnvoyGrpc, HeaderValue
from envoy_data_plane.envoy.extensions.filters.http.ext_proc.v3 import (
    ExternalProcessor,
    ExtProcOverrides,
    ExtProcPerRoute,
    HeaderForwardingRules,
    MetadataOptions,
    MetadataOptionsMetadataNamespaces,
    ProcessingMode,
    ProcessingModeBodySendMode,
    ProcessingModeHeaderSendMode,
)
from envoy_data_plane.envoy.extensions.filters.network.http_connection_manager.v3 import HttpFilter
from envoy_data_plane.envoy.type.matcher.v3 import ListStringMatcher, RegexMatcher, StringMatcher

from extproc.config.needs import ZERO_BODY_TYPED_NAMESPACES, ZERO_BODY_UNTYPED_NAMESPACES, Needs
from extproc.envoyconfig.choices import Mode
from extproc.envoyconfig.messages import pack, seconds
from extproc.envoyconfig.modes import Processing
from extproc.envoyconfig.plan import Plan
from extproc.semconv import PROVIDER_INITIAL_METADATA

EXT_PROC = "envoy.filters.http.ext_proc"
CLUSTER = "extproc"

# What a header that may hold a credential is called: extproc/credentials.py, in several expressions, as Envoy takes
# only small ones, and in RE2's words, which know no look-ahead. None fits Envoy's own headers (:authority), nor those
# with counts of tokens that are read. Each expression has to fit the whole name.
_CREDENTIAL_WORDS = ("cookie", "secret", "passw", "pwd", "signature", "credential", "jwt", "bearer", "hmac", "session")
_CREDENTIAL_EXPRESSIONS = (
    "(?:[^:].*)?auth.*",
    ".*api[-_]?key.*",
    ".*token(?:[^s-].*|-(?:[^c].*)?)?",
    ".*key(?:[-_.].*)?",
    "(?:.*[-_.])?(?:cert|csrf|xsrf|sig|sign|otp|pass|pat)(?:[-_.].*)?",
)


def build_ext_proc(plan: Plan) -> HttpFilter:
    """Return the filter."""
    processing, needs = plan.processing, plan.needs
    has_response_headers = processing.response_header == "SEND"
    config = ExternalProcessor(
        grpc_service=GrpcService(envoy_grpc=GrpcServiceEnvoyGrpc(cluster_name=CLUSTER)),
        failure_mode_allow=plan.fail_open,
        message_timeout=seconds(plan.message_timeout_seconds),
        processing_mode=_processing_mode(processing),
        allow_mode_override=processing.asks_override,
        # It is about bodies.
        allow_content_length_header=plan.mode is not Mode.ZERO_BODY,
        observability_mode=plan.mode is Mode.OBSERVE,
        mutation_rules=_mutation_rules(plan),
        disable_immediate_response=True,
        forward_rules=_forward_rules(needs, has_response_headers=has_response_headers),
        metadata_options=_metadata_options(plan),
        request_attributes=list(needs.request_attributes),
        response_attributes=list(needs.response_attributes),
    )
    return HttpFilter(name=EXT_PROC, typed_config=pack(config))


def build_route_override(provider: str) -> ExtProcPerRoute:
    """Return what tells the sidecar who answers on a route."""
    named = HeaderValue(key=PROVIDER_INITIAL_METADATA, value=provider)
    return ExtProcPerRoute(overrides=ExtProcOverrides(grpc_initial_metadata=[named]))


def _processing_mode(processing: Processing) -> ProcessingMode:
    headers, bodies = ProcessingModeHeaderSendMode, ProcessingModeBodySendMode
    return ProcessingMode(
        request_header_mode=headers.SEND,
        request_body_mode=bodies[processing.request_body],
        request_trailer_mode=headers[processing.request_trailer],
        response_header_mode=headers[processing.response_header],
        response_body_mode=bodies[processing.response_body],
        response_trailer_mode=headers.SEND,
    )


def _mutation_rules(plan: Plan) -> HeaderMutationRules:
    """Return what the sidecar may change: headers that tell an upstream of its trace, or go with an edited body."""
    carries_edits = plan.mode in (Mode.INSPECT, Mode.FULL_DUPLEX)
    written = [*plan.needs.mutated_headers, *(plan.needs.edited_headers if carries_edits else ())]
    names = RegexMatcher(regex="|".join(written)) if written else None
    return HeaderMutationRules(disallow_all=True, allow_expression=names)


def _forward_rules(needs: Needs, *, has_response_headers: bool) -> HeaderForwardingRules:
    if needs.all_headers:
        patterns = [StringMatcher(contains=word) for word in _CREDENTIAL_WORDS]
        patterns += [StringMatcher(safe_regex=RegexMatcher(regex=each)) for each in _CREDENTIAL_EXPRESSIONS]
        return HeaderForwardingRules(disallowed_headers=_exactly(needs.skipped_headers, patterns))
    names = [*needs.request_headers, *(needs.response_headers if has_response_headers else ())]
    return HeaderForwardingRules(allowed_headers=_exactly(dict.fromkeys(names), []))


def _exactly(names: tuple[str, ...] | dict[str, None], others: list[StringMatcher]) -> ListStringMatcher:
    return ListStringMatcher(patterns=[*others, *(StringMatcher(exact=name) for name in names)])


def _metadata_options(plan: Plan) -> MetadataOptions:
    namespaces = MetadataOptionsMetadataNamespaces
    typed, untyped = [], list(plan.needs.forwarding_namespaces)
    if plan.mode is Mode.ZERO_BODY:
        typed, untyped = [*ZERO_BODY_TYPED_NAMESPACES], [*ZERO_BODY_UNTYPED_NAMESPACES, *untyped]
    receiving = plan.needs.receiving_namespaces if plan.processing.keeps_metadata else ()
    return MetadataOptions(
        forwarding_namespaces=namespaces(typed=typed, untyped=untyped) if typed or untyped else None,
        receiving_namespaces=namespaces(untyped=list(receiving)) if receiving else None,
    )
