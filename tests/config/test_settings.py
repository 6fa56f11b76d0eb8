from __future__ import annotations

import pytest

from extproc.config.settings import Settings, unknown_variables, without_settings


def test_the_defaults_are_the_documented_ones() -> None:
    """Ports, names and bounds that other things rely on."""
    settings = Settings()
    assert (settings.listen, settings.admin_listen) == ("127.0.0.1:18080", "0.0.0.0:9092")
    assert settings.metadata_namespaces == ("ai.gateway", "ai.gateway.kgateway.dev")
    assert settings.telemetry is None


def test_an_environment_without_settings_keeps_the_rest() -> None:
    """For a sidecar that is to have the defaults."""
    environ = {"PATH": "/bin", "EXTPROC_LISTEN": "x", "EXTPROC_NOPE": "x", "LISTEN_ADDR": "x", "MY_LOG_LEVEL": "x"}
    environ |= {"OTEL_SERVICE_NAME": "x", "ENABLE_OTEL_METRICS": "x", "LLM_GATEWAY_METADATA_LOGGING_KEYS": "x"}
    assert without_settings(environ) == {"PATH": "/bin", "MY_LOG_LEVEL": "x"}


def test_variables_that_look_like_ours_and_are_none_are_found() -> None:
    """A misspelt one would change nothing, without a word."""
    environ = {"EXTPROC_LISTN": "x", "EXTPROC_LISTEN": "y", "LISTEN_ADDR": "z"}
    assert unknown_variables(environ) == ["EXTPROC_LISTN"]


@pytest.mark.parametrize(("given", "expected"), [(False, "off"), ("off", "off"), ("auto", "auto"), (2**30, 2**30)])
def test_memory_is_bounded_by_bytes_or_a_word(given: object, expected: object) -> None:
    """YAML takes the word off for false unless it stands in quotes."""
    assert Settings.model_validate({"max_memory_bytes": given}).max_memory_bytes == expected


@pytest.mark.parametrize("given", [True, 1024, "on", -1])
def test_no_other_bound_of_memory_is_taken(given: object) -> None:
    """A process needs some to begin with."""
    with pytest.raises(ValueError, match="max_memory_bytes"):
        Settings.model_validate({"max_memory_bytes": given})
