from __future__ import annotations

import pytest

from extproc.usage import TokenUsage


@pytest.mark.parametrize(
    ("usage", "total", "charged"),
    [
        (TokenUsage(3, 4), 7, 7),
        (TokenUsage(3, 4, 7), 7, 7),
        (TokenUsage(35, 12, 109), 109, 109),  # hidden thoughts: the provider counted more than it itemised
        (TokenUsage(35, 12, 40), 47, 47),  # a total that is less than its parts
        (TokenUsage(0, 0), 0, 0),
        (TokenUsage(3, None), None, 3),
        (TokenUsage(None, 4), None, 4),
        (TokenUsage(11, None, 11), 11, 11),
        (TokenUsage(None, 50, 10), 50, 50),  # never less than what is known
        (TokenUsage(), None, 0),
    ],
)
def test_the_total_is_both_sides_and_what_is_charged_is_what_is_known(
    usage: TokenUsage, total: int | None, charged: int
) -> None:
    """Absent is not zero in the total, and is zero in the charge."""
    assert (usage.total_tokens, usage.charged_tokens) == (total, charged)


def test_subsets_are_never_added() -> None:
    """They are parts of prompt and completion."""
    usage = TokenUsage(100, 50, cached_tokens=90, cache_creation_tokens=5, reasoning_tokens=40, audio_prompt_tokens=9)
    assert usage.total_tokens == 150


def test_usage_cannot_be_changed() -> None:
    """A record that was handed to a sink stays what it was."""
    with pytest.raises(AttributeError, match="immutable"):
        TokenUsage(1).prompt_tokens = 2  # type: ignore[misc]
