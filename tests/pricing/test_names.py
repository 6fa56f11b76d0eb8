from __future__ import annotations

import pytest

from extproc import semconv
from extproc.pricing.names import forms_of, has_price_of_its_own, models_in_order, provider_of
from extproc.providers.vendors import VENDORS


@pytest.mark.parametrize(
    ("provider", "model", "theirs"),
    [
        (semconv.OPENAI, "", "openai"),
        (semconv.AWS_BEDROCK, "", "aws"),
        (semconv.GCP_VERTEX_AI, "", "google"),
        ("gemini", "", "google"),
        ("mine", "", "mine"),
        ("huggingface", "openai/gpt-oss-20b:groq", "huggingface_groq"),
        ("huggingface", "openai/gpt-oss-20b", "huggingface_openai/gpt-oss-20b"),
    ],
)
def test_a_provider_goes_by_the_packages_name(provider: str, model: str, theirs: str) -> None:
    """One that neither renames is called the same."""
    assert provider_of(provider, model) == theirs


def test_every_provider_the_package_knows_is_found() -> None:
    """By the name we have for it: of the vendors in our table, and of OpenTelemetry's."""
    from genai_prices.data import providers  # noqa: PLC0415 - it takes long to load

    ours = {provider_of(vendor.provider, "x:groq") for vendor in VENDORS}
    hosts = {"cursor", "elevenlabs", "modal", "openai-decisions", "quicksilverpro", "typesafe", "zhipuai"}
    theirs = {provider.id for provider in providers if not provider.id.startswith("huggingface_")}
    assert theirs - ours == hosts  # no API of an LLM that is metered here, or at a host of somebody else


@pytest.mark.parametrize(
    ("provider", "asked", "answered", "models"),
    [
        ("openai", "gpt-4o", "gpt-4o-2024-08-06", ("gpt-4o-2024-08-06", "gpt-4o")),
        ("azure.ai.openai", "my-deployment", "gpt-4o", ("gpt-4o", "my-deployment")),
        ("aws.bedrock", "us.anthropic.claude", "claude", ("us.anthropic.claude", "claude")),
        ("openrouter", "x/y:free", "x/y", ("x/y:free", "x/y")),
        ("openai", "gpt-4o", None, ("gpt-4o",)),
        ("openai", "gpt-4o", "gpt-4o", ("gpt-4o",)),
        (None, None, None, ()),
    ],
)
def test_the_model_that_answered_counts_first(
    provider: str | None, asked: str | None, answered: str | None, models: tuple[str, ...]
) -> None:
    """It is the one to pay for; but where the answer leaves out what decides the price, it is the one asked for."""
    assert models_in_order(provider, asked, answered) == models


@pytest.mark.parametrize(
    ("model", "forms"),
    [
        ("gpt-4o", ["gpt-4o"]),
        ("gpt-5.5-2026-04-23", ["gpt-5.5-2026-04-23", "gpt-5.5"]),
        ("claude-opus-4-20250514", ["claude-opus-4-20250514", "claude-opus-4"]),
        ("claude-3-5-sonnet@20240620", ["claude-3-5-sonnet@20240620", "claude-3-5-sonnet"]),
        ("gemini-1.5-pro@001", ["gemini-1.5-pro@001", "gemini-1.5-pro"]),
        ("mistral-large-2411", ["mistral-large-2411"]),
        ("models/gemini-2.5-flash", ["models/gemini-2.5-flash", "gemini-2.5-flash"]),
        ("publishers/google/models/gemini-x", ["publishers/google/models/gemini-x", "gemini-x"]),
        ("openai/gpt-oss-20b", ["openai/gpt-oss-20b", "gpt-oss-20b"]),
        ("us.amazon.nova-lite-v1:0", ["us.amazon.nova-lite-v1:0", "amazon.nova-lite-v1:0", "amazon.nova-lite-v1"]),
        (
            "arn:aws:bedrock:us-east-1:012345678901:inference-profile/apac.anthropic.claude-3-haiku-20240307-v1:0",
            [
                "arn:aws:bedrock:us-east-1:012345678901:inference-profile/apac.anthropic.claude-3-haiku-20240307-v1:0",
                "apac.anthropic.claude-3-haiku-20240307-v1:0",
                "anthropic.claude-3-haiku-20240307-v1:0",
                "anthropic.claude-3-haiku-20240307-v1",
            ],
        ),
        ("us.x", ["us.x"]),
        ("ft:gpt-4o-2024-08-06:org::id", ["ft:gpt-4o-2024-08-06:org::id"]),
        ("x/", ["x/"]),
    ],
)
def test_ornaments_are_taken_off_one_after_the_other(model: str, forms: list[str]) -> None:
    """As it is first: a region or a version can have a price of its own. A fine-tuned model is never its base."""
    assert list(forms_of(model)) == forms


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("ft:gpt-4o-2024-08-06:org::id", True),
        ("gpt-4o-2024-08-06.ft-0e208cf33a6a", True),
        ("deepseek/deepseek-r1:free", True),
        ("gpt-4o", False),
        ("meta/llama-free", False),
    ],
)
def test_some_models_have_a_price_of_their_own(model: str, *, expected: bool) -> None:
    """That of another name would be too little, or too much."""
    assert has_price_of_its_own(model) == expected
