"""The filters of Envoy's own that read requests and answers where no body goes to the sidecar.

Owns: their settings; envoy/envoy-zero-body.yaml has the reasons. Envoy's AI Protocol Manager is alpha, and the types we
have of Envoy's API are older than it: what is printed of it is a plain document, which the real Envoy checks in tests.
"""

from __future__ import annotations

from envoy_data_plane.envoy.extensions.filters.http.json_to_metadata.v3 import (
    JsonToMetadata,
    JsonToMetadataKeyValuePair,
    JsonToMetadataMatchRules,
    JsonToMetadataRule,
    JsonToMetadataSelector,
)
from envoy_data_plane.envoy.extensions.filters.network.http_connection_manager.v3 import HttpFilter

from extproc.envoyconfig.messages import Document, pack
from extproc.semconv import REQUEST_INFO_NAMESPACE

JSON_TO_METADATA = "envoy.filters.http.json_to_metadata"
AI_PROTOCOL_MANAGER = "envoy.filters.http.ai_protocol_manager"
_AI_PROTOCOL_MANAGER_TYPE = "type.googleapis.com/envoy.extensions.filters.http.ai_protocol_manager.v3.AiProtocolManager"

# The most that Envoy takes.
_MAX_DOCUMENT_BYTES = 10 * 1024 * 1024


def build_json_to_metadata() -> HttpFilter:
    """Return the filter that tells what a request asks for; it stands before ext_proc."""
    rules = [
        JsonToMetadataRule(
            selectors=[JsonToMetadataSelector(key=key)],
            on_present=JsonToMetadataKeyValuePair(metadata_namespace=REQUEST_INFO_NAMESPACE, key=key),
        )
        for key in ("model", "stream")
    ]
    return HttpFilter(
        name=JSON_TO_METADATA,
        typed_config=pack(JsonToMetadata(request_rules=JsonToMetadataMatchRules(rules=rules))),
    )


def build_ai_protocol_manager() -> Document:
    """Return the filter that reads answers; it stands behind ext_proc, so that it sees them first."""
    usage = {
        "include_unconfigured_routes": True,
        "usage_signal": "SYNTHESIZE_TRAILERS",
        "limits": {"max_json_body_size": _MAX_DOCUMENT_BYTES, "max_sse_event_size": _MAX_DOCUMENT_BYTES},
    }
    config = {"@type": _AI_PROTOCOL_MANAGER_TYPE, "response_handling": {"token_usage": usage}}
    return {"name": AI_PROTOCOL_MANAGER, "typed_config": config}
