from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support.configuration import load_telemetry, problems_of

OTLP = "telemetry.exporters.otlp"
LABELS = "telemetry.custom_labels"
PROMETHEUS = "telemetry.exporters.prometheus"
URL = "http://x:4318/v1/traces"


def otlp(**settings: Any) -> dict[str, Any]:
    return {"exporters": {"otlp": [{"name": "a"} | settings]}}


def prometheus(*exporters: dict[str, Any]) -> dict[str, Any]:
    return {"exporters": {"prometheus": list(exporters)}}


def overriding(**choices: list[str]) -> dict[str, Any]:
    exporters = {"otlp": [{"name": "tempo", "host": "x"}], "prometheus": [{"name": "local"}]}
    return {"exporters": exporters, "overrides": [{}, {"exporters_override": choices}]}


@pytest.mark.parametrize(
    ("telemetry", "lines"),
    [
        (
            {"exporters": {"otlp": [{"name": "a", "host": "x"}], "prometheus": [{"name": "a"}, {"name": "b"}]}},
            [f"0:1: {OTLP}[0].name: 'a' is the name of another: {PROMETHEUS}[0].name (0:1)",
             f"0:1: {PROMETHEUS}[1].port: 0.0.0.0 port 9090 is taken: {PROMETHEUS}[0] (0:1)"],
        ),
        (prometheus({"name": "a", "port": "9090", "listen_ip": "127.0.0.1"}, {"name": "b"}),
         [f"0:1: {PROMETHEUS}[1].port: 0.0.0.0 port 9090 is taken: {PROMETHEUS}[0] (0:1)"]),
        (otlp(), [f"0:1: {OTLP}[0]: where to is missing: set host, or traces.endpoint and metrics.endpoint"]),
        (otlp(port=4317, disable_traces=True),
         [f"0:1: {OTLP}[0].port: a port goes with a host; the port of an endpoint stands in its URL",
          (f"0:1: {OTLP}[0]: where metrics go to is missing: "
          "set metrics.endpoint or host, or disable_metrics: true")]),
        (otlp(traces={"endpoint": URL}),
         [(f"0:1: {OTLP}[0]: where metrics go to is missing: "
          "set metrics.endpoint or host, or disable_metrics: true")]),
        (otlp(host="x", traces={"endpoint": URL}, metrics={"endpoint": URL}),
         [f"0:1: {OTLP}[0].traces.endpoint: an exporter has a host, or endpoints, and not both",
          f"0:1: {OTLP}[0].metrics.endpoint: an exporter has a host, or endpoints, and not both"]),
        (otlp(host="x", endpoint=URL),
         [f"0:1: {OTLP}[0].endpoint: an endpoint is of one signal: set traces.endpoint and metrics.endpoint"]),
        (otlp(host="x", encoding="json"), [f"0:1: {OTLP}[0].encoding: encoding json is for HTTP: set use_http: true"]),
        (otlp(host="x", use_http=True, metrics={"encoding": "json", "use_http": False}),
         [f"0:1: {OTLP}[0].metrics.encoding: encoding json is for HTTP: set use_http: true"]),
        (otlp(host="x", tls={"key_file": "/no/key"}, traces={"tls": {"cert_file": "a\0b"}}),
         [f"0:1: {OTLP}[0].tls.key_file: a key_file goes with a cert_file",
          f"0:1: {OTLP}[0].traces.tls.cert_file: a cert_file goes with a key_file",
          f"0:1: {OTLP}[0].tls.key_file: cannot read '/no/key': No such file or directory",
          f"0:1: {OTLP}[0].traces.tls.cert_file: cannot read 'a\\x00b': it holds a NUL"]),
        (overriding(metric_exporters=["locl", "tempo"], trace_exporters=["local"]),
         [("0:1: telemetry.overrides[1].exporters_override.metric_exporters[0]: "
          "'locl' is no name of an exporter; did you mean local? There are local, tempo"),
          ("0:1: telemetry.overrides[1].exporters_override.trace_exporters[0]: "
          "'local' is no name of an OTLP exporter; there are tempo")]),
        ({"overrides": [{"exporters_override": {"trace_exporters": ["x"]}}]},
         [("0:1: telemetry.overrides[0].exporters_override.trace_exporters[0]: "
          "'x' is no name of an OTLP exporter; there are none")]),
        ({"custom_labels": [{"name": "team", "value": "x"}, {"name": "team", "header": "x"}]},
         [f"0:1: {LABELS}[1].name: 'team' is the name of another: {LABELS}[0] (0:1)"]),
        ({"custom_labels": [{"name": "a"}, {"name": "b", "header": "x", "value": "y"},
                            {"name": "c", "value": "x", "headerKey": "y"}]},
         [f"0:1: {LABELS}[0]: a label has one of metadataKey, header and value, and not none",
          f"0:1: {LABELS}[1]: a label has one of metadataKey, header and value, and not header and value",
          f"0:1: {LABELS}[2].headerKey: it is a member of the JSON in a header: set header too"]),
        ({"queue": {"max_spans": 100}},
         ["0:1: telemetry.queue.max_spans: a batch of 512 spans does not fit a queue of 100"]),
        ({"queue": {"max_batch_spans": 9000}},
         ["0:1: telemetry.queue.max_batch_spans: a batch of 9000 spans does not fit a queue of 8192"]),
    ],
)  # fmt: skip
def test_what_cannot_work_together_is_said(tmp_path: Path, telemetry: dict[str, Any], lines: list[str]) -> None:
    """Each with its place, and what it meets."""
    assert problems_of(tmp_path, {"telemetry": telemetry}) == lines


@pytest.mark.parametrize(
    "telemetry",
    [
        prometheus({"name": "a", "listen_ip": "::"}, {"name": "b", "listen_ip": "0.0.0.0"}),  # noqa: S104 - no listener
        prometheus({"name": "a", "listen_ip": "127.0.0.1"}, {"name": "b", "listen_ip": "127.0.0.2"}),
        prometheus({"name": "a"}, {"name": "b", "port": 9091}),
        otlp(traces={"endpoint": URL}, disable_metrics=True),
        otlp(traces={"endpoint": URL}, metrics={"endpoint": URL}),
        otlp(host="::1", use_http=True, encoding="json"),
        otlp(host="x", encoding="json", traces={"use_http": True}, metrics={"use_http": True}),
        otlp(host="x", use_http=True, traces={"encoding": "json"}),
        otlp(host="x", use_http="true", encoding="json"),
        otlp(host="x", encoding="json", traces={"use_http": "yes"}, metrics={"use_http": 1}),
        otlp(traces={"endpoint": URL}, disable_metrics="true"),
        otlp(host="x", disable_traces=True, disable_metrics=True),
        overriding(metric_exporters=["local", "tempo"], trace_exporters=[]),
        {"custom_labels": [{"name": "a", "header": "x", "headerKey": "y"}]},
        {"queue": {"max_spans": 10, "max_batch_spans": 10}},
    ],
)
def test_what_can_work_together_is_accepted(tmp_path: Path, telemetry: dict[str, Any]) -> None:
    """Though some of it looks much like what can't."""
    assert load_telemetry(tmp_path, {"telemetry": telemetry}).model_fields_set == set(telemetry)


def test_files_that_are_there_are_accepted(tmp_path: Path) -> None:
    """As they are for now; what is in them is read later."""
    file = tmp_path / "file.pem"
    file.touch()
    tls = dict.fromkeys(("ca_file", "cert_file", "key_file"), str(file))
    assert load_telemetry(tmp_path, {"telemetry": otlp(host="x", tls=tls)}).exporters.otlp[0].tls is not None


@pytest.mark.parametrize(
    "telemetry",
    [
        {"exporters": {"otlp": {}, "prometheus": [1, {"name": 5, "listen_ip": [], "port": {}}]}},
        {"exporters": 5, "custom_labels": 5, "overrides": 5, "queue": 5},
        {"custom_labels": [5, {"name": []}], "queue": {"max_spans": "x"}},
        {"overrides": [{"exporters_override": 5}, {"exporters_override": {"trace_exporters": 5}}]},
        {"overrides": [{"exporters_override": {"metric_exporters": [5]}}]},
        otlp(host=5, tls=5, traces=5, metrics={"tls": {"ca_file": 5}}),
    ],
)  # fmt: skip
def test_what_is_of_another_type_is_said_by_the_schema_alone(tmp_path: Path, telemetry: dict[str, Any]) -> None:
    """And breaks nothing on the way."""
    lines = problems_of(tmp_path, {"telemetry": telemetry})
    assert all(" should be " in line or " is expected" in line or " is missing" in line or " has one of " in line
               for line in lines)  # fmt: skip
