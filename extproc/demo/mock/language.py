"""What a mock model says, and how it counts.

Owns: text made of the question alone, so that the same question gets the same answer, and a tokenizer good enough for
a mock: a token is a word, a number or a mark. Knows no provider.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

_TOKEN = re.compile(r"\s*(?:\w+|[^\w\s])")

_SENTENCES = (
    "A call that calls itself must know when to stop.",
    "Mirrors face mirrors, and the last one shows the answer.",
    "Each smaller question holds the shape of the one that asked it.",
    "The base case waits at the bottom, patient as a stone.",
    "Counting down is easy; it is coming back up that builds the sum.",
    "What returns was always part of what was asked.",
    "No step is lost, and none is counted twice.",
    "Leaves fall where the branches end, and the tree is walked.",
)


@dataclass(frozen=True, slots=True)
class Speech:
    """An answer as the tokens it is made of, and why it ended."""

    tokens: tuple[str, ...]
    is_cut: bool  # by the limit the client set

    @property
    def text(self) -> str:
        """The whole answer."""
        return "".join(self.tokens)


def count_tokens(*texts: str) -> int:
    """Return how many tokens the texts have."""
    return sum(len(_TOKEN.findall(text)) for text in texts)


def strings_in(value: Any) -> Iterator[str]:
    """Yield every string in the contents of a prompt, however it is nested."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from strings_in(item)
    elif isinstance(value, dict):
        for key, item in value.items():
            if key in {"content", "text", "parts", "input", "prompt", "system"}:
                yield from strings_in(item)


def count_prompt(*parts: Any) -> int:
    """Return how many tokens a prompt has: its words, and three for each of its parts, as chat templates add."""
    texts = [text for part in parts for text in strings_in(part)]
    return count_tokens(*texts) + 3 * len(texts)


def speak(*prompt: Any, limit: int | None = None) -> Speech:
    """Return the answer to a prompt, of at most `limit` tokens."""
    texts = "\n".join(text for part in prompt for text in strings_in(part))
    choice = random.Random(texts)
    sentences = choice.sample(_SENTENCES, k=choice.randint(2, 4))
    tokens = tuple(_TOKEN.findall(" ".join(sentences)))
    is_cut = limit is not None and len(tokens) > limit
    return Speech(tokens[:limit] if is_cut else tokens, is_cut)
