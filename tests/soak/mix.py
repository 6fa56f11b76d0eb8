"""Which exchange comes next: all kinds, in shares, by dice that a seed makes fall the same."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator

from soak.plays import AskedForPlay, MockPlay, Play, ScenePlay, WholePlay
from soak.rough import BombPlay, SlowPlay, WildPlay, build_bombs, garbage
from support.exchanges import Case, load_case
from support.loss_play import Scene
from support.loss_situations import SITUATIONS
from support.loss_streams import FIXTURES, STREAMS

# Its share of the traffic: a bomb costs a thousand times what an answer costs.
_SHARES = {"mock": 40, "asked-for": 10, "scene": 25, "fixture": 12, "wild": 12, "garbage": 8, "slow": 0.5, "bomb": 0.5}

_BOMB_BYTES = 32 * 1024 * 1024


class _Scene(Scene):
    """A scene whose model has the name it has in others of its stream: labels are few, as in everyday traffic."""

    @property
    def model(self) -> str:
        return self.stream.model("soak")


def plays(seed: int, *, bomb_bytes: int = _BOMB_BYTES) -> Iterator[Play]:
    """Yield exchanges without end."""
    dice = random.Random(seed)
    bombs = build_bombs(bomb_bytes)
    cases = whole_cases()
    scenes = [(stream, situation) for stream in STREAMS for situation in SITUATIONS]
    build: dict[str, Callable[[int], Play]] = {
        "mock": lambda number: MockPlay(number, dice),
        "asked-for": lambda number: AskedForPlay(number, dice),
        "scene": lambda number: ScenePlay(number, _Scene(*dice.choice(scenes), number)),
        "fixture": lambda number: WholePlay(number, dice.choice(cases), dice),
        "wild": lambda number: WildPlay(number, dice),
        "garbage": lambda number: garbage(number, dice),
        "slow": lambda number: SlowPlay(number, dice),
        "bomb": lambda number: BombPlay(number, dice.choice(bombs), dice),
    }
    names, shares = list(_SHARES), list(_SHARES.values())
    for number in itertools.count(1):
        yield build[dice.choices(names, shares)[0]](number)


def whole_cases() -> list[Case]:
    """Return one exchange of each API that answers with a document, and of what is said of it there."""
    cases = [load_case(path.parent) for path in sorted(FIXTURES.glob("*/*/case.json"))]
    return [case for case in cases if case.expected.get("completion") and not case.expected.get("streaming", True)]
