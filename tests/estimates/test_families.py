from __future__ import annotations

import pytest

from extproc.estimates.families import FAMILIES, family_of, wrapping_of


@pytest.mark.parametrize(
    ("model", "provider", "name"),
    [
        ("gpt-4o-2024-08-06", "openai", "openai (o200k)"),
        ("gpt-4.1-mini", None, "openai (o200k)"),
        ("gpt-4.5-preview", None, "openai (o200k)"),
        ("gpt-5", None, "openai (o200k)"),
        ("chatgpt-4o-latest", None, "openai (o200k)"),
        ("o3-mini", None, "openai (o200k)"),
        ("openai/gpt-oss-120b", "groq", "openai (o200k)"),
        ("my-deployment", "azure.ai.openai", "openai (o200k)"),
        ("gpt-4-turbo", None, "openai (cl100k)"),
        ("gpt-4", None, "openai (cl100k)"),
        ("gpt-35-turbo", None, "openai (cl100k)"),
        ("text-embedding-3-small", "openai", "openai (cl100k)"),
        ("us.anthropic.claude-sonnet-4-20250514-v1:0", "aws.bedrock", "claude"),
        ("gemini-2.5-flash", None, "gemini"),
        ("meta-llama/Llama-3.3-70B-Instruct", "together_ai", "llama"),
        ("deepseek-r1-distill-llama-70b", None, "llama"),
        ("mistralai/Mixtral-8x7B", None, "mistral"),
        ("deepseek-chat", None, "deepseek"),
        ("Qwen/Qwen3-8B", None, "qwen"),
        ("command-r-plus", "cohere", "cohere"),
        ("amazon.nova-lite-v1:0", "aws.bedrock", "nova"),
        ("grok-3", "x_ai", "grok"),
        (None, "mistral_ai", "mistral"),
        (None, None, "others"),
        ("palmyra-x4", "writer", "others"),
    ],
)
def test_a_model_belongs_to_a_family(model: str | None, provider: str | None, name: str) -> None:
    """By its name, wherever it is served; where that says nothing by its provider."""
    assert family_of(model, provider).name == name


def test_families_are_near_to_the_vocabulary() -> None:
    """What is further off has a vocabulary that is not understood."""
    assert all(0.8 < family.factor < 1.5 for family in FAMILIES)
    assert wrapping_of("claude", None).tools_tokens > wrapping_of("gpt-4o", None).tools_tokens
