from __future__ import annotations

from pathlib import Path

import pytest

from extproc.config.loading import load_settings
from extproc.config.settings import DetectionRule, Settings, unknown_variables, without_settings
from extproc.errors import SettingsError


def problems(**sources: object) -> list[str]:
    with pytest.raises(SettingsError) as raised:
        load_settings(sources.get("flags", {}), sources.get("environ", {}), sources.get("file"))  # type: ignore[arg-type]
    return str(raised.value).splitlines()


def test_the_defaults_are_the_documented_ones() -> None:
    """Ports, names and bounds that other things rely on."""
    settings = load_settings({}, {})
    assert (settings.listen, settings.admin_listen) == ("127.0.0.1:18080", "0.0.0.0:9092")
    assert settings.metadata_namespaces == ("ai.gateway", "ai.gateway.kgateway.dev")
    assert settings == Settings()


def test_flag_beats_environment_beats_file_beats_default(tmp_path: Path) -> None:
    """In this order, setting by setting."""
    file = tmp_path / "settings.yaml"
    file.write_text("drain_seconds: 1\nlog_level: error\nlisten: unix:/file.sock\nmax_body_bytes: 5000\n")
    environ = {"EXTPROC_DRAIN_SECONDS": "2", "EXTPROC_LISTEN": "unix:/env.sock", "EXTPROC_LOG_LEVEL": ""}
    settings = load_settings({"drain_seconds": 3.0, "listen": None}, environ, file)
    assert (settings.drain_seconds, settings.listen) == (3.0, "unix:/env.sock")
    assert (settings.log_level, settings.max_body_bytes) == ("error", 5000)
    assert settings.max_label_values == 200


def test_a_file_may_be_json_or_empty(tmp_path: Path) -> None:
    """JSON is YAML, and nothing is no setting."""
    file = tmp_path / "settings.json"
    file.write_text('{"metadata_namespaces": ["io.example"]}')
    assert load_settings({}, {}, file).metadata_namespaces == ("io.example",)
    file.write_text("# nothing yet\n")
    assert load_settings({}, {}, file) == Settings()


def test_kgateways_variables_keep_working_below_ours() -> None:
    """Whoever comes from there need not change the deployment first."""
    environ = {"LISTEN_ADDR": "unix-abstract:kgateway-ai-sock", "LOG_LEVEL": "DEBUG"}
    settings = load_settings({}, environ)
    assert (settings.listen, settings.log_level) == ("unix-abstract:kgateway-ai-sock", "debug")
    assert load_settings({}, environ | {"EXTPROC_LISTEN": "localhost:1"}).listen == "localhost:1"


def test_lists_are_separated_by_commas_in_the_environment() -> None:
    """With white space or without."""
    environ = {"EXTPROC_METADATA_NAMESPACES": "ai.gateway, io.example"}
    assert load_settings({}, environ).metadata_namespaces == ("ai.gateway", "io.example")


def test_every_mistake_is_said_at_once_with_its_source_and_what_is_allowed(tmp_path: Path) -> None:
    """One line each, from flag, environment and file alike."""
    file = tmp_path / "settings.yaml"
    file.write_text("max_event_bytes: 1\nlistn: x\nlog_level: loud\n")
    lines = problems(
        flags={"listen": "nowhere"},
        environ={"EXTPROC_DRAIN_SECONDS": "soon", "EXTPROC_MAX_LABEL_VALUES": "0"},
        file=file,
    )
    assert len(lines) == 6
    text = "\n".join(lines)
    assert "--listen: 'nowhere' is no address: use unix:/path, unix-abstract:name or host:port" in lines
    assert "EXTPROC_DRAIN_SECONDS: input should be a valid number" in text
    assert "EXTPROC_MAX_LABEL_VALUES: input should be greater than or equal to 1, not '0'" in lines
    assert f"max_event_bytes in {file}: input should be greater than or equal to 1024, not 1" in lines
    assert f"log_level in {file}: input should be 'debug', 'info', 'warning' or 'error', not 'loud'" in lines
    assert f"listn in {file}: no such setting; there are listen, admin_listen" in text


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"listen: 2026-99-99", "is not YAML or JSON"),
        (b"[" * 20_000, "is not YAML or JSON"),
        (b"a: [", "line 1 is not YAML or JSON"),
        (b"- a\n- b\n", "must be a mapping"),
        (b"\xff\xfe\x00", "not UTF-8"),
    ],
)
def test_a_file_that_is_no_settings_is_refused(tmp_path: Path, content: bytes, said: str) -> None:
    """In one line, which names it."""
    file = tmp_path / "settings.yaml"
    file.write_bytes(content)
    (line,) = problems(file=file)
    assert line.startswith("--config: ")
    assert str(file) in line
    assert said in line


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    """With the system's own word for it."""
    assert problems(file=tmp_path / "no.yaml") == [
        f"--config: cannot read {tmp_path}/no.yaml: No such file or directory"
    ]


@pytest.mark.parametrize("text", [",", "a,a", "a,envoy.ratelimit", " , b"])
def test_namespaces_are_names_that_differ(text: str) -> None:
    """And none of them is Envoy's own, which is written in any case."""
    (line,) = problems(environ={"EXTPROC_METADATA_NAMESPACES": text})
    assert line.startswith("EXTPROC_METADATA_NAMESPACES: ")
    assert "use names that differ" in line


@pytest.mark.parametrize(("text", "level"), [("INFO", "info"), ("Warn", "warning"), ("CRITICAL", "error")])
def test_log_levels_are_understood_as_others_write_them(text: str, level: str) -> None:
    """A LOG_LEVEL may have been set for the whole pod."""
    assert load_settings({}, {"LOG_LEVEL": text}).log_level == level


def test_a_message_size_beyond_grpcs_own_bound_is_refused() -> None:
    """In one line, and not when the server starts."""
    (line,) = problems(environ={"EXTPROC_MAX_MESSAGE_BYTES": str(2**31)})
    assert line.startswith("EXTPROC_MAX_MESSAGE_BYTES: input should be less than or equal to 2147483647")


def test_an_environment_without_settings_keeps_the_rest() -> None:
    """For a sidecar that is to have the defaults."""
    environ = {"PATH": "/bin", "EXTPROC_LISTEN": "x", "EXTPROC_NOPE": "x", "LISTEN_ADDR": "x", "MY_LOG_LEVEL": "x"}
    assert without_settings(environ) == {"PATH": "/bin", "MY_LOG_LEVEL": "x"}


def test_variables_that_look_like_ours_and_are_none_are_found() -> None:
    """A misspelt one would change nothing, without a word."""
    environ = {"EXTPROC_LISTN": "x", "EXTPROC_LISTEN": "y", "LISTEN_ADDR": "z"}
    assert unknown_variables(environ) == ["EXTPROC_LISTN"]


def test_rules_of_detection_are_a_list_of_globs(tmp_path: Path) -> None:
    """In the file as they are, in the environment as JSON."""
    file = tmp_path / "settings.yaml"
    file.write_text("detection_rules:\n  - {authority: 'llm.*', provider: ours}\n  - {path: /x/*, llm: false}\n")
    ours, excluded = load_settings({}, {}, file).detection_rules
    assert ours == DetectionRule(authority="llm.*", provider="ours")
    assert (excluded.authority, excluded.path, excluded.llm) == ("*", "/x/*", False)
    environ = {"EXTPROC_DETECTION_RULES": '[{"authority": "llm.*", "provider": "ours"}]'}
    assert load_settings({}, environ, file).detection_rules == (ours,)


@pytest.mark.parametrize(
    ("rules", "problem"),
    [
        ("[{}]", "EXTPROC_DETECTION_RULES[0]: a rule has to set provider, flavour or llm: false"),
        (
            '[{"llm": false}, {"provdier": "x"}]',
            "EXTPROC_DETECTION_RULES[1].provdier: no such setting; there are authority, path, provider, flavour, llm",
        ),
        ('[{"provider": ""}]', "EXTPROC_DETECTION_RULES[0].provider: string should have at least 1 character, not ''"),
        ("llm.*=ours", "EXTPROC_DETECTION_RULES: a list of rules in JSON is expected"),
        ('{"provider": "x"}', "EXTPROC_DETECTION_RULES: input should be a valid tuple, not {'provider': 'x'}"),
    ],
)
def test_a_rule_that_cannot_work_is_said_with_its_place(rules: str, problem: str) -> None:
    """Which rule, and what is allowed."""
    assert problems(environ={"EXTPROC_DETECTION_RULES": rules}) == [problem]
