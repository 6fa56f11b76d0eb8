from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.dumps import dump_of, expected_of, stats_of, view_of

from extproc.demo.bootstrap import Bootstrap
from extproc.doctor import checks
from extproc.doctor.checks import find_all
from extproc.doctor.envoy import read_envoy
from extproc.doctor.findings import Severity
from extproc.doctor.report import Looked, to_json, to_text
from extproc.doctor.sidecar import Sidecar
from extproc.errors import Reason

# What envoy-ratelimit.yaml says the sidecar has to charge.
CHARGES = [{"key": "hits_addend", "type": "total_tokens"}, {"key": "cost", "type": "cost_usd_micros"}]
SIDECAR = Sidecar(expected_of(rate_limit={"charges": CHARGES}), is_ready=True)
LABELS = {"custom_labels": [{"name": "team", "metadataKey": "team"}, {"name": "tenant", "header": "x-tenant"}]}
NEEDY = Sidecar(
    expected_of(telemetry=LABELS | {"inject_context": True, "exporters": {"otlp": [{"name": "a", "host": "x"}]}}),
    is_ready=True,
)
FILES = ("envoy.yaml", "envoy-zero-body.yaml", "envoy-tracing.yaml", "envoy-ratelimit.yaml")
DUMPS = {file: dump_of(Bootstrap(file)) for file in FILES}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


def places(document: Any) -> list[tuple[Any, Any]]:
    """Return all members of all objects and lists of a document, as container and key."""
    found: list[tuple[Any, Any]] = []
    todo = [document]
    while todo:
        each = todo.pop()
        keys = list(each) if isinstance(each, dict) else list(range(len(each)))
        found += [(each, key) for key in keys]
        todo += [each[key] for key in keys if isinstance(each[key], dict | list)]
    return found


@pytest.mark.parametrize("file", FILES)
def test_nothing_is_wrong_with_our_own(file: str) -> None:
    """As they stand there, before they have run."""
    assert list(find_all(view_of(Bootstrap(file)), SIDECAR)) == []


def test_causes_are_told_before_what_follows_of_them() -> None:
    """Who mends one thing after the other begins with the first."""
    configured = Bootstrap()
    del configured._cluster("extproc")["typed_extension_protocol_options"]
    stats = {"http.gateway.ext_proc.streams_started": 1.0, "http.gateway.ext_proc.streams_failed": 1.0}
    found = [each.code for each in find_all(view_of(configured, stats=stats), SIDECAR)]
    assert found == ["cluster-not-http2", "streams-failing"]


@given(st.data())
def test_no_shape_of_a_document_is_too_strange(data: st.DataObject) -> None:
    """An Envoy may be newer, older, or built with other extensions: what is not understood is passed over."""
    dump = copy.deepcopy(DUMPS[data.draw(st.sampled_from(FILES))])
    for _ in range(data.draw(st.integers(1, 3))):
        container, key = data.draw(st.sampled_from(places(dump)))
        container[key] = data.draw(JSON)
    envoy = read_envoy(dump, data.draw(JSON), data.draw(st.just(stats_of({})) | JSON), data.draw(JSON))
    found = list(find_all(envoy, NEEDY))
    assert "check-failed" not in {each.code for each in found}
    looked = Looked("x", "y")
    assert to_text(found, looked, columns=80)
    assert json.loads(to_json(found, looked, 0))


@given(JSON)
def test_anything_can_answer_in_envoys_place(document: Any) -> None:
    """And is an Envoy without listeners then."""
    assert "check-failed" not in {each.code for each in find_all(read_envoy(document, document, document), SIDECAR)}


def test_a_check_that_fails_leaves_the_others_be(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bug in one must not hide what the rest finds; and it repeats nothing of what it read."""

    def check_timeout(_attached: object) -> Any:
        raise ValueError("Bearer hunter2")

    monkeypatch.setattr(checks, "check_timeout", check_timeout)
    configured = Bootstrap()
    del configured.ext_proc["failure_mode_allow"]
    found = list(find_all(view_of(configured), SIDECAR))
    assert [(each.code, each.severity) for each in found] == [
        ("check-failed", Severity.NOTE),
        ("failure-mode-closed", Severity.WARNING),
    ]
    assert "check_timeout" in found[0].meaning
    assert "hunter2" not in found[0].meaning


def test_without_an_envoy_the_sidecar_is_looked_at() -> None:
    """There may be something to find."""
    sick = Sidecar(expected_of(), is_ready=False, samples=(("extproc_sink_errors_total", {"sink": Reason.EMPTY}, 1.0),))
    assert [each.code for each in find_all(None, sick)] == ["sidecar-not-ready", "sink-errors"]


def test_no_secret_of_a_configuration_is_repeated() -> None:
    """Routes add credentials of providers to requests, and a dump has them in plain text."""
    configured = Bootstrap()
    for name in ("failure_mode_allow", "message_timeout", "metadata_options", "forward_rules"):
        del configured.ext_proc[name]
    secret = {"header": {"key": "authorization", "value": "Bearer hunter2"}}
    for each in (configured.virtual_host, *configured.virtual_host["routes"]):
        each["request_headers_to_add"] = [secret]
    configured.ext_proc["grpc_service"]["initial_metadata"] = [{"key": "x", "value": "hunter2"}]
    found = list(find_all(view_of(configured), NEEDY))
    assert len(found) > 4
    assert "hunter2" not in to_text(found, Looked("", ""), columns=80)
