from __future__ import annotations

import random
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extproc.estimates.counter import MAX_CHARACTERS, count_text
from extproc.estimates.vocabulary import tokenizer_of

PROSE = "The quick brown fox jumps over the lazy dog, and nobody in the village knows why it does. "
RANDOM = random.Random(7)
LONG = {
    "a": "a" * 1_000_000,
    "spaces": " " * 1_000_000,
    "emoji": "😀👍🏽" * 200_000,
    "base64": "".join(RANDOM.choices("ABCDEFGHIJabcdefghij0123456789+/", k=1_000_000)),
    "rare": "".join(chr(RANDOM.randrange(0x20000, 0x2A000)) for _ in range(300_000)),
    "joiners": "\u200d" * 300_000,
}


def test_a_short_text_is_counted_as_it_is() -> None:
    """Exactly, where its model has the vocabulary; in its proportion where not."""
    exact = tokenizer_of("o200k_base").count(PROSE)
    assert count_text(PROSE, "gpt-4o", None) == exact
    assert count_text(PROSE, "claude-sonnet-4", None) == round(exact * 1.18)
    assert count_text("", "gpt-4o", None) == 0


def test_a_long_text_is_counted_in_samples() -> None:
    """Of prose, of code and of both together, within a few percent."""
    digits = " ".join(str(RANDOM.randrange(10**6)) for _ in range(20_000))
    for text in (PROSE * 2000, digits, PROSE * 500 + digits):
        exact = tokenizer_of("o200k_base").count(text)
        assert count_text(text, "gpt-4o", None) == pytest.approx(exact, rel=0.04)


def test_where_samples_begin_nothing_jumps() -> None:
    """One character more is not another text."""
    text = PROSE * 400
    short, long = text[:MAX_CHARACTERS], text[: MAX_CHARACTERS + 1]
    assert count_text(long, "gpt-4o", None) == pytest.approx(count_text(short, "gpt-4o", None), rel=0.02)


@pytest.mark.parametrize("name", LONG)
def test_no_text_takes_long(name: str) -> None:
    """In the time of the process, which others that are busy do not lengthen: 5 ms, and a reserve for slow machines."""
    count_text(LONG[name], "gpt-4o", None)
    before = time.process_time()
    assert count_text(LONG[name], "gpt-4o", None) > 0
    assert time.process_time() - before < 0.1


@given(st.text(alphabet=st.characters(), max_size=200), st.sampled_from(["gpt-4o", "gpt-4", "claude", None]))
def test_any_text_has_a_count(text: str, model: str | None) -> None:
    """Half of a surrogate pair among it: clients cut texts anywhere."""
    assert count_text(text, model, None) >= 0
    assert count_text("\ud83d" + text, model, None) > 0
