from __future__ import annotations

from typing import Any

import pytest
import yaml
from support.dumps import WHERE, attached_of, codes, expected_of

from extproc.demo.bootstrap import Bootstrap
from extproc.doctor.findings import Finding
from extproc.doctor.forwarding import (
    check_attributes,
    check_edits,
    check_forwarding,
    check_headers,
    check_mutation,
    check_receiving,
    is_forwarded,
)

OTLP = {"exporters": {"otlp": [{"name": "a", "host": "x"}]}}
LABELS = {"custom_labels": [{"name": "team", "metadataKey": "team"}, {"name": "tenant", "header": "x-tenant"}]}


def found(check: Any, change: dict[str, Any] | None = None, **settings: Any) -> list[Finding]:
    configured = Bootstrap()
    configured.ext_proc.update(change or {})
    return list(check(attached_of(configured, **settings), expected_of(**settings)))


def receiving(*namespaces: str) -> dict[str, Any]:
    return {"metadata_options": {"receiving_namespaces": {"untyped": list(namespaces)}}}


@pytest.mark.parametrize(
    ("change", "expected", "said"),
    [
        ({}, [], ""),
        ({"metadata_options": {}}, ["namespaces-not-received"], "ai.gateway, ai.gateway.kgateway.dev, envoy.ratelimit"),
        (receiving("ai.gatway"), ["namespaces-not-received"], "(ai.gateway is spelt ai.gatway there)"),
        (receiving("ai.gateway.kgateway.dev", "envoy.ratelimit"), ["namespaces-not-received"], "under ai.gateway:"),
        (receiving("ai.gateway"), ["namespaces-not-received"], "under envoy.ratelimit:"),
        (receiving("ai.gateway", "envoy.ratelimit"), ["namespaces-unused"], "under ai.gateway.kgateway.dev,"),
    ],
)
def test_a_namespace_that_is_read_has_to_be_received(change: dict[str, Any], expected: list[str], said: str) -> None:
    """The access log here reads ai.gateway and envoy.ratelimit; of the rest nobody misses anything."""
    findings = found(check_receiving, change)
    assert codes(findings) == expected
    assert all(said in each.meaning and each.where == (WHERE,) for each in findings)


@pytest.mark.parametrize(
    "text", ["%METADATA(DYNAMIC:ai.gateway:model)%", "%CEL(metadata.filter_metadata['ai.gateway']['model'])%"]
)
def test_formatters_read_namespaces_too(text: str) -> None:
    """In words of their own."""
    configured = Bootstrap()
    configured.ext_proc.update(receiving("envoy.ratelimit", "ai.gateway.kgateway.dev"))
    configured._connection_manager["access_log"] = [{"typed_config": {"@type": "t/v3.FileAccessLog", "format": text}}]
    assert codes(check_receiving(attached_of(configured), expected_of())) == ["namespaces-not-received"]


@pytest.mark.parametrize(
    ("sent", "expected"),
    [([], ["namespaces-not-forwarded"]), (["envoy.filters.http.jwt_authn"], [])],
)
def test_labels_need_their_namespace_forwarded(sent: list[str], expected: list[str]) -> None:
    """They are <unknown> without, on every exchange."""
    options = receiving("ai.gateway")["metadata_options"] | {"forwarding_namespaces": {"untyped": sent}}
    assert codes(found(check_forwarding, {"metadata_options": options}, telemetry=LABELS)) == expected
    assert codes(found(check_forwarding, {"metadata_options": options})) == []


@pytest.mark.parametrize(
    ("change", "asks", "expected"),
    [
        ({"mutation_rules": {"disallow_all": True}}, True, ["edit-refused"]),
        ({"mutation_rules": {"disallow_all": True}}, False, []),
        ({"mutation_rules": {}}, True, []),
        ({"mutation_rules": {"disallow_all": True, "allow_expression": {"regex": "content-length"}}}, True,
         ["edit-refused"]),
        ({"mutation_rules": {"disallow_all": True}, "processing_mode": {"request_body_mode": "NONE"}}, True, []),
        ({"mutation_rules": {"disallow_all": True}, "observability_mode": True}, True, []),
        ({}, True, []),
    ],
)  # fmt: skip
def test_lengths_of_edited_bodies_have_to_be_put_right(change: dict[str, Any], asks: bool, expected: list[str]) -> None:
    """Or Envoy answers with an error, where bodies can be edited at all."""
    findings = found(check_edits, change, usage={"inject_include_usage": asks})
    assert codes(findings) == expected
    for each in findings:
        assert codes(found(check_edits, yaml.safe_load(each.mend))) == []


def patterns(*names: str) -> dict[str, Any]:
    return {"patterns": [{"exact": name} for name in names]}


@pytest.mark.parametrize(
    ("rules", "name", "expected"),
    [
        ({}, "x", True),
        ({"allowed_headers": {}}, "x", False),
        ({"allowed_headers": patterns("x")}, "x", True),
        ({"allowed_headers": patterns("x"), "disallowed_headers": patterns("x")}, "x", False),
        ({"disallowed_headers": patterns("y")}, "x", True),
        ({"allowed_headers": {"patterns": [{"prefix": "x-amzn-"}]}}, "x-amzn-errortype", True),
        ({"allowed_headers": {"patterns": [{"suffix": "-type"}]}}, "content-type", True),
        ({"allowed_headers": {"patterns": [{"contains": "TENT", "ignore_case": True}]}}, "content-type", True),
        ({"allowed_headers": {"patterns": [{"contains": "TENT"}]}}, "content-type", False),
        ({"allowed_headers": {"patterns": [{"safe_regex": {"regex": "content-(type|length)"}}]}}, "content-type", True),
        ({"allowed_headers": {"patterns": [{"safe_regex": {"regex": "x-.*"}}]}}, "content-type", False),
        ({"allowed_headers": {"patterns": [{"safe_regex": {"regex": r"\\pN("}}]}}, "content-type", True),
        ({"allowed_headers": {"patterns": [{"custom": {"name": "z"}}]}}, "content-type", True),
    ],
)
def test_rules_are_read_as_envoy_reads_them(rules: dict[str, Any], name: str, expected: bool) -> None:
    """What is not understood is taken to let pass: nobody is told of a mistake that may be none."""
    assert is_forwarded(name, rules) is expected


@pytest.mark.parametrize(
    ("rules", "settings", "expected"),
    [
        ({"disallowed_headers": patterns("authorization")}, {}, []),
        ({"disallowed_headers": patterns(":path")}, {}, ["headers-not-forwarded"]),
        ({"disallowed_headers": patterns("x-tenant")}, {"telemetry": LABELS}, ["label-headers-not-forwarded"]),
        ({"disallowed_headers": patterns("content-length")}, {}, ["details-not-forwarded"]),
        ({"disallowed_headers": patterns("x-request-id")}, {}, []),
        ({"disallowed_headers": patterns("x-request-id")}, {"usage_log": "stdout"}, ["details-not-forwarded"]),
        ({"disallowed_headers": patterns("traceparent")}, {"telemetry": OTLP}, ["details-not-forwarded"]),
        ({}, {}, ["all-headers-forwarded"]),
        ({}, {"telemetry": OTLP | {"layers": {"proxy": {"report_headers": True}}}}, []),
    ],
)
def test_headers_that_are_read_have_to_come(rules: dict[str, Any], settings: Any, expected: list[str]) -> None:
    """How much is lost depends on which."""
    assert codes(found(check_headers, {"forward_rules": rules}, **settings)) == expected


def test_headers_of_answers_are_only_missed_where_they_would_come() -> None:
    """Not with response_header_mode SKIP."""
    rules = {"disallowed_headers": patterns(":status")}
    assert codes(found(check_headers, {"forward_rules": rules})) == ["headers-not-forwarded"]
    skipped = {"forward_rules": rules, "processing_mode": {"response_header_mode": "SKIP"}}
    assert codes(found(check_headers, skipped)) == []


def test_what_is_printed_lets_headers_pass() -> None:
    """What is disallowed is less by what is read; what is allowed is more."""
    rules = {"disallowed_headers": {"patterns": [{"prefix": "content-"}, {"exact": "cookie"}]}} | {
        "allowed_headers": {"patterns": [{"prefix": "content-"}, {"prefix": "x-"}]}
    }
    findings = found(check_headers, {"forward_rules": rules})
    assert codes(findings) == ["headers-not-forwarded", "details-not-forwarded"]
    mended = yaml.safe_load(findings[0].mend)["forward_rules"]
    assert mended["disallowed_headers"] == patterns("cookie")
    mended["allowed_headers"]["patterns"] += rules["allowed_headers"]["patterns"]
    assert codes(found(check_headers, {"forward_rules": mended})) == []
    rules = {"disallowed_headers": {"patterns": [{"prefix": "content-"}]}}
    assert found(check_headers, {"forward_rules": rules})[0].mend == "forward_rules:      # without disallowed_headers"
    assert "those there are" not in found(check_headers, {"forward_rules": {}})[0].mend


def test_attributes_are_only_missed_by_telemetry() -> None:
    """One finding for each list of them."""
    assert codes(found(check_attributes)) == []
    assert codes(found(check_attributes, telemetry=OTLP)) == ["attributes-not-sent"] * 2
    sent = {
        "request_attributes": ["xds.route_name"],
        "response_attributes": ["upstream.address", "upstream.tls_version"],
    }
    assert codes(found(check_attributes, sent, telemetry=OTLP)) == []


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        ({"disallow_all": True}, ["mutation-refused"]),
        ({}, []),
        ({"disallow_all": False}, []),
        ({"disallow_all": True, "allow_expression": {"regex": "traceparent"}}, []),
        ({"disallow_all": True, "allow_expression": {"regex": "trace"}}, ["mutation-refused"]),
        ({"disallow_expression": {"regex": ".*"}, "allow_expression": {"regex": "traceparent"}}, ["mutation-refused"]),
        ({"disallow_expression": {"regex": "x-.*"}}, []),
    ],
)
def test_headers_can_only_be_written_if_envoy_lets_them(rules: dict[str, Any], expected: list[str]) -> None:
    """Only where there is one to write; what is disallowed by name outdoes what is allowed, and that disallow_all."""
    telemetry = OTLP | {"inject_context": True}
    findings = found(check_mutation, {"mutation_rules": rules}, telemetry=telemetry)
    assert codes(findings) == expected
    for each in findings:
        assert codes(found(check_mutation, yaml.safe_load(each.mend), telemetry=telemetry)) == []
    assert codes(found(check_mutation, {"mutation_rules": rules}, telemetry=OTLP)) == []
