"""What is done to an exchange beside reading it, as a deployment wants it: estimates, prices, charges.

Owns: the shapes in which an exchange gets them. What they are made of is the business of others; each of them only
computes. Must not know settings, or the libraries behind them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from extproc.injection import Injector
from extproc.usage import UsageRecord


class TextCounter(Protocol):
    """Counts the tokens of texts with a real tokenizer."""

    def __call__(self, text: str, model: str | None, provider: str | None) -> int:
        """Return how many tokens a text has, for the model and the provider it is for.

        How long it takes is bounded, however long the text is: of a very long one it counts samples.
        """
        ...


@dataclass(frozen=True, slots=True)
class Wrapping:
    """What a model reads and writes around the texts, in tokens: the words of its chat template, and of its calls.

    `schema_share` is how much of a schema it reads, against that schema as JSON.
    """

    message_tokens: int = 4
    answer_tokens: int = 3
    tools_tokens: int = 0
    call_tokens: int = 7
    schema_share: float = 0.7


_WRAPPING = Wrapping()


def usual_wrapping(model: str | None, provider: str | None) -> Wrapping:  # noqa: ARG001 - the shape that all have
    """Return what is around texts with most models."""
    return _WRAPPING


class Reserve(Protocol):
    """Tells what limits are charged with a request, before it goes on."""

    def __call__(self, record: UsageRecord, max_tokens: int | None) -> tuple[tuple[str, int], ...]:
        """Return an amount under each key; `max_tokens` is the longest answer that the request allows."""
        ...


def as_it_is(record: UsageRecord) -> UsageRecord:
    """Return the record."""
    return record


@dataclass(frozen=True, slots=True)
class Policy:
    """What a deployment wants of each exchange.

    `value` puts into a record what follows from its usage: what it costs and what it is charged for. It is asked for
    each record that is shown, the final one and those before it, so the same record has the same value. `nothing` is
    what an exchange is charged before it has used anything. `count_text`
    counts what no provider reported, where that is wanted, and `wrapping_of` tells what is around it for a model and
    its provider. With `estimates_requests` the prompt of each request is counted, too, before it goes on.
    `estimates_streams` says that streams are estimated, `estimates_whole` that other answers are as well;
    `injector` asks for usage where clients do not.
    `estimate_interval_seconds` is how often a running stream without usage has what it used so far estimated.
    `reserve` tells what limits are charged with a request, once for each; None where they are charged at the end.
    """

    value: Callable[[UsageRecord], UsageRecord] = as_it_is
    nothing: tuple[tuple[str, int], ...] = ()
    count_text: TextCounter | None = None
    wrapping_of: Callable[[str | None, str | None], Wrapping] = usual_wrapping
    injector: Injector | None = None
    estimates_requests: bool = False
    estimates_streams: bool = True
    estimates_whole: bool = False
    estimate_interval_seconds: float = 1.0
    reserve: Reserve | None = None

    @property
    def estimates_answers(self) -> bool:
        """Whether answers have to be kept for that, until it is known whether they report their usage."""
        return self.count_text is not None and (self.estimates_streams or self.estimates_whole)


NO_POLICY = Policy()
