"""The names that other systems know are literals; here they are pinned."""

from __future__ import annotations

from opentelemetry.semconv._incubating.attributes import gen_ai_attributes

from extproc import semconv


def names(prefix: str = "") -> dict[str, str]:
    return {
        name: value
        for name, value in vars(semconv).items()
        if name.isupper() and isinstance(value, str) and name.startswith(prefix)
    }


def test_provider_and_operation_names_are_opentelemetrys() -> None:
    """As far as the conventions name them; what is renamed there is a decision to take here."""
    known = {value.value for value in gen_ai_attributes.GenAiProviderNameValues}
    known |= {value.value for value in gen_ai_attributes.GenAiOperationNameValues}
    ours = {
        value
        for name, value in names().items()
        if not name.startswith(("KEY_", "OWN_")) and not name.endswith(("NAMESPACE", "METADATA"))
    }
    assert ours <= known


def test_metadata_keys_never_change_by_accident() -> None:
    """Access logs, rate limits and dashboards are written against them."""
    assert sorted(names("KEY_").values()) == sorted(
        ["audio_completion_tokens", "audio_prompt_tokens", "billed_input_tokens", "billed_output_tokens",
         "cache_creation_tokens", "cached_tokens", "completion_tokens", "cost_usd_micros", "error_type",
         "finish_reason", "hits_addend", "model", "operation", "prompt_tokens", "provider", "provider_model",
         "provider_total_tokens", "reasoning_tokens", "streaming", "time_to_first_token_ms",
         "tool_use_prompt_tokens", "total_tokens", "usage_source"]
    )  # fmt: skip


def test_namespaces_never_change_by_accident() -> None:
    """Envoy's configuration lists them."""
    assert (semconv.NAMESPACE, semconv.KGATEWAY_NAMESPACE, semconv.RATELIMIT_NAMESPACE) == (
        "ai.gateway",
        "ai.gateway.kgateway.dev",
        "envoy.ratelimit",
    )
    assert semconv.PROVIDER_INITIAL_METADATA == "x-llm-provider"
