"""Counts the tokens of texts, in bounded time.

Owns: how much of a text is looked at. A text up to MAX_CHARACTERS is counted as it is; of a longer one as many
characters are, in pieces from all over it, and the count is scaled. Must not know where texts are from.
"""

from __future__ import annotations

from extproc.estimates.families import family_of
from extproc.estimates.vocabulary import Tokenizer, tokenizer_of

# The worst of texts has a token for each byte, and counting so many takes 5 ms; that of prose takes half of one.
MAX_CHARACTERS = 16 * 1024

# Enough to meet each kind of text in a long prompt, and long enough that their cut ends weigh little.
_PIECES = 16
_PIECE_CHARACTERS = MAX_CHARACTERS // _PIECES

# How far from where a piece would be cut a space is looked for.
_SPACE_WITHIN_CHARACTERS = 64


def count_text(text: str, model: str | None, provider: str | None) -> int:
    """Return how many tokens a text has, for the model and the provider it is for."""
    family = family_of(model, provider)
    return round(_count(tokenizer_of(family.encoding), text) * family.factor) if text else 0


def _count(tokenizer: Tokenizer, text: str) -> float:
    if len(text) <= MAX_CHARACTERS:
        return _count_exactly(tokenizer, text)
    pieces = _sampled(text)
    characters = sum(map(len, pieces))
    return sum(_count_exactly(tokenizer, piece) for piece in pieces) * len(text) / characters


def _count_exactly(tokenizer: Tokenizer, text: str) -> int:
    try:
        return tokenizer.count(text)
    except UnicodeEncodeError:
        return tokenizer.count(text.encode("utf-8", "replace").decode())


def _sampled(text: str) -> list[str]:
    """Return pieces from all over a long text, from its first to its last character, cut at spaces where there are."""
    step = (len(text) - _PIECE_CHARACTERS) / (_PIECES - 1)
    starts = [int(place * step) for place in range(_PIECES)]
    return [_cut(text, start) for start in starts]


def _cut(text: str, start: int) -> str:
    end = start + _PIECE_CHARACTERS
    first = text.find(" ", start, start + _SPACE_WITHIN_CHARACTERS) if start else start
    last = text.rfind(" ", end - _SPACE_WITHIN_CHARACTERS, end) if end < len(text) else end
    return text[max(first, start) : last if last > start else end]
