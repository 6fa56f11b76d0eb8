"""The queries of docs/billing.md, by promtool: a bill that each of them makes of counters that come and go."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from support.documented import ROOT, examples_of
from support.prometheus import promtool

QUERIES = examples_of(ROOT / "docs" / "billing.md", "promql")
_MONTH_HOURS = 30 * 24

# A sample each hour, of the 30 days before and of those that are asked for.
DOLLARS = {
    # A pod that has run for long, while Prometheus was away as the month began.
    '{team="dev",model="m",pod="a"}': f"0+0x{_MONTH_HOURS - 12} _x20 0+1x99 100x{_MONTH_HOURS - 99 - 10}",
    # One that began within the month, and was started again: 8, and then 4.
    '{team="dev",model="m",pod="b"}': f"_x{_MONTH_HOURS + 50} 5x20 8x20 2x20 4x20",
    # Two that have had a single exchange of a team's; one was scraped once.
    '{team="ops",model="m",pod="c"}': f"_x{_MONTH_HOURS + 50} 3x200",
    '{team="ops",model="m",pod="d"}': f"_x{_MONTH_HOURS + 50} 7 _x200",
}


@pytest.mark.parametrize(
    ("has", "expected"),
    [
        (r"\Asum by \(team\) \(increase\(ai_cost_usd_total\[30d\]\)\)", {"dev": 107, "ops": 0}),
        ("min_over_time", {"dev": 109, "ops": 10}),
    ],
    ids=["as a board counts", "with what series begin with"],
)
def test_what_a_team_costs(has: str, expected: dict[str, float], tmp_path: Path) -> None:
    """To the dollar, but for a pod that was started again: of its two beginnings, 5 and 2, the smaller one is added."""
    (query,) = [each for each in QUERIES if re.search(has, each)]
    samples = [{"labels": f'{{team="{team}"}}', "value": value} for team, value in expected.items()]
    case = {
        "interval": "1h",
        "input_series": [{"series": f"ai_cost_usd_total{each}", "values": text} for each, text in DOLLARS.items()],
        "promql_expr_test": [
            {"expr": f"round({query.strip()})", "eval_time": f"{2 * _MONTH_HOURS}h", "exp_samples": samples}
        ],
    }
    (tmp_path / "bill.yaml").write_text(yaml.safe_dump({"tests": [case]}))
    promtool("test", "rules", tmp_path / "bill.yaml")
