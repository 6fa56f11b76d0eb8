from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from support.configuration import load, load_telemetry, problems_of

from extproc.config.loading import load_settings
from extproc.config.settings import DetectionRule, Settings
from extproc.errors import SettingsError
from extproc.providers.detect import FLAVOURS


def settings_of(flags: dict[str, Any], environ: dict[str, str], *files: Path) -> Settings:
    return load_settings(flags, environ, files).settings


def problems(*files: Path, flags: dict[str, Any] | None = None, environ: dict[str, str] | None = None) -> list[str]:
    with pytest.raises(SettingsError) as raised:
        load_settings(flags or {}, environ or {}, files)
    return str(raised.value).splitlines()


def test_flag_beats_environment_beats_file_beats_default(tmp_path: Path) -> None:
    """In this order, setting by setting."""
    file = tmp_path / "settings.yaml"
    file.write_text("drain_seconds: 1\nlog_level: error\nlisten: unix:/file.sock\nmax_body_bytes: 5000\n")
    environ = {"EXTPROC_DRAIN_SECONDS": "2", "EXTPROC_LISTEN": "unix:/env.sock", "EXTPROC_LOG_LEVEL": ""}
    settings = settings_of({"drain_seconds": 3.0, "listen": None}, environ, file)
    assert (settings.drain_seconds, settings.listen) == (3.0, "unix:/env.sock")
    assert (settings.log_level, settings.max_body_bytes) == ("error", 5000)
    assert settings.max_label_values == 200


def test_a_file_may_be_json_or_empty(tmp_path: Path) -> None:
    """JSON is YAML, and nothing is no setting."""
    file = tmp_path / "settings.json"
    file.write_text('{"metadata_namespaces": ["io.example"]}')
    assert settings_of({}, {}, file).metadata_namespaces == ("io.example",)
    file.write_text("# nothing yet\n")
    assert settings_of({}, {}, file) == Settings()


def test_kgateways_variables_keep_working_below_ours() -> None:
    """Whoever comes from there need not change the deployment first."""
    environ = {"LISTEN_ADDR": "unix-abstract:kgateway-ai-sock", "LOG_LEVEL": "DEBUG"}
    settings = settings_of({}, environ)
    assert (settings.listen, settings.log_level) == ("unix-abstract:kgateway-ai-sock", "debug")
    assert settings_of({}, environ | {"EXTPROC_LISTEN": "localhost:1"}).listen == "localhost:1"


def test_lists_are_separated_by_commas_in_the_environment() -> None:
    """With white space or without."""
    environ = {"EXTPROC_METADATA_NAMESPACES": "ai.gateway, io.example"}
    assert settings_of({}, environ).metadata_namespaces == ("ai.gateway", "io.example")


def test_every_mistake_is_said_at_once_with_its_source_and_what_is_allowed(tmp_path: Path) -> None:
    """One line each, from flag, environment and file alike."""
    file = tmp_path / "settings.yaml"
    file.write_text("max_event_bytes: 1\nlistn: x\nlog_level: loud\n")
    lines = problems(
        file,
        flags={"listen": "nowhere"},
        environ={"EXTPROC_DRAIN_SECONDS": "soon", "EXTPROC_MAX_LABEL_VALUES": "0"},
    )
    assert len(lines) == 6
    text = "\n".join(lines)
    assert "--listen: 'nowhere' is no address: use unix:/path, unix-abstract:name or host:port" in lines
    assert "EXTPROC_DRAIN_SECONDS: a number is expected" in text
    assert "EXTPROC_MAX_LABEL_VALUES: input should be greater than or equal to 1, not '0'" in lines
    assert f"{file}:1: max_event_bytes: input should be greater than or equal to 1024, not 1" in lines
    assert f"{file}:3: log_level: input should be 'debug', 'info', 'warning' or 'error', not 'loud'" in lines
    assert f"{file}:2: listn: no such setting; did you mean listen?\n" in text


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"a: 1\nlisten: 2026-99-99", ":2: not YAML: no valid date or number"),
        (b"[" * 20_000, ": it is nested deeper than 64 levels"),
        (b"a: [", ":1: not YAML: "),
        (b"- a\n- b\n", ":1: a mapping of settings to values is expected, not a list"),
    ],
)
def test_a_file_that_is_no_settings_is_refused(tmp_path: Path, content: bytes, said: str) -> None:
    """In one line, which names it."""
    file = tmp_path / "settings.yaml"
    file.write_bytes(content)
    (line,) = problems(file)
    assert line.startswith(f"{file}{said}")


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    """With its name, and the system's own word for it."""
    file = tmp_path / "settings.yaml"
    file.write_bytes(b"\xff\xfe\x00")
    assert problems(file) == [f"{file}: cannot read it: not UTF-8"]
    assert problems(tmp_path / "no.yaml") == [f"{tmp_path}/no.yaml: cannot read it: No such file or directory"]


@pytest.mark.parametrize("text", [",", "a,a", "a,envoy.ratelimit", " , b"])
def test_namespaces_are_names_that_differ(text: str) -> None:
    """And none of them is Envoy's own, which is written in any case."""
    (line,) = problems(environ={"EXTPROC_METADATA_NAMESPACES": text})
    assert line.startswith("EXTPROC_METADATA_NAMESPACES: ")
    assert "use names that differ" in line


@pytest.mark.parametrize(("text", "level"), [("INFO", "info"), ("Warn", "warning"), ("CRITICAL", "error")])
def test_log_levels_are_understood_as_others_write_them(text: str, level: str) -> None:
    """A LOG_LEVEL may have been set for the whole pod."""
    assert settings_of({}, {"LOG_LEVEL": text}).log_level == level


def test_a_message_size_beyond_grpcs_own_bound_is_refused() -> None:
    """In one line, and not when the server starts."""
    (line,) = problems(environ={"EXTPROC_MAX_MESSAGE_BYTES": str(2**31)})
    assert line.startswith("EXTPROC_MAX_MESSAGE_BYTES: input should be less than or equal to 2147483647")


def test_rules_of_detection_are_a_list_of_globs(tmp_path: Path) -> None:
    """In the file as they are, in the environment as JSON."""
    file = tmp_path / "settings.yaml"
    file.write_text("detection_rules:\n  - {authority: 'llm.*', provider: ours}\n  - {path: /x/*, llm: false}\n")
    ours, excluded = settings_of({}, {}, file).detection_rules
    assert ours == DetectionRule(authority="llm.*", provider="ours")
    assert (excluded.authority, excluded.path, excluded.llm) == ("*", "/x/*", False)
    environ = {"EXTPROC_DETECTION_RULES": '[{"authority": "llm.*", "provider": "ours"}]'}
    assert settings_of({}, environ, file).detection_rules == (ours,)


@pytest.mark.parametrize("section", ["usage", "prices", "rate_limit", "budgets", "telemetry", "listen_tls"])
def test_a_section_is_a_mapping_in_the_environment(section: str) -> None:
    """In JSON, as each of their descriptions says."""
    name = f"EXTPROC_{section.upper()}"
    assert problems(environ={name: "nope"}) == [f"{name}: a mapping in JSON is expected"]
    assert all("mapping" not in each for each in problems(environ={name: '{"nope": 1}'}))


@pytest.mark.parametrize(
    ("rules", "problem"),
    [
        ("[{}]", "EXTPROC_DETECTION_RULES[0]: a rule has to set provider, flavour or llm: false"),
        (
            '[{"llm": false}, {"provdier": "x"}]',
            (
                "EXTPROC_DETECTION_RULES[1].provdier: no such setting; did you mean provider? "
                "There are authority, path, provider, flavour, llm"
            ),
        ),
        (
            '[{"flavour": "openai_chatt"}]',
            "EXTPROC_DETECTION_RULES[0].flavour: 'openai_chatt' is no flavour; did you mean openai_chat?",
        ),
        (
            '[{"flavour": "gpt"}]',
            f"EXTPROC_DETECTION_RULES[0].flavour: 'gpt' is no flavour; there are {', '.join(FLAVOURS)}",
        ),
        ('[{"provider": ""}]', "EXTPROC_DETECTION_RULES[0].provider: string should have at least 1 character, not ''"),
        ("llm.*=ours", "EXTPROC_DETECTION_RULES: a list of rules in JSON is expected"),
        ('{"provider": "x"}', "EXTPROC_DETECTION_RULES: a list is expected, not a mapping"),
    ],
)
def test_a_rule_that_cannot_work_is_said_with_its_place(rules: str, problem: str) -> None:
    """Which rule, and what is allowed."""
    assert problems(environ={"EXTPROC_DETECTION_RULES": rules}) == [problem]


NOTHING = Path("/nowhere")


def test_telemetry_is_off_unless_something_asks_for_it() -> None:
    """A name that OpenTelemetry's variables give all containers of a pod is no such thing."""
    environ = {"OTEL_SERVICE_NAME": "x", "OTEL_RESOURCE_ATTRIBUTES": "broken", "OTEL_TRACES_SAMPLER": "broken"}
    loaded = load_settings({}, environ, (), NOTHING)
    assert loaded.settings.telemetry is None
    assert (loaded.warnings, loaded.notes) == ((), ())


def test_documents_are_merged_in_their_order(tmp_path: Path) -> None:
    """Mappings deeply; a list, or anything else, as a whole."""
    exporter = {"name": "a", "host": "a"}
    first = {
        "drain_seconds": 1,
        "telemetry": {
            "trace_sample_rate": 0.5,
            "layers": {"global": {"report_headers": True, "disable_traces": True}},
            "exporters": {"otlp": [exporter, {"name": "b", "host": "b"}], "prometheus": [{"name": "p"}]},
        },
    }
    second = {"telemetry": {"layers": {"global": {"disable_traces": False}}, "exporters": {"otlp": [exporter]}}}
    loaded = load(tmp_path, first, second)
    telemetry = loaded.settings.telemetry
    assert telemetry is not None
    assert loaded.settings.drain_seconds == 1
    assert telemetry.trace_sample_rate == 0.5
    assert telemetry.layers.global_.report_headers
    assert not telemetry.layers.global_.disable_traces
    assert [each.name for each in telemetry.exporters.otlp] == ["a"]
    assert [each.name for each in telemetry.exporters.prometheus] == ["p"]


def test_several_documents_in_one_file_are_merged_too(tmp_path: Path) -> None:
    """As YAML divides them."""
    loaded = load(tmp_path, "drain_seconds: 1\nlog_level: error\n---\n---\ndrain_seconds: 2\n")
    assert (loaded.settings.drain_seconds, loaded.settings.log_level) == (2, "error")


def test_our_variable_beats_opentelemetrys_beats_files(tmp_path: Path) -> None:
    """Setting by setting; exporters add up."""
    file = {
        "telemetry": {
            "service_name": "file",
            "trace_sample_rate": 0.1,
            "deploy_env": "file",
            "exporters": {"otlp": [{"name": "file", "host": "x"}]},
        }
    }
    environ = {
        "OTEL_SERVICE_NAME": "otel",
        "OTEL_TRACES_SAMPLER": "traceidratio",
        "OTEL_TRACES_SAMPLER_ARG": "0.2",
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://x:4318",
        "EXTPROC_TELEMETRY": '{"service_name": "ours"}',
    }
    telemetry = load_telemetry(tmp_path, file, environ=environ)
    assert (telemetry.service_name, telemetry.trace_sample_rate, telemetry.deploy_env) == ("ours", 0.2, "file")
    assert [each.name for each in telemetry.exporters.otlp] == ["file", "env"]


def test_our_variable_turns_telemetry_off(tmp_path: Path) -> None:
    """Whatever else asks for it."""
    environ = {"EXTPROC_TELEMETRY": "null", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://x:4318"}
    assert load(tmp_path, {"telemetry": {}}, environ=environ).settings.telemetry is None


def test_opentelemetrys_switch_turns_telemetry_off_with_a_word(tmp_path: Path) -> None:
    """What is configured is checked all the same."""
    environ = {"OTEL_SDK_DISABLED": "TRUE"}
    loaded = load(tmp_path, {"telemetry": {}}, environ=environ)
    assert loaded.settings.telemetry is None
    assert loaded.warnings == ("OTEL_SDK_DISABLED: telemetry is configured, and is off",)
    assert load(tmp_path, environ=environ).warnings == ()
    assert load(tmp_path, {"telemetry": {}}, environ={"OTEL_SDK_DISABLED": "false"}).settings.telemetry is not None
    assert problems_of(tmp_path, {"telemetry": {"trace_sample_rate": 2}}, environ=environ)


def test_what_kgateway_has_mounted_is_read_first(tmp_path: Path) -> None:
    """With a word on where it is from."""
    mounted = tmp_path / "mounted"
    mounted.mkdir()
    (mounted / "stats.json").write_text('{"customLabels": [{"name": "team", "metadataKey": "principal:team"}]}')
    (mounted / "tracing.json").write_text('{"insecure": true, "grpc": {"host": "jaeger", "port": 4317}}')
    loaded = load(tmp_path, {"telemetry": {"service_name": "x"}})
    telemetry = loaded.settings.telemetry
    assert telemetry is not None
    assert telemetry.service_name == "x"
    assert [label.name for label in telemetry.custom_labels] == ["team"]
    assert [each.host for each in telemetry.exporters.otlp] == ["jaeger"]
    assert [note.rpartition("/")[2] for note in loaded.notes] == ["stats.json", "tracing.json"]


def test_a_bad_file_hides_no_other_mistake(tmp_path: Path) -> None:
    """All at once, from all files and variables."""
    lines = problems_of(
        tmp_path, "a: [", {"drain_seconds": -1}, environ={"EXTPROC_TELEMETRY": "{", "EXTPROC_WORKERS": "0"}
    )
    assert lines[0].startswith("0:1: not YAML: ")
    assert lines[1:] == [
        "1:1: drain_seconds: input should be greater than or equal to 0, not -1",
        "EXTPROC_TELEMETRY: a mapping in JSON is expected",
        "EXTPROC_WORKERS: input should be greater than or equal to 1, not '0'",
    ]


def test_telemetry_that_is_no_mapping_is_refused_whatever_the_environment_adds(tmp_path: Path) -> None:
    """The environment's exporter does not hide it."""
    environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x:4318"}
    assert problems_of(tmp_path, {"telemetry": []}, environ=environ) == [
        "0:1: telemetry: a mapping is expected, not an empty list"
    ]


def test_variables_that_look_like_ours_are_warned_of(tmp_path: Path) -> None:
    """Before everything else."""
    assert load(tmp_path, environ={"EXTPROC_LISTN": "x"}).warnings == ("EXTPROC_LISTN: no such setting",)


WHOLE: list[dict[str, Any]] = [
    {
        "telemetry": {
            "custom_labels": [{"name": "a", "header": "b", "headerKey": "c"}],
            "histograms": {"time_buckets": [1, 2]},
            "queue": {"max_spans": 1000, "max_batch_spans": 10},
            "exporters": {
                "prometheus": [{"name": "p", "port": 1, "listen_ip": "::"}],
                "otlp": [{"name": "o", "host": "x", "headers": {"k": "v"}, "tls": {}, "traces": {"tls": {}}}],
            },
            "layers": {"global": {"skip_headers": ["a"]}},
            "overrides": [{"path": "/x", "exporters_override": {"trace_exporters": ["o"]}}],
        }
    },
    {
        "name": "x",
        "extra_config": {
            "telemetry/opentelemetry": {
                "exporters": {"prometheus": [{"name": "p", "host": "x"}], "otlp": [{"name": "o", "host": "http://x"}]},
                "layers": {"global": {}, "backend": {"metrics": {"detailed_connection": True}}},
                "skip_paths": [""],
            },
            "telemetry/opentelemetry-security": {"otlp": [{"name": "o", "headers": {"k": "v"}}]},
        },
        "endpoints": [
            {
                "endpoint": "/x",
                "extra_config": {"telemetry/opentelemetry": {"global": {}, "exporters_override": {}}},
                "backend": [{"extra_config": {"telemetry/opentelemetry": {"backend": {"traces": {}}}}}],
            }
        ],
    },
    {
        "kind": "List",
        "items": [
            {
                "kind": "GatewayParameters",
                "spec": {
                    "kube": {
                        "aiExtension": {
                            "enabled": True,
                            "stats": {"customLabels": [{"name": "a", "metadataKey": "b"}]},
                            "tracing": {"insecure": True, "grpc": {"host": "x", "port": 1}},
                        }
                    }
                },
            }
        ],
    },
    {
        "stats": {"customLabels": []},
        "tracing": {
            "endpoint": "http://x",
            "sampler": {"type": "traceidratio", "arg": "1"},
            "timeout": "1s",
            "protocol": "grpc",
        },
    },
]


def variants(value: Any, other: Any) -> Iterator[Any]:
    """Return a document once for each of its values, with another in the place of that."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield value | {key: other}
            yield from (value | {key: variant} for variant in variants(inner, other))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield [*value[:index], other, *value[index + 1 :]]
            yield from ([*value[:index], variant, *value[index + 1 :]] for variant in variants(inner, other))


@pytest.mark.parametrize("other", [None, 5, "x", {}, [5], {"x": [{}]}, "http://["])
@pytest.mark.parametrize("document", WHOLE, ids=["ours", "krakend", "parameters", "mounted"])
def test_a_value_of_any_type_in_any_place_is_accepted_or_refused(
    tmp_path: Path, document: dict[str, Any], other: Any
) -> None:
    """In words, whoever's document it is."""
    load(tmp_path, document)
    environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x", "LLM_GATEWAY_METADATA_LOGGING_KEYS": '["k"]'}
    for variant in variants(document, other):
        with suppress(SettingsError):
            load(tmp_path, variant, environ=environ)
