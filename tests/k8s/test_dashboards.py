"""The boards are what tools/dashboards/ writes, hold together by themselves, and ask for metrics that there are.

No Grafana is needed for it, and none is asked: what it would do with the files is known from its SDK's types.
tests/e2e/test_dashboards.py puts the questions to a real Prometheus.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard
from support.observable import observable
from support.observed import DASHBOARDS, VARIABLES, boards, queries, substituted
from support.prometheus import promtool
from support.promql import grouped, selectors

from tools.dashboards.boards import BOARDS

BOARD = pytest.mark.parametrize("board", [pytest.param(document, id=name) for name, document in boards()])
COLUMNS = 24

Board = dict[str, Any]


def panels(board: Board) -> list[dict[str, Any]]:
    return [panel for panel in board["panels"] if panel["type"] != "row"]


def test_the_files_are_what_is_written() -> None:
    """`make docs` writes them."""
    assert {path.name: path.read_text() for path in DASHBOARDS.glob("*.json")} == {
        name: board.render() for name, board in BOARDS.items()
    }


@BOARD
def test_the_sdk_reads_a_board_as_it_wrote_it(board: Board) -> None:
    """So nothing in it is of a kind that Grafana's own types do not know."""
    register_default_plugins()
    assert json.loads(JSONEncoder().encode(Dashboard.from_json(board))) == board


@BOARD
def test_every_panel_says_what_it_is_and_what_to_do(board: Board) -> None:
    """A title that no other has, a unit, a sentence, a word for when there is nothing, and a source that is chosen."""
    for panel in panels(board):
        defaults = panel["fieldConfig"]["defaults"]
        assert panel["title"]
        assert defaults["unit"], panel["title"]
        assert defaults["noValue"], panel["title"]
        assert len(panel["description"]) > 30, panel["title"]
        assert panel["description"].endswith("."), panel["title"]
        sources = [panel["datasource"], *(target["datasource"] for target in panel["targets"])]
        assert sources == [{"type": "prometheus", "uid": "${datasource}"}] * len(sources)
        assert [target["refId"] for target in panel["targets"]] == list("ABCDEFGH")[: len(panel["targets"])]
    titles = [(panel["title"], panel["type"]) for panel in panels(board)]
    assert len(set(titles)) == len(titles)


@BOARD
def test_panels_have_places_of_their_own(board: Board) -> None:
    """No two have an id or a cell in common, none reaches beyond the edge, and rows have no holes to their left."""
    identities = [panel["id"] for panel in board["panels"]]
    assert len(set(identities)) == len(identities)
    taken: dict[tuple[int, int], str] = {}
    for panel in board["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= COLUMNS, panel["title"]
        for x in range(place["x"], place["x"] + place["w"]):
            for y in range(place["y"], place["y"] + place["h"]):
                assert (x, y) not in taken, (panel["title"], taken[x, y])
                taken[x, y] = panel["title"]
    assert {x for x, _ in taken} == set(range(COLUMNS))


@BOARD
def test_every_variable_that_is_used_is_there(board: Board) -> None:
    """And the other way round: none is asked for in vain. Grafana has those that begin with two underscores."""
    named = {variable["name"] for variable in board["templating"]["list"]}
    without_names = json.dumps({key: value for key, value in board.items() if key != "templating"})
    inner = json.dumps([variable.get("query") for variable in board["templating"]["list"]])
    used = set(re.findall(r"\$\{?([a-z]\w*)", without_names + inner))
    assert used == named
    assert set(re.findall(r"\$(__\w+)", without_names)) <= VARIABLES.keys()


@BOARD
def test_every_metric_that_is_asked_for_is_there(board: Board) -> None:
    """And so is a board that follows from the others only if it asks for something."""
    asked = {each.metric for _, query in queries(board) for each in selectors(substituted(query))}
    assert asked - observable() == set()
    assert len(asked) > 15


def test_what_the_readme_lists_is_shown_somewhere() -> None:
    """All metrics of our own but those that say the same in other words, or that an alert looks after."""
    asked = {
        each.metric for _, board in boards() for _, query in queries(board) for each in selectors(substituted(query))
    }
    ours = {
        name for name in observable() if name.startswith(("ai_", "extproc_")) and not name.endswith(("_sum", "_count"))
    }
    assert ours - asked == {
        "extproc_cost_usd_total",  # ai_cost_usd_total, by OpenTelemetry's names
        "extproc_budget_over_limit_hits_total",  # extproc_budget_decisions_total, in hits
        "extproc_budget_returned_hits_total",  # of estimates that were too high
        "extproc_sink_errors_total",  # ExtprocSinkErrors: one is one too many
    }


def test_panels_by_team_hold_without_teams() -> None:
    """What they group by is what the variable says, and the label they show is always there."""
    board = dict(boards())["ai-gateway"]
    by_team = [query for title, query in queries(board) if title.endswith("by team")]
    assert len(by_team) == 5
    for query in by_team:
        assert grouped(substituted(query, {**VARIABLES, "team_label": "cell"})) == {"cell"}
        assert '"shown", "no label ${team_label}"' in query


def test_descriptions_name_alerts_and_pages_that_there_are(root: Path) -> None:
    """Whoever reads one knows where to go on."""
    rules = yaml.safe_load((root / "k8s" / "alerts.yaml").read_text())
    alerts = {rule.get("alert") for group in rules["groups"] for rule in group["rules"]}
    text = " ".join(panel["description"] for _, board in boards() for panel in panels(board))
    assert set(re.findall(r"\b(?:Extproc|Llm)[A-Z]\w+", text)) <= alerts
    assert all((root / page).is_file() for page in set(re.findall(r"docs/\w+\.md", text)))


def test_the_component_has_a_config_map_for_each_board(tmp_path: Path) -> None:
    """With the label by which Grafana's sidecar finds them, and no room taken that etcd has not."""
    if (kubectl := shutil.which("kubectl")) is None:
        pytest.skip("no kubectl here, which has kustomize in it")
    relative = Path("../" * len(tmp_path.parts[1:])) / DASHBOARDS.relative_to("/")
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump({"components": [str(relative)]}))
    built = subprocess.run([kubectl, "kustomize", tmp_path], capture_output=True, text=True, check=True)
    maps = list(yaml.safe_load_all(built.stdout))
    assert {name for each in maps for name in each["data"]} == BOARDS.keys()
    for each in maps:
        assert each["kind"] == "ConfigMap"
        assert each["metadata"]["labels"]["grafana_dashboard"] == "1"
        assert sum(map(len, each["data"].values())) < 1_000_000


# What sidecars with one process and with several count, a second, and hold; and a program that is none.
COUNTERS = {
    'process_cpu_seconds_total{instance="one",job="a"}': 0.5,
    'process_cpu_seconds_total{instance="two",job="a"}': 0.1,
    'process_cpu_seconds_total{instance="three",job="b"}': 1,
    'extproc_worker_cpu_seconds_total{instance="two",job="a",worker="0"}': 0.7,
    'extproc_worker_cpu_seconds_total{instance="two",job="a",worker="1"}': 0.8,
    'ai_total_tokens_total{instance="one",job="a",llm="openai",model="m"}': 1.2,
    'ai_total_tokens_total{instance="one",job="a",llm="openai",model="m",usage_source="estimated"}': 0.8,
    'ai_total_tokens_total{instance="two",job="a",llm="openai",model="m",team="blue"}': 1,
    'ai_prompt_tokens_total{instance="one",job="a",llm="openai",model="m"}': 5,
    'ai_cached_tokens_total{instance="one",job="a",llm="openai",model="m"}': 4,
    'ai_requests_total{instance="one",job="a",llm="openai",model="m"}': 6,
    'ai_requests_total{instance="two",job="a",llm="openai",model="m",team="blue"}': 2,
    'ai_failed_requests_total{instance="one",job="a",llm="openai",model="m",failure="server_error"}': 1,
    'ai_failed_requests_total{instance="two",job="a",llm="openai",model="m",team="blue",failure="client_error"}': 1,
    'http_server_request_duration_seconds_count{instance="one",job="a",http_response_status_code="200"}': 6,
    'http_server_request_duration_seconds_count{instance="three",job="b",http_response_status_code="200"}': 9,
}
GAUGES = {
    'up{instance="one",job="a"}': 1,
    'up{instance="two",job="a"}': 1,
    'up{instance="one:9901",job="a"}': 0,
    'extproc_build_info{instance="one",job="a",version="1"}': 1,
    'extproc_build_info{instance="two",job="a",version="1"}': 1,
    'process_resident_memory_bytes{instance="one",job="a"}': 90,
    'process_resident_memory_bytes{instance="two",job="a"}': 50,
    'process_resident_memory_bytes{instance="three",job="b"}': 70,
    'extproc_max_memory_bytes{instance="one",job="a"}': 100,
    'extproc_max_memory_bytes{instance="two",job="a"}': 125,
    'extproc_worker_resident_memory_bytes{instance="two",job="a",worker="0"}': 100,
    'extproc_worker_resident_memory_bytes{instance="two",job="a",worker="1"}': 100,
}

# What panels make of it.
EXPECTED: list[tuple[tuple[str, str], dict[str, float]]] = [
    (("ai-gateway-sidecar", "Memory by sidecar"), {'{instance="one"}': 90, '{instance="two"}': 250}),
    (
        ("ai-gateway-sidecar", "Largest process, of its bound of memory"),
        {'{instance="one"}': 0.9, '{instance="two"}': 0.8},
    ),
    (("ai-gateway-sidecar", "Cores by sidecar"), {'{instance="one"}': 0.5, '{instance="two"}': 1.6}),
    (("ai-gateway", "Tokens a minute by team"), {'{shown="no label team"}': 120, '{shown="blue",team="blue"}': 60}),
    (("ai-gateway-sidecar", "Sidecars that answer"), {"{}": 1}),
    (("ai-gateway", "Failed"), {"{}": 0.25}),
    (("ai-gateway", "Answers a second by status"), {'{http_response_status_code="200"}': 6}),
    (
        ("ai-gateway", "Tokens by who counted them"),
        {'{usage_source="reported"}': 0.733, '{usage_source="estimated"}': 0.267},
    ),
    (("ai-gateway", "Share of the prompt that came from caches, by model"), {'{llm="openai",model="m"}': 0.8}),
]


def test_numbers_are_those_of_one_process_and_of_several(tmp_path: Path) -> None:
    """By promtool: without workers and without teams, with both, and beside a program that is no sidecar."""
    asked = {
        (board, title): substituted(query, {**VARIABLES, "job": ".+", "__rate_interval": "5m"})
        for board, document in boards()
        for title, query in queries(document)
    }
    series = [{"series": name, "values": f"0+{60 * each}x20"} for name, each in COUNTERS.items()]
    series += [{"series": name, "values": f"{value}x20"} for name, value in GAUGES.items()]
    answers = [
        {
            "expr": f"round({asked[panel]}, 0.001)",
            "eval_time": "10m",
            "exp_samples": [{"labels": labels, "value": value} for labels, value in samples.items()],
        }
        for panel, samples in EXPECTED
    ]
    case = {"interval": "1m", "input_series": series, "promql_expr_test": answers}
    (tmp_path / "boards.yaml").write_text(yaml.safe_dump({"tests": [case]}))
    promtool("test", "rules", tmp_path / "boards.yaml")
