"""Nothing lost on the way: every API's stream, in every situation, through the real Envoy.

All of them are played once, at the same time, and each test looks at one situation. To have what was expected and what
was seen as a page: `EXTPROC_LOSS_TABLE=loss.md pytest tests/e2e/test_nothing_lost.py`.
"""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest
from support.loss_gateway import LossGateway, Row, Seen, row_of
from support.loss_play import Scene
from support.loss_situations import CUT, DRAIN, SITUATIONS, Act, Situation, expected
from support.loss_streams import NOTHING, STREAMS
from support.loss_table import write

from extproc.usage import UsageSource

pytestmark = pytest.mark.e2e

ALL = pytest.mark.parametrize("situation", [*SITUATIONS, DRAIN, CUT], ids=lambda situation: situation.name)


@pytest.fixture(scope="module", name="reported")
def _reported(tmp_path_factory: pytest.TempPathFactory) -> LossGateway:
    """What was counted where nothing is estimated."""
    gateway = LossGateway(tmp_path_factory.mktemp("reported"), {"estimate": "off"})
    gateway.play()
    _write_table(gateway, "Nothing estimated: expected and seen")
    return gateway


@pytest.fixture(scope="module", name="estimated")
def _estimated(tmp_path_factory: pytest.TempPathFactory) -> LossGateway:
    """What was counted where streams are estimated with each chunk; in another mode, for which nothing is otherwise."""
    usage = {"estimate": "partial", "estimate_interval_seconds": 0}
    gateway = LossGateway(tmp_path_factory.mktemp("estimated"), usage, body_mode="FULL_DUPLEX_STREAMED")
    gateway.play()
    return gateway


def _write_table(gateway: LossGateway, title: str) -> None:
    if path := os.environ.get("EXTPROC_LOSS_TABLE"):
        counted = {scene: expected(scene.stream, scene.situation) for scene in gateway.rows}
        wanted = {
            scene: (counted[scene], row_of(counted[scene], has_counters=row.counted is not None))
            for scene, row in gateway.rows.items()
        }
        write(Path(path), title, gateway.rows, wanted)


@ALL
def test_what_is_known_is_counted_once_and_everywhere(reported: LossGateway, situation: Situation) -> None:
    """The access log, the usage log and the counters say of each stream what its provider had said by then."""
    scenes = {scene: row for scene, row in reported.rows.items() if scene.situation is situation}
    wanted = {
        scene.request_id: row_of(expected(scene.stream, situation), has_counters=row.counted is not None)
        for scene, row in scenes.items()
    }
    assert {scene.request_id: row for scene, row in scenes.items()} == wanted
    assert {scene.stream.name for scene in scenes} == {stream.name for stream in STREAMS}


def test_each_exchange_ends_once(reported: LossGateway) -> None:
    """In one of the ways there are, by the counter of them."""
    endings = Counter(expected(stream, situation).completion.value for stream in STREAMS for situation in SITUATIONS)
    assert reported.completions == endings


@ALL
def test_what_is_not_known_is_estimated_everywhere_alike(estimated: LossGateway, situation: Situation) -> None:
    """Where the provider had said nothing, beside what it had said, and in the place of nothing else."""
    scenes = {scene: row for scene, row in estimated.rows.items() if scene.situation is situation}
    assert {scene.stream.name for scene in scenes} == {stream.name for stream in STREAMS}
    assert {scene.request_id: fault for scene, row in scenes.items() if (fault := _fault_of(scene, row))} == {}


def _fault_of(scene: Scene, row: Row) -> str | None:
    """Return what is wrong with a row, if anything is."""
    told, known = row.usage_log, expected(scene.stream, scene.situation)
    prompt, completion = told.counts
    if row.access_log != Seen(told.counts, told.charged, told.source) or row.counted not in (None, Seen(told.counts)):
        return f"not the same everywhere: {row}"
    if (told.completion, told.exchanges) != (known.completion, 1):
        return f"{told.exchanges} of {told.completion} in the place of one of {known.completion}"
    if known.source is UsageSource.REPORTED or not _is_estimated(scene):
        return None if told == row_of(known, has_counters=False).usage_log else f"{told} in the place of {known}"
    if told.charged != (prompt or 0) + (completion or 0):
        return f"charged otherwise than counted: {told}"
    known_prompt, known_completion = known.counts
    is_beside = (known_prompt is None or prompt == known_prompt) and (completion or 0) >= (known_completion or 0)
    source = UsageSource.ESTIMATED if known.counts == NOTHING else UsageSource.PARTIAL
    return None if prompt and is_beside and told.source == source else f"{told} is no estimate beside {known}"


def _is_estimated(scene: Scene) -> bool:
    """Say whether there is anything to estimate: an answer that has begun, with text that can be found."""
    situation = scene.situation
    has_begun = situation.act is not Act.REFUSE and situation.pieces(scene.stream) > 0
    return has_begun and scene.stream.may_be_estimated(has_usage=situation.has_usage)
