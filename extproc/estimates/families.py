"""Which vocabulary the tokens of a model are counted with, and how far that is off.

Owns: the families of models, by what models are called. Only OpenAI's vocabularies are at hand; those of other families
are near, and by how much is measured: docs/usage.md tells it, and tools/estimate_error.py measures it again. Must not
know texts.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from extproc.estimates.vocabulary import Encoding
from extproc.policy import Wrapping

_USUAL: Final = Wrapping()


@dataclass(frozen=True, slots=True)
class Family:
    """Models with one tokenizer. It makes `factor` times as many tokens as the vocabulary does."""

    name: str
    pattern: str
    encoding: Encoding = "o200k_base"
    factor: float = 1.0
    wrapping: Wrapping = _USUAL


OTHERS: Final = Family("others", "")

# Gemini's counts leave its template out.
_BARE = Wrapping(message_tokens=0, answer_tokens=0, call_tokens=0, schema_share=0.5)

# Chat templates with few words: a mark at both ends of a message.
_TERSE = Wrapping(message_tokens=2, answer_tokens=1)

# The first whose pattern is found in the name of the model stands. Factors are medians over recordings with text, and
# for most families over few: docs/usage.md says how few. What is around the texts of OpenAI's models is in its cookbook
# ("How to count tokens with tiktoken"), and what tools add to a prompt of Anthropic's in its documentation of tool use.
FAMILIES: Final = (
    Family("claude", r"claude|anthropic", factor=1.18, wrapping=Wrapping(tools_tokens=346, call_tokens=35)),
    Family("gemini", r"gemini|gemma|learnlm", factor=1.1, wrapping=_BARE),
    Family("llama", r"llama", factor=1.06),
    Family("mistral", r"mistral|mixtral|ministral|codestral|devstral|magistral|pixtral", factor=1.27, wrapping=_TERSE),
    Family("deepseek", r"deepseek", factor=1.03, wrapping=_TERSE),
    Family("qwen", r"qwen|qwq", factor=1.06),
    Family("cohere", r"command|cohere|\baya\b", factor=1.15),
    Family("nova", r"\bnova\b|titan", factor=1.03),
    Family("grok", r"grok"),
    Family("openai (cl100k)", r"gpt-?4(?!\.|o|-?5)|gpt-?3|text-embedding|davinci|babbage|curie", "cl100k_base"),
    Family("openai (o200k)", r"gpt|\bo[1-9]\b|codex"),
    OTHERS,
)

# Providers whose models are all of one family, for models whose names do not tell.
_BY_PROVIDER: Final = {
    "anthropic": "claude",
    "gcp.gemini": "gemini",
    "gcp.vertex_ai": "gemini",
    "mistral_ai": "mistral",
    "deepseek": "deepseek",
    "cohere": "cohere",
    "x_ai": "grok",
    "openai": "openai (o200k)",
    "azure.ai.openai": "openai (o200k)",
}
_BY_NAME: Final = {family.name: family for family in FAMILIES}
_PATTERNS: Final = tuple((re.compile(family.pattern), family) for family in FAMILIES[:-1])


@lru_cache(maxsize=1024)
def family_of(model: str | None, provider: str | None) -> Family:
    """Return the family of a model: by its name, else by its provider."""
    name = (model or "").lower()
    found = next((family for pattern, family in _PATTERNS if pattern.search(name)), None)
    return found or _BY_NAME[_BY_PROVIDER.get(provider or "", OTHERS.name)]


def wrapping_of(model: str | None, provider: str | None) -> Wrapping:
    """Return what is around the texts that a model reads and writes."""
    return family_of(model, provider).wrapping
