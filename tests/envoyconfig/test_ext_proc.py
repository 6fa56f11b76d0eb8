from __future__ import annotations

import re
from typing import Any

import pytest
from support.plans import COLLECTOR, plan_for

from extproc.credentials import is_secret_name
from extproc.envoyconfig.choices import Mode
from extproc.envoyconfig.ext_proc import build_ext_proc, build_route_override
from extproc.envoyconfig.messages import to_document
from extproc.headers import REQUEST_HEADERS, RESPONSE_HEADERS

# Modes in which a body can be changed.
EDITING = (Mode.INSPECT, Mode.FULL_DUPLEX)


def ext_proc(settings: dict[str, Any] | None = None, mode: Mode = Mode.INSPECT, **changes: Any) -> dict[str, Any]:
    config: dict[str, Any] = to_document(build_ext_proc(plan_for(settings, mode, **changes)))["typed_config"]
    return config


def allowed(config: dict[str, Any]) -> set[str]:
    return {pattern["exact"] for pattern in config["forward_rules"]["allowed_headers"]["patterns"]}


@pytest.mark.parametrize("mode", Mode)
def test_every_mode_has_what_keeps_traffic_flowing_and_credentials_in_envoy(mode: Mode) -> None:
    """Whatever else it does."""
    config = ext_proc(mode=mode)
    assert config["failure_mode_allow"] is True
    assert config["message_timeout"] == "2s"
    assert config["disable_immediate_response"] is True
    edits = {"allow_expression": {"regex": "accept-encoding|content-length"}}
    assert config["mutation_rules"] == {"disallow_all": True} | (edits if mode in EDITING else {})
    assert config["grpc_service"] == {"envoy_grpc": {"cluster_name": "extproc"}}
    shown = REQUEST_HEADERS if mode is Mode.ZERO_BODY else REQUEST_HEADERS | RESPONSE_HEADERS
    assert allowed(config) == shown


@pytest.mark.parametrize(
    ("mode", "override", "length", "observes", "receives"),
    [
        (Mode.INSPECT, True, True, False, True),
        (Mode.ZERO_BODY, False, False, False, True),
        (Mode.OBSERVE, False, True, True, False),
        (Mode.FULL_DUPLEX, False, True, False, True),
    ],
)
def test_a_mode_has_what_it_can_use(mode: Mode, override: bool, length: bool, observes: bool, receives: bool) -> None:
    """And nothing that Envoy would pass by."""
    config = ext_proc(mode=mode)
    assert config.get("allow_mode_override", False) is override
    assert config.get("allow_content_length_header", False) is length
    assert config.get("observability_mode", False) is observes
    assert ("receiving_namespaces" in config["metadata_options"]) is receives


def test_full_duplex_has_trailers_both_ways() -> None:
    """Envoy refuses it without them."""
    mode = ext_proc(mode=Mode.FULL_DUPLEX)["processing_mode"]
    assert {name for name, value in mode.items() if value == "SEND"} >= {
        "request_trailer_mode",
        "response_trailer_mode",
    }
    assert mode["request_body_mode"] == mode["response_body_mode"] == "FULL_DUPLEX_STREAMED"


def test_namespaces_of_other_filters_are_forwarded() -> None:
    """Beside Envoy's own, where it reads usage itself."""
    settings = {"telemetry": {"custom_labels": [{"name": "a", "metadataKey": "x"}]}}
    assert ext_proc(settings)["metadata_options"]["forwarding_namespaces"] == {
        "untyped": ["envoy.filters.http.jwt_authn"]
    }
    assert ext_proc(settings, Mode.ZERO_BODY)["metadata_options"]["forwarding_namespaces"] == {
        "typed": ["envoy.ai.token_usage"],
        "untyped": ["envoy.ai.request_info", "envoy.filters.http.jwt_authn"],
    }
    assert "forwarding_namespaces" not in ext_proc()["metadata_options"]


def test_attributes_come_where_telemetry_tells_them() -> None:
    """Those of answers with the first message there is of one: without headers its trailers."""
    settings = {"telemetry": COLLECTOR}
    config, native = ext_proc(settings), ext_proc(settings, Mode.ZERO_BODY)
    assert config["request_attributes"] == native["request_attributes"] == ["xds.route_name"]
    assert (
        config["response_attributes"] == native["response_attributes"] == ["upstream.address", "upstream.tls_version"]
    )
    assert "request_attributes" not in ext_proc()


@pytest.mark.parametrize(
    ("mode", "expected"),
    [(Mode.INSPECT, "b3|traceparent|accept-encoding|content-length"), (Mode.ZERO_BODY, "b3|traceparent")],
)
def test_headers_of_a_trace_may_be_set_where_they_are(mode: Mode, expected: str) -> None:
    """In every mode."""
    settings = {"telemetry": COLLECTOR | {"inject_context": True, "propagators": ["tracecontext", "b3"]}}
    rules = ext_proc(settings, mode)["mutation_rules"]
    assert rules == {"disallow_all": True, "allow_expression": {"regex": expected}}


def test_where_nothing_is_edited_nothing_may_be() -> None:
    """As the settings say."""
    rules = ext_proc({"usage": {"inject_include_usage": False}})["mutation_rules"]
    assert rules == {"disallow_all": True}


HEADERS = """
authorization proxy-authorization www-authenticate cookie set-cookie x-api-key api-key apikey x-goog-api-key
x-amz-security-token x-token tokens x-session-id x-client-cert x-key key x-keyboard x-hub-signature-256 x-csrf
cert-a x-tokens x-token-a x-token-count token-b a-pass x-passed my-jwt x-forwarded-client-cert ocp-apim-
subscription-key accept user-agent x-request-id traceparent x-tenant x-sign signed x-otp tokenizer x-secret
passwd content-length
"""


def test_what_may_hold_a_credential_is_not_forwarded_where_all_else_is() -> None:
    """The line is drawn where the sidecar draws it; the headers that it has to read are on the other side."""
    layers = {"layers": {"global": {"report_headers": True, "skip_headers": ["x-mine"]}}}
    rules = ext_proc({"telemetry": COLLECTOR | layers})["forward_rules"]
    assert "allowed_headers" not in rules
    patterns = rules["disallowed_headers"]["patterns"]

    def is_kept(name: str) -> bool:
        return any(
            pattern.get("exact") == name
            or ("contains" in pattern and pattern["contains"] in name)
            or ("safe_regex" in pattern and re.fullmatch(pattern["safe_regex"]["regex"], name) is not None)
            for pattern in patterns
        )

    # A header that ends so is read, of Bedrock's; the sidecar does not report it.
    counts = {name for name in HEADERS.split() if name.endswith("token-count")}
    assert {name for name in HEADERS.split() if is_kept(name)} == {
        name for name in HEADERS.split() if is_secret_name(name)
    } - counts
    assert not any(map(is_kept, REQUEST_HEADERS | RESPONSE_HEADERS))
    assert is_kept("x-mine")


def test_a_deployment_may_rather_fail() -> None:
    """And wait longer."""
    config = ext_proc(fail_open=False, message_timeout_seconds=0.25)
    assert config.get("failure_mode_allow", False) is False
    assert config["message_timeout"] == "0.250s"


def test_a_route_says_whose_it_is() -> None:
    """As gRPC metadata."""
    override = to_document(build_route_override("openai"))
    assert override == {"overrides": {"grpc_initial_metadata": [{"key": "x-llm-provider", "value": "openai"}]}}
