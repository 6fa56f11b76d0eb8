from __future__ import annotations

from msgspec.structs import replace
from support.records import JSON, TRACE, around

from extproc.sinks.exemplars import Witness, witness_of


def test_an_exemplar_names_trace_and_span_in_hex() -> None:
    """That is how trace backends are asked for them, zeros in front included."""
    found = witness_of(around(trace=TRACE), 12.5)
    assert found == Witness({"trace_id": f"{0xABC:032x}", "span_id": f"{0xDEF:016x}"}, 12.5)


def test_there_is_none_where_no_span_can_be_found() -> None:
    """One that was not sampled was never sent."""
    assert witness_of(around(trace=replace(TRACE, is_sampled=False)), 0) is None
    assert witness_of(around(trace=None), 0) is None
    assert witness_of(replace(JSON, surroundings=None), 0) is None
