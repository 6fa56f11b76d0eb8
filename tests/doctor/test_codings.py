from __future__ import annotations

import pytest
from support.dumps import attached_of, expected_of

from extproc.demo.bootstrap import Bootstrap
from extproc.doctor.codings import check_compressors


def compressor(library: str, **more: bool) -> dict[str, object]:
    config = {"@type": "t/v3.Compressor", "compressor_library": {"typed_config": {"@type": f"t/v3.{library}"}}}
    return {"name": "squeeze", "typed_config": config, **more}


@pytest.mark.parametrize(
    ("file", "place", "squeeze", "expected"),
    [
        ("envoy.yaml", 0, compressor("Gzip"), []),
        ("envoy.yaml", 1, compressor("Gzip"), ["note"]),
        ("envoy.yaml", 1, compressor("Zstd"), ["note"]),
        ("envoy.yaml", 1, compressor("Qatzip"), ["error"]),
        ("envoy.yaml", 1, compressor("Qatzip", disabled=True), []),
        ("envoy-zero-body.yaml", 1, compressor("Gzip"), []),
        ("envoy-zero-body.yaml", 2, compressor("Gzip"), []),
        ("envoy-zero-body.yaml", 3, compressor("Gzip"), ["error"]),
    ],
)
def test_who_reads_an_answer_has_it_before_it_is_compressed(
    file: str, place: int, squeeze: dict[str, object], expected: list[str]
) -> None:
    """Or can take the coding off again, which Envoy's AI Protocol Manager does not."""
    configured = Bootstrap(file)
    configured._connection_manager["http_filters"].insert(place, squeeze)
    found = list(check_compressors(attached_of(configured), expected_of()))
    assert [each.severity for each in found] == expected
    assert {each.code for each in found} <= {"compressed-before-reading"}
