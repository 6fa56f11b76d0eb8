"""OpenTelemetry's environment variables, and TrueFoundry's, in our schema.

Owns: which variables there are, how their values are read, and what is done with one that cannot be read: as the
specification has it, it is ignored with a warning, but for what would open a wrong port. Values of headers are repeated
nowhere.

https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/
https://opentelemetry.io/docs/specs/otel/protocol/exporter/
https://docs.truefoundry.com/gateway/prometheus-grafana-integration
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

from extproc.config.otel_exporter import EXPORTER_VARIABLES, read_exporter
from extproc.config.otel_values import Values
from extproc.config.settings import TELEMETRY_ENV_PREFIXES
from extproc.config.sources import Document, Origin, Remark

_SAMPLERS = (
    "always_on",
    "always_off",
    "traceidratio",
    "parentbased_always_on",
    "parentbased_always_off",
    "parentbased_traceidratio",
)
_PROPAGATORS = ("tracecontext", "b3", "b3multi")

# The header in which TrueFoundry's callers send metadata, as a JSON object of strings:
# https://www.truefoundry.com/docs/ai-gateway/request-headers
_METADATA_HEADER = "x-tfy-metadata"
_LABEL_KEYS = "LLM_GATEWAY_METADATA_LOGGING_KEYS"

_RESOURCE_FIELDS = {
    "service.name": "service_name",
    "service.version": "service_version",
    "deployment.environment": "deploy_env",
    "deployment.environment.name": "deploy_env",
}

_BSP_COUNTS = {"OTEL_BSP_MAX_QUEUE_SIZE": "max_spans", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "max_batch_spans"}

USED_VARIABLES = EXPORTER_VARIABLES | _BSP_COUNTS.keys() | {
    "OTEL_SDK_DISABLED", "OTEL_SERVICE_NAME", "OTEL_RESOURCE_ATTRIBUTES", "OTEL_TRACES_SAMPLER",
    "OTEL_TRACES_SAMPLER_ARG", "OTEL_PROPAGATORS", "OTEL_METRIC_EXPORT_INTERVAL", "OTEL_BSP_SCHEDULE_DELAY",
    "OTEL_SEMCONV_STABILITY_OPT_IN", "OTEL_METRICS_EXEMPLAR_FILTER", _LABEL_KEYS,
}  # fmt: skip


def read_environment(environ: Mapping[str, str]) -> Document:
    """Return what the environment says of telemetry.

    Its values are for where telemetry is on. Its exporters and labels, which are lists that add to others, turn it on.
    """
    document = Document(Origin("the environment"))
    values = Values(environ, document)
    telemetry: dict[str, Any] = {}
    _read_resource(values, telemetry)
    _read_sampler(values, telemetry)
    _read_propagators(values, telemetry)
    _read_times_and_sizes(values, telemetry)
    _read_conventions(values, telemetry)
    exporters = read_exporter(values)
    if exporters:
        telemetry["exporters"] = exporters
    labels = _read_labels(values)
    if labels:
        telemetry["custom_labels"] = labels
    document.values["telemetry"] = telemetry
    unused = sorted(
        name
        for name in environ
        if name.startswith(TELEMETRY_ENV_PREFIXES) and environ[name] and name not in USED_VARIABLES
    )
    if unused:
        document.warnings.append(Remark(Origin(", ".join(unused)), "not used here"))
    return document


def _read_resource(values: Values, telemetry: dict[str, Any]) -> None:
    name = "OTEL_RESOURCE_ATTRIBUTES"
    attributes: dict[str, str] = {}
    text = values.text(name)
    if text:
        try:
            attributes = _decoded_attributes(text)
        except ValueError:
            values.warn(name, "key=value pairs with commas between them are expected; all of it is ignored")
    for key, value in attributes.items():
        field = _RESOURCE_FIELDS.get(key)
        if field is None:
            telemetry.setdefault("resource_attributes", {})[key] = value
            values.note(name, "resource_attributes", key)
        elif value:
            telemetry[field] = value
            values.note(name, field)
    service = values.text("OTEL_SERVICE_NAME")
    if service:
        telemetry["service_name"] = service
        values.note("OTEL_SERVICE_NAME", "service_name")


def _decoded_attributes(text: str) -> dict[str, str]:
    """Return attributes as W3C Baggage has them; raise ValueError if one is none."""
    attributes = {}
    for pair in text.split(","):
        key, sign, value = pair.partition("=")
        if not pair.strip():
            continue
        if not sign or not key.strip():
            raise ValueError(pair)
        attributes[unquote(key.strip())] = unquote(value.strip(), errors="strict")
    return attributes


def _read_sampler(values: Values, telemetry: dict[str, Any]) -> None:
    name, argument = "OTEL_TRACES_SAMPLER", "OTEL_TRACES_SAMPLER_ARG"
    sampler = values.choice(name, _SAMPLERS)
    if sampler:
        telemetry["trace_sampler"] = sampler
        values.note(name, "trace_sampler")
    text = values.text(argument)
    if not text:
        return
    if sampler is None or not sampler.endswith("ratio"):
        values.warn(argument, f"ignored: it is for a {name} with a ratio")
        return
    try:
        rate = float(text)
    except ValueError:
        rate = math.nan
    if 0 <= rate <= 1:
        telemetry["trace_sample_rate"] = rate
        values.note(argument, "trace_sample_rate")
    else:
        values.warn(argument, f"a number from 0 to 1 is expected, not {text!r}; it is ignored")


def _read_propagators(values: Values, telemetry: dict[str, Any]) -> None:
    name = "OTEL_PROPAGATORS"
    words = values.words(name)
    if not words:
        return
    known: list[str] = []
    for word in dict.fromkeys(words):
        if word in _PROPAGATORS:
            known.append(word)
        elif word != "none":
            values.warn(name, f"{word!r} is ignored; there are {', '.join(_PROPAGATORS)} and none")
    if known or words == ["none"]:
        telemetry["propagators"] = known
        values.note(name, "propagators")


def _read_times_and_sizes(values: Values, telemetry: dict[str, Any]) -> None:
    interval = values.number("OTEL_METRIC_EXPORT_INTERVAL", "milliseconds above 0")
    if interval:
        telemetry["metric_reporting_period"] = max(1, round(interval / 1000))
        values.note("OTEL_METRIC_EXPORT_INTERVAL", "metric_reporting_period")
        if interval % 1000:
            used = telemetry["metric_reporting_period"]
            values.warn(
                "OTEL_METRIC_EXPORT_INTERVAL", f"whole seconds are expected; {used} s stand for {interval:g} ms"
            )
    queue: dict[str, Any] = {}
    delay = values.number("OTEL_BSP_SCHEDULE_DELAY", "milliseconds above 0")
    if delay:
        queue["delay_seconds"] = delay / 1000
        values.note("OTEL_BSP_SCHEDULE_DELAY", "queue", "delay_seconds")
    for name, field in _BSP_COUNTS.items():
        count = values.number(name, "a whole number above 0", is_whole=True)
        if count:
            queue[field] = int(count)
            values.note(name, "queue", field)
    if queue:
        telemetry["queue"] = queue


def _read_conventions(values: Values, telemetry: dict[str, Any]) -> None:
    # It lists the areas of which newer names are wanted; the others are not ours.
    if "gen_ai_latest_experimental" in values.words("OTEL_SEMCONV_STABILITY_OPT_IN"):
        telemetry["vocabularies"] = ["latest"]
        values.note("OTEL_SEMCONV_STABILITY_OPT_IN", "vocabularies")
    name = "OTEL_METRICS_EXEMPLAR_FILTER"
    wanted = values.choice(name, ("trace_based", "always_off", "always_on"))
    if wanted:
        telemetry["exemplars"] = wanted != "always_off"
        values.note(name, "exemplars")
    if wanted == "always_on":
        values.warn(name, "exemplars are of sampled traces here: trace_based is used")


def _read_labels(values: Values) -> list[dict[str, str]]:
    text = values.text(_LABEL_KEYS)
    if not text:
        return []
    try:
        keys = json.loads(text)
    except ValueError:
        keys = None
    if not isinstance(keys, list) or not all(isinstance(key, str) and key for key in keys):
        values.refuse(_LABEL_KEYS, 'a JSON list of names is expected, such as ["customer_id", "request_type"]')
        return []
    values.note(_LABEL_KEYS, "custom_labels")
    return [
        {
            "name": f"llm_gateway_metadata_{re.sub('[^A-Za-z0-9_]', '_', key)}",
            "header": _METADATA_HEADER,
            "headerKey": key,
        }
        for key in keys
    ]
