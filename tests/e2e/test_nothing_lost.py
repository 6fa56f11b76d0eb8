"""Nothing lost on the way: every API's stream, in every situation, through the real Envoy.

All of them are played once, at the same time, and each test looks at one situation. To have what was expected and what
was seen as a page: `EXTPROC_LOSS_TABLE=loss.md pytest tests/e2e/test_nothing_lost.py`.
"""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest
from support.loss_gateway import LossGateway, row_of
from support.loss_situations import CUT, DRAIN, SITUATIONS, Situation, expected
from support.loss_streams import STREAMS
from support.loss_table import write

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module", name="reported")
def _reported(tmp_path_factory: pytest.TempPathFactory) -> LossGateway:
    """What was counted where nothing is estimated."""
    gateway = LossGateway(tmp_path_factory.mktemp("loss"), {"estimate": "off"})
    gateway.play()
    if path := os.environ.get("EXTPROC_LOSS_TABLE"):
        wanted = {scene: expected(scene.stream, scene.situation) for scene in gateway.rows}
        rows = {
            scene: row_of(wanted[scene], has_counters=row.counted is not None) for scene, row in gateway.rows.items()
        }
        write(Path(path), "Expected and seen, nothing estimated", gateway.rows, {k: (wanted[k], rows[k]) for k in rows})
    return gateway


@pytest.mark.parametrize("situation", [*SITUATIONS, DRAIN, CUT], ids=lambda situation: situation.name)
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
