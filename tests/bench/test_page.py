from __future__ import annotations

from pathlib import Path

import pytest

from bench.page import PageError, blocks_of, fill
from bench.results import Results, describe_machine
from bench.scenarios.base import Outcome

ROOT = Path(__file__).resolve().parents[2]
PAGE = """\
# Title

<!-- bench:a -->
old

| of | a |
<!-- /bench:a -->

prose

<!-- bench:b -->
<!-- /bench:b -->
end
"""


def test_only_what_stands_between_marks_changes() -> None:
    """Prose survives a run."""
    filled = fill(PAGE, {"a": "new\n", "b": "first"})
    assert filled == PAGE.replace("old\n\n| of | a |\n", "\nnew\n\n").replace(
        "<!-- bench:b -->\n", "<!-- bench:b -->\n\nfirst\n\n"
    )


def test_filling_again_makes_no_difference() -> None:
    """The page does not grow from run to run."""
    blocks = {"a": r"with \1 and \g<name>", "b": "x"}
    assert fill(fill(PAGE, blocks), blocks) == fill(PAGE, blocks)


@pytest.mark.parametrize("blocks", [{"a": ""}, {"a": "", "b": "", "c": ""}])
def test_marks_and_blocks_belong_together(blocks: dict[str, str]) -> None:
    """What is measured and not shown, or shown and not measured, is a mistake, and said by name."""
    with pytest.raises(PageError, match=r": [bc]$"):
        fill(PAGE, blocks)


def test_the_page_has_a_place_for_everything() -> None:
    """Also for a run that measured nothing."""
    results = Results(describe_machine(), [], {"workers": "there is none"}, {"start": Outcome({}, ("took a while",))})
    filled = fill((ROOT / "docs" / "performance.md").read_text(), blocks_of(results))
    assert "- took a while" in filled
    assert "- Not measured: workers: there is none." in filled
