from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support.configuration import load_telemetry, problems_of, warnings_of

ON: dict[str, Any] = {"telemetry": {}}


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"OTEL_SERVICE_NAME": "x"}, {"service_name": "x"}),
        (
            {"OTEL_RESOURCE_ATTRIBUTES": "service.name=a,service.version=1%2C2, k8s.pod.name = p ,team=%C3%BC,"},
            {"service_name": "a", "service_version": "1,2", "resource_attributes": {"k8s.pod.name": "p", "team": "ü"}},
        ),
        ({"OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=prod"}, {"deploy_env": "prod"}),
        ({"OTEL_RESOURCE_ATTRIBUTES": "deployment.environment=prod,service.name="}, {"deploy_env": "prod"}),
        ({"OTEL_RESOURCE_ATTRIBUTES": "service.name=a", "OTEL_SERVICE_NAME": "b"}, {"service_name": "b"}),
        ({"OTEL_TRACES_SAMPLER": "always_off"}, {"trace_sampler": "always_off"}),
        (
            {"OTEL_TRACES_SAMPLER": "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.25"},
            {"trace_sampler": "parentbased_traceidratio", "trace_sample_rate": 0.25},
        ),
        ({"OTEL_PROPAGATORS": "b3, tracecontext,b3"}, {"propagators": ("b3", "tracecontext")}),
        ({"OTEL_PROPAGATORS": "none"}, {"propagators": ()}),
        ({"OTEL_METRIC_EXPORT_INTERVAL": "60000"}, {"metric_reporting_period": 60}),
        ({"OTEL_SEMCONV_STABILITY_OPT_IN": "http,gen_ai_latest_experimental"}, {"vocabularies": ("latest",)}),
        ({"OTEL_SEMCONV_STABILITY_OPT_IN": "http"}, {"vocabularies": ("1.41",)}),
        ({"OTEL_METRICS_EXEMPLAR_FILTER": "always_off"}, {"exemplars": False}),
        ({"OTEL_METRICS_EXEMPLAR_FILTER": "trace_based"}, {"exemplars": True}),
    ],
)
def test_a_variable_says_what_it_says_to_an_sdk(
    tmp_path: Path, environ: dict[str, str], expected: dict[str, Any]
) -> None:
    """Where telemetry is on."""
    telemetry = load_telemetry(tmp_path, ON, environ=environ)
    assert {name: getattr(telemetry, name) for name in expected} == expected
    assert warnings_of(tmp_path, ON, environ=environ) == []


@pytest.mark.parametrize(
    ("variable", "text", "field", "value"),
    [
        ("OTEL_BSP_SCHEDULE_DELAY", "250", "delay_seconds", 0.25),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "1000", "max_spans", 1000),
        ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "100", "max_batch_spans", 100),
    ],
)
def test_the_batch_processors_variables_are_the_queues(
    tmp_path: Path, variable: str, text: str, field: str, value: float
) -> None:
    """Milliseconds there are seconds here."""
    telemetry = load_telemetry(tmp_path, ON, environ={variable: text})
    assert getattr(telemetry.queue, field) == value


@pytest.mark.parametrize(
    ("environ", "warned"),
    [
        (
            {"OTEL_RESOURCE_ATTRIBUTES": "a=b,c"},
            "key=value pairs with commas between them are expected; all of it is ignored",
        ),
        (
            {"OTEL_RESOURCE_ATTRIBUTES": "a=%FF"},
            "key=value pairs with commas between them are expected; all of it is ignored",
        ),
        (
            {"OTEL_TRACES_SAMPLER": "always"},
            (
                "'always' is ignored; did you mean always_on? There are always_on, always_off, traceidratio, "
                "parentbased_always_on, parentbased_always_off, parentbased_traceidratio"
            ),
        ),
        ({"OTEL_TRACES_SAMPLER_ARG": "0.5"}, "ignored: it is for a OTEL_TRACES_SAMPLER with a ratio"),
        ({"OTEL_PROPAGATORS": "baggage"}, "'baggage' is ignored; there are tracecontext, b3, b3multi and none"),
        ({"OTEL_METRIC_EXPORT_INTERVAL": "soon"}, "use milliseconds above 0, not 'soon', which is ignored"),
        ({"OTEL_METRIC_EXPORT_INTERVAL": "100"}, "whole seconds are expected; 1 s stand for 100 ms"),
        ({"OTEL_BSP_MAX_QUEUE_SIZE": "1.5"}, "use a whole number above 0, not '1.5', which is ignored"),
        ({"OTEL_BSP_SCHEDULE_DELAY": "-1"}, "use milliseconds above 0, not '-1', which is ignored"),
        ({"OTEL_BSP_EXPORT_TIMEOUT": "1"}, "not used here"),
        ({"OTEL_METRICS_EXEMPLAR_FILTER": "always_on"}, "exemplars are of sampled traces here: trace_based is used"),
        (
            {"OTEL_EXPORTER_OTLP_HEADERS": "a=secret"},
            "ignored: it is for an exporter that has an endpoint in the environment",
        ),
    ],
)
def test_what_cannot_be_read_is_ignored_with_a_warning(tmp_path: Path, environ: dict[str, str], warned: str) -> None:
    """As the specification asks for."""
    (name,) = environ
    assert warnings_of(tmp_path, ON, environ=environ) == [f"{name}: {warned}"]
    assert load_telemetry(tmp_path, ON, environ=environ).trace_sampler == "parentbased_traceidratio"


@pytest.mark.parametrize("text", ["2", "x", "-0.1", "nan"])
def test_a_ratio_that_is_none_is_ignored_with_a_warning(tmp_path: Path, text: str) -> None:
    """As if it were not there."""
    environ = {"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": text}
    assert warnings_of(tmp_path, ON, environ=environ) == [
        f"OTEL_TRACES_SAMPLER_ARG: a number from 0 to 1 is expected, not {text!r}; it is ignored"
    ]
    assert load_telemetry(tmp_path, ON, environ=environ).trace_sample_rate == 1.0


def test_variables_that_are_not_used_are_named_together(tmp_path: Path) -> None:
    """In one line: operators put many into a pod."""
    environ = {"OTEL_LOG_LEVEL": "debug", "OTEL_LOGS_EXPORTER": "otlp", "OTEL_NODE_IP": "", "OTHER": "x"}
    assert warnings_of(tmp_path, ON, environ=environ) == ["OTEL_LOGS_EXPORTER, OTEL_LOG_LEVEL: not used here"]


TRUEFOUNDRY = {
    "ENABLE_OTEL_METRICS": "true",
    "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "https://prometheus.example.com/api/v1/otlp/v1/metrics",
    "OTEL_EXPORTER_OTLP_METRICS_HEADERS": "Authorization=Bearer token",
    "LLM_GATEWAY_METADATA_LOGGING_KEYS": '["customer_id", "request-type"]',
}


def test_truefoundrys_variables_mean_here_what_they_mean_there(tmp_path: Path) -> None:
    """Metrics to an endpoint as it is, and members of the metadata that its callers send as labels."""
    telemetry = load_telemetry(tmp_path, environ=TRUEFOUNDRY)
    (exporter,) = telemetry.exporters.otlp
    assert (exporter.disable_traces, exporter.disable_metrics, exporter.traces) == (True, False, None)
    assert exporter.metrics is not None
    assert exporter.metrics.endpoint == TRUEFOUNDRY["OTEL_EXPORTER_OTLP_METRICS_ENDPOINT"]
    assert exporter.metrics.use_http
    assert exporter.metrics.headers == {"authorization": "Bearer token"}
    assert [(label.name, label.header, label.headerKey) for label in telemetry.custom_labels] == [
        ("llm_gateway_metadata_customer_id", "x-tfy-metadata", "customer_id"),
        ("llm_gateway_metadata_request_type", "x-tfy-metadata", "request-type"),
    ]
    assert warnings_of(tmp_path, environ=TRUEFOUNDRY) == []


def test_labels_add_to_those_of_a_file(tmp_path: Path) -> None:
    """And two of one name are a mistake, wherever each is from."""
    name = "llm_gateway_metadata_customer_id"
    labels = [{"name": "team", "header": "X-Team"}]
    telemetry = load_telemetry(tmp_path, {"telemetry": {"custom_labels": labels}}, environ=TRUEFOUNDRY)
    assert [label.header for label in telemetry.custom_labels] == ["x-team", "x-tfy-metadata", "x-tfy-metadata"]
    labels.append({"name": name, "value": "x"})
    (line,) = problems_of(tmp_path, {"telemetry": {"custom_labels": labels}}, environ=TRUEFOUNDRY)
    assert line == (
        f"LLM_GATEWAY_METADATA_LOGGING_KEYS[0].name: {name!r} is the name of another: telemetry.custom_labels[1] (0:1)"
    )


@pytest.mark.parametrize("text", ["customer_id", "{}", '["a", 5]', '[""]'])
def test_labels_that_are_no_list_of_names_are_refused(tmp_path: Path, text: str) -> None:
    """Metrics without them would be taken for those with them."""
    environ = TRUEFOUNDRY | {"LLM_GATEWAY_METADATA_LOGGING_KEYS": text}
    assert problems_of(tmp_path, environ=environ) == [
        'LLM_GATEWAY_METADATA_LOGGING_KEYS: a JSON list of names is expected, such as ["customer_id", "request_type"]'
    ]
