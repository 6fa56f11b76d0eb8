from __future__ import annotations

from typing import Any

import pytest
from support.dumps import attached_of, codes, expected_of

from extproc.demo.bootstrap import Bootstrap
from extproc.doctor.reading import KEYS, check_access_log, check_names, names_read

LOG = {"@type": "t/v3.FileAccessLog"}


def configured_with(*texts: str, kind: str = "FileAccessLog") -> Bootstrap:
    configured = Bootstrap()
    log = {
        "typed_config": {"@type": f"t/v3.{kind}", "log_format": {"text_format_source": {"inline_string": list(texts)}}}
    }
    configured._connection_manager["access_log"] = [log]
    return configured


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ("%DYNAMIC_METADATA(a.b)%", [("a.b", "")]),
        ("x %DYNAMIC_METADATA(a:b:c):10% %DYNAMIC_METADATA(d:e)%", [("a", "b"), ("d", "e")]),
        ({"metadata": {"metadata_key": {"key": "a", "path": [{"key": "b"}, {"key": "c"}]}}}, [("a", "b")]),
        ({"metadata_key": {"key": "a"}}, [("a", "")]),
        ("%REQ(X)% %DYNAMIC_METADATA()%", []),
    ],
)
def test_metadata_is_named_in_formats_and_in_keys(document: Any, expected: list[tuple[str, str]]) -> None:
    """Of access logs and headers the one, of tags and rate limits the other."""
    assert list(names_read(document)) == expected


@pytest.mark.parametrize(
    ("text", "settings", "code", "said"),
    [
        ("%DYNAMIC_METADATA(ai.gateway)%", {}, "", ""),
        *((f"%DYNAMIC_METADATA(ai.gateway:{key})%", {}, "", "") for key in KEYS),
        ("%DYNAMIC_METADATA(ai.gateway:totl_tokens)%", {}, "metadata-key-misspelt", "did you mean total_tokens?"),
        ("%DYNAMIC_METADATA(ai.gateway:zzz)%", {}, "metadata-key-misspelt", "there are "),
        ("%DYNAMIC_METADATA(envoy.ratelimit:hits)%", {}, "metadata-key-misspelt", "did you mean hits_addend?"),
        ("%DYNAMIC_METADATA(ai.gatway:model)%", {}, "metadata-namespace-misspelt", "did you mean ai.gateway?"),
        (
            "%DYNAMIC_METADATA(ai.gateway)%",
            {"metadata_namespaces": ["mine"]},
            "metadata-namespace-misspelt",
            "mean mine?",
        ),
        ("%DYNAMIC_METADATA(ai.kgateway.io:model)%", {}, "metadata-namespace-misspelt", "did you mean ai."),
        ("%DYNAMIC_METADATA(envoy.filters.http.jwt_authn:sub)%", {}, "", ""),
        ("%DYNAMIC_METADATA(com.example.waf)%", {}, "", ""),
    ],
)
def test_a_name_that_is_none_is_told_with_the_nearest(text: str, settings: Any, code: str, said: str) -> None:
    """Envoy prints a dash for it, for ever; what other filters write is theirs."""
    found = list(check_names(attached_of(configured_with(text), **settings), expected_of(**settings)))
    assert codes(found) == ([code] if code else [])
    assert all(said in each.meaning for each in found)


def test_what_another_filter_writes_is_not_taken_for_a_slip() -> None:
    """However near it is."""
    configured = configured_with("%DYNAMIC_METADATA(ai.gateways:x)%")
    rule = {"on_present": {"metadata_namespace": "ai.gateways", "key": "x"}}
    other = {"name": "j", "typed_config": {"@type": "t/v3.JsonToMetadata", "request_rules": {"rules": [rule]}}}
    assert codes(check_names(attached_of(configured), expected_of())) == ["metadata-namespace-misspelt"]
    script = {
        "name": "l",
        "typed_config": {"@type": "t/v3.Lua", "code": "dynamicMetadata():set('ai.gateways', 'x', 1)"},
    }
    for each in (other, script):
        configured._connection_manager["http_filters"].insert(0, each)
        assert codes(check_names(attached_of(configured), expected_of())) == []
        del configured._connection_manager["http_filters"][0]


def test_names_are_looked_at_wherever_there_are_some() -> None:
    """In routes, virtual hosts and the manager, each with its place."""
    configured = Bootstrap()
    slip = {"header": {"key": "x", "value": "%DYNAMIC_METADATA(ai.gateway:modle)%"}}
    configured.virtual_host["routes"][1]["response_headers_to_add"] = [slip]
    configured.virtual_host["response_headers_to_add"] = [slip]
    configured._connection_manager["tracing"] = slip
    found = list(check_names(attached_of(configured), expected_of()))
    assert [each.where[0].removeprefix("listener gateway") for each in found] == [
        "",
        " / virtual host gateway / route openai-chat",
        " / gateway",
    ]


@pytest.mark.parametrize(
    ("configured", "expected"),
    [
        (Bootstrap(), []),
        (configured_with("%REQ(X)%"), ["access-log-without-metadata"]),
        (configured_with("%DYNAMIC_METADATA(envoy.ratelimit:hits_addend)%"), ["access-log-without-metadata"]),
        (configured_with("%REQ(X)%", kind="HttpGrpcAccessLogConfig"), []),
        (configured_with("%REQ(X)%", kind="Wasm"), []),
        (configured_with("%METADATA(DYNAMIC:ai.gateway:model)%"), []),
        (configured_with("%CEL(metadata.filter_metadata['ai.gateway']['model'])%"), []),
    ],
)
def test_an_access_log_without_tokens_is_noted(configured: Bootstrap, expected: list[str]) -> None:
    """But for those that send metadata by themselves, or may."""
    assert codes(check_access_log(attached_of(configured), expected_of())) == expected


def test_no_access_log_is_noted_too() -> None:
    """It is where most look first; that of the listener is one as well."""
    configured = Bootstrap()
    logs = configured._connection_manager.pop("access_log")
    assert codes(check_access_log(attached_of(configured), expected_of())) == ["access-log-without-metadata"]
    configured.listener["access_log"] = logs
    assert codes(check_access_log(attached_of(configured), expected_of())) == []
