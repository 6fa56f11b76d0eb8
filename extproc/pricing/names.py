"""Under which names a model may have a price: what providers and clients call it, and what is left without ornaments.

Owns: the order of the names, and which part of each is ornament. Must not know prices.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from types import MappingProxyType
from typing import Final

from extproc import semconv

# Our providers -> the package's, where it calls them otherwise; kgateway's own words for some are here as well.
_PROVIDERS: Final = MappingProxyType(
    {
        semconv.AWS_BEDROCK: "aws",
        semconv.AZURE_AI_INFERENCE: "azure",
        semconv.AZURE_AI_OPENAI: "azure",
        semconv.GCP_GEMINI: "google",
        semconv.GCP_VERTEX_AI: "google",
        semconv.MISTRAL_AI: "mistral",
        semconv.X_AI: "x-ai",
        "azureopenai": "azure",
        "bedrock": "aws",
        "fireworks_ai": "fireworks",
        "gemini": "google",
        "github_copilot": "github-copilot",
        "moonshot_ai": "moonshotai",
        "together_ai": "together",
        "vertexai": "google",
        "voyage_ai": "voyageai",
        "z_ai": "zai",
    }
)

# Whose answers leave out what decides the price: Bedrock's the region, OpenRouter's that a model was asked for as free.
_ASKED_FIRST: Final = frozenset((semconv.AWS_BEDROCK, "bedrock", "openrouter"))

# What stands around the name of a model, in the order in which it is taken off.
_ORNAMENTS: Final = (
    # models/x, publishers/google/models/x, vendor/x, arn:aws:bedrock:...:inference-profile/us.x
    re.compile(r".*/"),
    # us.anthropic.claude-...: where Bedrock may run it
    re.compile(r"^(?:us|us-gov|eu|apac|jp|au|ca|sa|global)\.(?=[a-z0-9-]+\.)"),
    # ...-v1:0: Bedrock's revision of what it serves
    re.compile(r":\d+$"),
    # -2024-08-06, -20240806, @20240806, @001, @latest: the day of a version, or Vertex's number of it
    re.compile(r"-20\d\d-[01]\d-[0-3]\d$|[-@]20\d\d[01]\d[0-3]\d$|@(?:\d{3}|latest|default)$"),
)

_FINE_TUNED = "ft:"

# How names of models end that cost nothing.
FREE: Final = ":free"


def provider_of(provider: str, model: str) -> str:
    """Return what the package calls a provider.

    Hugging Face's router is as many as it has behind it: a model may say which, as in `openai/gpt-oss-20b:groq`.
    """
    if provider == "huggingface":
        return f"huggingface_{model.rpartition(':')[2]}"
    return _PROVIDERS.get(provider, provider)


def models_in_order(provider: str | None, asked: str | None, answered: str | None) -> tuple[str, ...]:
    """Return the models of an exchange: the one that answered first, because it is the one to pay for."""
    models = (asked, answered) if provider in _ASKED_FIRST else (answered, asked)
    return tuple(dict.fromkeys(model for model in models if model))


def has_price_of_its_own(model: str) -> bool:
    """Say whether no other name can stand in for this one: that of a fine-tuned model, or of one asked for as free.

    Azure names a fine-tuned model by its base and a mark behind it: `gpt-4o-2024-08-06.ft-0e208cf33a6a`.
    """
    return model.startswith(_FINE_TUNED) or ".ft-" in model or model.endswith(FREE)


def forms_of(model: str) -> Iterator[str]:
    """Yield the names under which to look for a model: as it is, then with less and less around it, each once.

    A fine-tuned model is not its base, which costs less: it is looked for as it is, and in no other way.
    """
    yield model
    if model.startswith(_FINE_TUNED):
        return
    for ornament in _ORNAMENTS:
        bare = ornament.sub("", model)
        if bare and bare != model:
            model = bare
            yield model
