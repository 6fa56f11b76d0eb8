from __future__ import annotations

from extproc.pace import AT_ONCE, Pace


def test_work_is_cut_by_rests() -> None:
    """Whoever waits for the interpreter gets it between two items."""
    rests: list[float] = []
    pace = Pace(work_seconds=0, rest_seconds=0.25, sleep=rests.append)
    assert list(pace.over("abc")) == ["a", "b", "c"]
    assert rests == [0.25] * 3


def test_quick_work_needs_no_rest() -> None:
    """It would only take longer."""
    rests: list[float] = []
    assert list(Pace(work_seconds=3600, sleep=rests.append).over("abc")) == ["a", "b", "c"]
    assert list(AT_ONCE.over("abc")) == ["a", "b", "c"]
    assert rests == []
