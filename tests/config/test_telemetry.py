from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support.configuration import problems_of

from extproc.config.settings import Settings
from extproc.config.telemetry import GlobalLayer, Layers, Telemetry

FULL: dict[str, Any] = {
    "service_name": "x",
    "resource_attributes": {"a": "b"},
    "vocabularies": ["1.41", "latest"],
    "propagators": ["tracecontext", "b3"],
    "skip_paths": ["/foo/{bar}"],
    "custom_labels": [{"name": "team", "header": "X-Team", "headerKey": "a"}, {"name": "b", "metadataKey": "c:d"}],
    "histograms": {"time_buckets": [0.1, 1], "size_buckets": [128]},
    "exporters": {
        "prometheus": [{"name": "p", "port": 9999, "listen_ip": "::1"}],
        "otlp": [
            {"name": "a", "host": "x", "headers": {"k": "v"}, "tls": {"ca_file": "x"}},
            {"name": "b", "traces": {"endpoint": "http://x"}, "metrics": {"endpoint": "http://y", "encoding": "json"}},
        ],
    },
    "layers": {"global": {"report_headers": True}, "backend": {"traces": {"report_headers": True}}},
    "overrides": [{"path": "/x", "global": {"disable_traces": True}, "exporters_override": {"trace_exporters": []}}],
}


def test_settings_pass_from_process_to_process_whole() -> None:
    """As JSON, with `global` under its own name."""
    settings = Settings(telemetry=Telemetry.model_validate(FULL))
    told = settings.model_dump(mode="json")
    assert told["telemetry"]["layers"]["global"]["report_headers"] is True
    assert told["telemetry"]["overrides"][0]["global"]["disable_traces"] is True
    assert Settings.model_validate(told) == settings
    assert Settings.model_validate_json(settings.model_dump_json()) == settings


def test_a_layer_has_the_name_python_leaves_it() -> None:
    """For whoever makes one without a document."""
    layer = GlobalLayer(report_headers=True)
    assert Layers.model_validate({"global_": layer}) == Layers.model_validate({"global": {"report_headers": True}})


def test_who_says_nothing_of_the_backend_gets_all_of_it() -> None:
    """And who says something gets that: as in KrakenD."""
    backend = Telemetry.model_validate({"layers": {"backend": {"metrics": {"disable_stage": True}}}}).layers.backend
    assert not backend.metrics.round_trip
    assert backend.traces.round_trip
    assert backend.traces.read_payload
    assert backend.traces.detailed_connection


def test_headers_are_in_no_representation() -> None:
    """They may be credentials."""
    telemetry = Telemetry.model_validate({"exporters": {"otlp": [{"name": "a", "headers": {"k": "secret"}}]}})
    assert "secret" not in repr(telemetry)


OTLP = "telemetry.exporters.otlp[0]"


def otlp(**settings: Any) -> dict[str, Any]:
    return {"exporters": {"otlp": [{"name": "a", "host": "x"} | settings]}}


@pytest.mark.parametrize(
    ("telemetry", "line"),
    [
        ({"trace_sample_rate": 1.5}, "0:1: trace_sample_rate: input should be less than or equal to 1, not 1.5"),
        ({"trace_sample_rate": -0.5}, "0:1: trace_sample_rate: input should be greater than or equal to 0, not -0.5"),
        ({"trace_sample_rate": "much"}, "0:1: trace_sample_rate: a number is expected, not 'much'"),
        ({"overrides": [{"exporters_override": {"trace_sample_rate": 2}}]},
         "0:1: overrides[0].exporters_override.trace_sample_rate: input should be less than or equal to 1, not 2"),
        ({"trace_sampler": "x"}, ("0:1: trace_sampler: input should be 'always_on', 'always_off', 'traceidratio', "
                                 "'parentbased_always_on', 'parentbased_always_off' or 'parentbased_traceidratio', "
                                 "not 'x'")),
        ({"metric_reporting_period": 0},
         "0:1: metric_reporting_period: input should be greater than or equal to 1, not 0"),
        # Times that no clock can wait for would end the thread that waits.
        ({"metric_reporting_period": 10**13},
         "0:1: metric_reporting_period: input should be less than or equal to 86400, not 10000000000000"),
        (otlp(custom_metric_reporting_period=10**13),
         ("0:1: exporters.otlp[0].custom_metric_reporting_period: input should be less than or equal to 86400, "
          "not 10000000000000")),
        ({"queue": {"delay_seconds": 1e30}},
         "0:1: queue.delay_seconds: input should be less than or equal to 3600, not 1e+30"),
        ({"queue": {"flush_seconds": 1e30}},
         "0:1: queue.flush_seconds: input should be less than or equal to 3600, not 1e+30"),
        (otlp(port=True), "0:1: exporters.otlp[0].port: a number is expected, not True"),
        ({"trace_sample_rate": True}, "0:1: trace_sample_rate: a number is expected, not True"),
        ({"vocabularies": []}, "0:1: vocabularies: one is needed at least"),
        ({"vocabularies": ["latest", "latest"]}, "0:1: vocabularies: 'latest' is there twice"),
        ({"propagators": ["b3", "b3"]}, "0:1: propagators: 'b3' is there twice"),
        ({"vocabularies": ["1.40"]}, "0:1: vocabularies[0]: input should be 'legacy', '1.41' or 'latest', not '1.40'"),
        ({"histograms": {"time_buckets": [2, 1]}},
         "0:1: histograms.time_buckets: bounds are above 0 and grow from each to the next"),
        ({"custom_labels": [{"name": "model", "value": "x"}]},
         "0:1: custom_labels[0].name: 'model' is taken: metrics have a label of their own by this name"),
        ({"layers": {"global": {"metrics_static_attributes": [{"key": "le", "value": "x"}]}}},
         ("0:1: layers.global.metrics_static_attributes[0]: 'le' cannot be a label of metrics: in Prometheus le has "
          "a meaning of its own")),
        ({"layers": {"globl": {}}},
         "0:1: layers.globl: no such setting; did you mean global? There are global, proxy, backend"),
        ({"layers": {"global": {"skip_headers": "x"}}},
         "0:1: layers.global.skip_headers: a list is expected, not 'x'"),
        ({"layers": {"global": {"semantic_convention": "1.0"}}},
         "0:1: layers.global.semantic_convention: input should be '' or '1.27', not '1.0'"),
        ({"layers": {"backend": {"traces": {"static_attributes": [{"key": "a"}]}}}},
         "0:1: layers.backend.traces.static_attributes[0].value: it is missing"),
        (otlp(port=0), "0:1: exporters.otlp[0].port: input should be greater than or equal to 1, not 0"),
        (otlp(prot=1), "0:1: exporters.otlp[0].prot: no such setting; did you mean port?"),
        (otlp(xyz=1), ("0:1: exporters.otlp[0].xyz: no such setting; there are name, host, port, "
                       "use_http, encoding, headers, compression, timeout_seconds, insecure, tls, traces, metrics, "
                       "disable_metrics, disable_traces, custom_metric_reporting_period")),
        (otlp(tls={"ca": "x"}),
         "0:1: exporters.otlp[0].tls.ca: no such setting; there are ca_file, cert_file, key_file"),
        (otlp(host="http://x"),
         "0:1: exporters.otlp[0].host: 'http://x' is no host: use a name or an address, without scheme and port"),
        (otlp(headers={"k": "sec\nret"}),
         "0:1: exporters.otlp[0].headers: the value of k has to be printable ASCII, without white space around it"),
        (otlp(headers={"k k": "secret"}),
         ("0:1: exporters.otlp[0].headers: the name of a header has letters, digits and !#$%&'*+-.^_`|~, "
         "and one here has others")),
        (otlp(headers={"k": 5}), "0:1: exporters.otlp[0].headers.k: a text is expected"),
        ({"resource_attributes": {"api_key": 12345}},
         "0:1: resource_attributes.api_key: a text is expected"),
        (otlp(headers="k=secret"), "0:1: exporters.otlp[0].headers: a mapping is expected"),
        (otlp(timeout_seconds=0), "0:1: exporters.otlp[0].timeout_seconds: input should be greater than 0, not 0"),
        ({"exporters": {"otlp": {"headers": {"k": "secret"}}}},
         "0:1: exporters.otlp: a list is expected, not a mapping"),
        ({"exporters": {"otlp": ["x" * 200]}},
         f"0:1: exporters.otlp[0]: a mapping is expected, not '{'x' * 99}..."),
        ({"queue": {"delay_seconds": float("inf")}},
         "0:1: queue.delay_seconds: input should be a finite number, not inf"),
    ],
)  # fmt: skip
def test_a_mistake_is_said_with_its_path_its_value_and_what_is_allowed(
    tmp_path: Path, telemetry: dict[str, Any], line: str
) -> None:
    """But for the values of headers, which may be credentials."""
    (found,) = problems_of(tmp_path, {"telemetry": telemetry})
    assert found == line.replace("0:1: ", "0:1: telemetry.", 1)


def test_all_mistakes_are_said_at_once(tmp_path: Path) -> None:
    """Those of one value, and those of two together."""
    telemetry = {
        "trace_sample_rate": 2,
        "exporters": {
            "otlp": [{"name": "a", "host": "x", "port": 70000, "traces": {"endpoint": "y"}}, {"name": "a"}],
        },
        "layer": {},
    }
    lines = problems_of(tmp_path, {"telemetry": telemetry, "listn": "x"})
    assert [line.split(": ")[1] for line in lines] == [
        "telemetry.trace_sample_rate",
        f"{OTLP}.port",
        f"{OTLP}.traces.endpoint",
        "telemetry.layer",
        "listn",
        "telemetry.exporters.otlp[1].name",
        f"{OTLP}.traces.endpoint",
        "telemetry.exporters.otlp[1]",
    ]
