from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace
from support.records import JSON, STREAM
from support.samples import count

from extproc.config.forms import (
    RESERVED_LABELS,
    checked_buckets,
    checked_different,
    checked_endpoint,
    checked_header_name,
    checked_headers,
    checked_host,
    checked_label_name,
    checked_metric_key,
    checked_number,
    checked_some,
)
from extproc.errors import SettingsError
from extproc.usage import UsageSource


@pytest.mark.parametrize("headers", [{}, {"X-Api-Key": "a b;c=d"}, {"authorization": "Bearer x"}, {"x": ""}])
def test_headers_that_can_be_sent_are_accepted(headers: dict[str, str]) -> None:
    """Over HTTP and gRPC alike."""
    assert checked_headers(headers) == headers


@pytest.mark.parametrize(
    "headers",
    [
        {"a b": "secret"},
        {"": "secret"},
        {"a:": "secret"},
        {"a": "secret\n"},
        {"a": "secretü"},
        {"a": "secret\r\nb: c"},
        {"a": " secret"},
    ],
)
def test_headers_that_cannot_be_sent_are_refused_without_their_value(headers: dict[str, str]) -> None:
    """It may be a credential."""
    with pytest.raises(SettingsError) as raised:
        checked_headers(headers)
    assert "secret" not in str(raised.value)


def test_the_name_of_a_header_is_as_envoy_tells_it() -> None:
    """In lower case."""
    assert checked_header_name("X-Team") == "x-team"
    with pytest.raises(SettingsError, match="'x team' is no name of a header"):
        checked_header_name("x team")


@pytest.mark.parametrize("name", ["team", "_x", "llm_gateway_metadata_a", "A1"])
def test_a_label_may_have_such_a_name(name: str) -> None:
    """As Prometheus has them."""
    assert checked_label_name(name) == name


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("1a", "is no name of a label"),
        ("a-b", "is no name of a label"),
        ("", "is no name of a label"),
        ("__a", "is no name of a label"),
        ("ü", "is no name of a label"),
        ("llm", "is taken: metrics have a label of their own by this name"),
        ("model", "is taken"),
        ("le", "is taken"),
        ("quantile", "is taken"),
        ("gen_ai_request_model", "is taken"),
        ("error_type", "is taken"),
        ("extproc_group", "is taken"),
    ],
)
def test_a_label_may_not_have_such_a_name(name: str, said: str) -> None:
    """Prometheus refuses it, or the counters have it."""
    with pytest.raises(SettingsError, match=said):
        checked_label_name(name)


def test_what_is_reserved_is_what_metrics_have() -> None:
    """A label that is there twice is a series that is there twice, and costs Prometheus the whole scrape."""
    vocabularies = ["legacy", "1.41", "latest"]
    override: dict[str, Any] = {"exporters_override": {"metric_exporters": []}}
    estimated = replace(JSON, usage_source=UsageSource.ESTIMATED)
    families = count(JSON, STREAM, estimated, vocabularies=vocabularies, overrides=[override]).collect()
    found = {
        label
        for family in families
        if family.name.startswith(("ai_", "gen_ai_"))
        for sample in family.samples
        for label in sample.labels
    }
    assert found - RESERVED_LABELS == set()
    assert RESERVED_LABELS - found == {"quantile"}


@pytest.mark.parametrize("key", ["my.attr", "1", "a-b", "_a", "leopard"])
def test_an_attribute_of_metrics_may_have_such_a_key(key: str) -> None:
    """As OpenTelemetry has them."""
    assert checked_metric_key(key) == key


@pytest.mark.parametrize(
    ("key", "label"), [("le", "le"), ("quantile", "quantile"), ("__name__", "__name__"), ("._x", "__x"),
                       ("extproc.group", "extproc_group")]
)  # fmt: skip
def test_an_attribute_of_metrics_may_not_have_such_a_key(key: str, label: str) -> None:
    """It would break histograms, or the scrape."""
    with pytest.raises(SettingsError, match=f"'{key}' cannot be a label of metrics: in Prometheus {label} has"):
        checked_metric_key(key)


@pytest.mark.parametrize(
    ("host", "checked"),
    [("localhost", "localhost"), ("a.b-c.svc", "a.b-c.svc"), ("10.0.0.1", "10.0.0.1"), ("::1", "::1"), ("[::1]", "::1"),
     ("fe80::1%eth0", "fe80::1%eth0")],
)  # fmt: skip
def test_a_host_is_a_name_or_an_address(host: str, checked: str) -> None:
    """An address may have the brackets it has in a URL."""
    assert checked_host(host) == checked


@pytest.mark.parametrize("host", ["", "a b", "http://a", "a:4317", "a/b"])
def test_a_host_is_nothing_else(host: str) -> None:
    """A port is its own setting."""
    with pytest.raises(SettingsError, match=f"{host!r} is no host: use a name or an address, without scheme and port"):
        checked_host(host)


def test_a_host_that_holds_a_credential_is_not_repeated() -> None:
    """Somebody took it for a URL."""
    with pytest.raises(SettingsError, match=r"^this is no host"):
        checked_host("user:secret@host")


@pytest.mark.parametrize("url", ["http://x", "https://x.y:4318/v1/traces", "http://[::1]:4317", "http://10.0.0.1/a/b"])
def test_an_endpoint_is_a_url(url: str) -> None:
    """Complete, of http or https."""
    assert checked_endpoint(url) == url


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("x:4317", "'x:4317' is no http or https URL"),
        ("grpc://x", "'grpc://x' is no http or https URL"),
        ("http://x:port", "'http://x:port' is no http or https URL"),
        ("http://[::1", r"'http://\[::1' is no http or https URL"),
        ("http://", "names no host"),
        ("http://x:0", "names no host, or a port that is none"),
        ("http://a b", "names no host"),
        ("http://user:secret@x", "^an endpoint has no user, query or fragment; credentials go into headers"),
        ("http://x?key=secret", "^an endpoint has no user"),
        ("http://x#secret", "^an endpoint has no user"),
        ("ftp://user:secret@x", "^this is no http or https URL"),
        ("http://user:secret@", "^this names no host"),
    ],
)
def test_an_endpoint_is_nothing_else(url: str, said: str) -> None:
    """And what may be a credential is not repeated."""
    with pytest.raises(SettingsError, match=said) as raised:
        checked_endpoint(url)
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize("bounds", [(), (1.0,), (0.1, 0.2, 5.0)])
def test_bounds_of_buckets_grow(bounds: tuple[float, ...]) -> None:
    """From above 0."""
    assert checked_buckets(bounds) == bounds


@pytest.mark.parametrize("bounds", [(0.0,), (-1.0,), (1.0, 1.0), (2.0, 1.0), (1.0, float("inf")), (float("nan"),)])
def test_bounds_that_do_not_grow_are_refused(bounds: tuple[float, ...]) -> None:
    """A histogram can't be made of them."""
    with pytest.raises(SettingsError, match="bounds are above 0 and grow"):
        checked_buckets(bounds)


def test_words_differ() -> None:
    """What is twice in a list is a slip."""
    assert checked_different(("a", "b")) == ("a", "b")
    with pytest.raises(SettingsError, match="'b' is there twice"):
        checked_different(("a", "b", "b"))
    assert checked_some(("a",)) == ("a",)
    with pytest.raises(SettingsError, match="one is needed at least"):
        checked_some(())


def test_a_truth_value_is_no_number() -> None:
    """Or a port that is `true` would be port 1."""
    assert checked_number(1) == 1
    with pytest.raises(SettingsError, match="a number is expected, not True"):
        checked_number(value=True)
