"""What was expected of every situation against what was seen, as tables for people."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from support.loss_gateway import Row, Seen
from support.loss_play import Scene
from support.loss_situations import Counted

_HEAD = ("stream", "situation", "expected", "access log", "usage log", "counters", "")
_SUMS = ("situation", "exchanges", "as expected", "tokens expected", "charged in the access log", "counted")


def write(path: Path, title: str, rows: Mapping[Scene, Row], wanted: Mapping[Scene, tuple[Counted, Row]]) -> None:
    """Write a page: sums for each situation, then every exchange."""
    lines = [f"# {title}", "", *_table(_SUMS, _sums(rows, wanted)), "", *_table(_HEAD, _each(rows, wanted)), ""]
    path.write_text("\n".join(lines))


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    for cells in (head, ["---"] * len(head), *rows):
        yield f"| {' | '.join(cells)} |"


def _each(rows: Mapping[Scene, Row], wanted: Mapping[Scene, tuple[Counted, Row]]) -> Iterator[Sequence[str]]:
    for scene, row in sorted(rows.items(), key=lambda each: each[0].request_id):
        expected, want = wanted[scene]
        yield (
            scene.stream.name,
            scene.situation.name,
            f"{_counts(expected.counts)} {expected.source} {expected.completion}",
            _place(row.access_log),
            _place(row.usage_log),
            "nobody left to ask" if row.counted is None else _place(row.counted),
            "as expected" if row == want else "OTHERWISE",
        )


def _sums(rows: Mapping[Scene, Row], wanted: Mapping[Scene, tuple[Counted, Row]]) -> Iterator[Sequence[str]]:
    by_situation: dict[str, list[Scene]] = {}
    for scene in rows:
        by_situation.setdefault(scene.situation.name, []).append(scene)
    for name, scenes in by_situation.items():
        counted = [seen for scene in scenes if (seen := rows[scene].counted) is not None]
        yield (
            name,
            str(len(scenes)),
            str(sum(rows[scene] == wanted[scene][1] for scene in scenes)),
            str(sum(wanted[scene][0].charged_tokens for scene in scenes)),
            str(sum(rows[scene].access_log.charged or 0 for scene in scenes)),
            str(sum(count or 0 for seen in counted for count in seen.counts)) if counted else "nobody left to ask",
        )


def _place(seen: Seen) -> str:
    words = [_counts(seen.counts), seen.source, seen.completion]
    if seen.exchanges != 1:
        words.append(f"({seen.exchanges} times)")
    return " ".join(word for word in words if word is not None)


def _counts(counts: tuple[int | None, int | None]) -> str:
    return "+".join("-" if count is None else str(count) for count in counts)
