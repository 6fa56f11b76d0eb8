"""Configuration files and variables: any text is settings, or a sentence for a person that does not repeat a secret."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from fuzz.choices import Choices
from fuzz.target import Target

from extproc.config.loading import load_settings
from extproc.config.parsing import NotReadableError, parse
from extproc.errors import SettingsError

_NAMES = ("settings.yaml", "krakend.json")
_SECRET = "s3cr3t-h34d3r"  # noqa: S105 - made up
_HEADER = b'"authorization": "%s"' % _SECRET.encode()
_FOLDER = Path(tempfile.mkdtemp(prefix="fuzz-config-", dir="/dev/shm" if Path("/dev/shm").is_dir() else None))  # noqa: S108


def check(data: bytes) -> None:
    """Nothing but the documented errors is raised, and none is silent."""
    choices = Choices(data)
    kind = choices.number(len(_NAMES) + 1)
    text = choices.rest()
    if kind == len(_NAMES):
        _check_environment(text.decode("utf-8", "replace"))
        return
    file = _FOLDER / _NAMES[kind]
    try:
        parse(text.decode("utf-8", "replace"), expects_json=file.suffix == ".json")
    except NotReadableError as error:
        assert str(error)  # noqa: PT017 - what follows is another way in
    file.write_bytes(text)
    try:
        load_settings({}, {}, [file], mounted=None)
    except SettingsError as error:
        assert str(error).strip()  # noqa: PT017 - nothing follows
        # Where it is what it was, the value of a header, and no name.
        assert text.count(_SECRET.encode()) != 1 or _HEADER not in text or _SECRET not in str(error)  # noqa: PT017 - as above


def _check_environment(text: str) -> None:
    pairs = (line.partition("=") for line in text.splitlines())
    environ = {name: value for name, _, value in pairs if name.startswith(("EXTPROC_", "OTEL_")) and "\0" not in value}
    try:
        load_settings({}, environ, mounted=None)
    except SettingsError as error:
        assert str(error).strip()  # noqa: PT017 - nothing follows


def seeds() -> list[bytes]:
    """Return settings of ours and of others, whole and broken."""
    telemetry = {
        "custom_labels": [{"name": "team", "header": "x-team"}],
        "exporters": {"otlp": [{"name": "a", "host": "h", "headers": {"authorization": _SECRET}}]},
        "layers": {"global": {"disable_propagation": True}, "proxy": {"metrics_static_attributes": [{"key": "a"}]}},
    }
    krakend = {
        "version": 3,
        "telemetry/opentelemetry": telemetry,
        "extra_config": {"telemetry/logging": {"level": "X"}},
    }
    kgateway = "apiVersion: gateway.kgateway.dev/v1alpha1\nkind: TrafficPolicy\nspec:\n  ai: {}\n"
    texts = [
        "max_body_bytes: 5000\nlisten: unix:/a.sock\nlog_level: error\n",
        "a: &a [1, 2]\nb: *a\n---\nc: !!int 5\n",
        "detection_rules:\n- authority: '*.example.com'\n  flavour: openai_chat\n  provider: x\n",
        "rate_limit:\n  charges:\n  - key: a\n    type: total_tokens\n    cel: 'input_tokens * 2u'\n",
        kgateway,
        "x: " + "[" * 90,
        "date: 2020-01-01\nn: 0o17\nf: .inf\n? [a]\n: b\n",
    ]
    variables = [
        'EXTPROC_USAGE={"estimate": "off"}\nEXTPROC_METADATA_NAMESPACES=a, b\nEXTPROC_WORKERS=auto',
        "OTEL_EXPORTER_OTLP_ENDPOINT=http://h:4317\nOTEL_EXPORTER_OTLP_HEADERS=a=b,c=%20d\nOTEL_SERVICE_NAME=x",
        "OTEL_TRACES_SAMPLER=traceidratio\nOTEL_TRACES_SAMPLER_ARG=0.5\nOTEL_PROPAGATORS=b3,tracecontext",
        "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL=http/protobuf\nOTEL_RESOURCE_ATTRIBUTES=a=b,c=d\nOTEL_BSP_SCHEDULE_DELAY=5",
        "OTEL_METRICS_EXPORTER=none\nOTEL_EXPORTER_OTLP_METRICS_TIMEOUT=5\nOTEL_METRIC_EXPORT_INTERVAL=x",
    ]
    return [
        *(b"\2" + each.encode() for each in variables),
        *(b"\0" + text.encode() for text in texts),
        *(b"\1" + json.dumps(each).encode() for each in (krakend, {"telemetry": telemetry}, {"extra_config": krakend})),
    ]


WORDS = (b"telemetry", b"exporters", b"layers", b"custom_labels", b"rate_limit", b"charges", b"detection_rules",
         b"extra_config", b"kind: ", b"apiVersion: ", b"\n- ", b": ", b"&a ", b"*a", b"!!", b"---\n",
         b"<<: ", b"OTEL_EXPORTER_OTLP_", b"EXTPROC_", b"=", b"%20")  # fmt: skip
MODULES = ("extproc.config.",)
TARGET = Target("config", check, seeds, MODULES, WORDS, is_json=True, max_input_bytes=1024)
