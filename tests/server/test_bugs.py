from __future__ import annotations

import json

import pytest

from extproc.errors import Stage
from extproc.readers import ExtractionErrors, Limits
from extproc.request_reader import RequestReader
from extproc.server.bugs import stage_of


def test_what_is_raised_below_a_reader_was_at_its_body(monkeypatch: pytest.MonkeyPatch) -> None:
    """However deep; what is raised elsewhere is ours alone."""

    def fail(*_: object) -> None:
        json.loads("{")

    reader = RequestReader({}, Limits(), ExtractionErrors())
    monkeypatch.setattr("extproc.request_reader._REQUEST_MEMBERS", object())
    with pytest.raises(AttributeError) as read:
        reader.read_whole(b"{}")
    with pytest.raises(ValueError, match="Expecting") as elsewhere:
        fail()
    assert stage_of(read.value) is Stage.REQUEST_BODY
    assert stage_of(elsewhere.value) is Stage.EXCHANGE
    assert stage_of(KeyError()) is Stage.EXCHANGE
