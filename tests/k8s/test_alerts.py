"""The alerts: promtool accepts them, their metrics are there, each has cases for and against it, and a runbook."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.observable import observable
from support.prometheus import promtool
from support.promql import selectors

from tools.alerts import OBJECT, RULES, render_object

K8S = RULES.parent
CASES = (K8S / "alerts.test.yaml", K8S / "alerts.weeks.test.yaml")
RUNBOOKS = K8S.parent / "docs" / "runbooks.md"
ALL_RULES = [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]
ALERTS = {rule["alert"]: rule for rule in ALL_RULES if "alert" in rule}
RECORDS = {rule["record"] for rule in ALL_RULES if "record" in rule}
SECTIONS = dict(re.findall(r"^### (\w+)\n(.*?)(?=^#|\Z)", RUNBOOKS.read_text(), re.DOTALL | re.MULTILINE))


def test_promtool_accepts_the_rules() -> None:
    """All of them."""
    assert f"{len(ALL_RULES)} rules found" in promtool("check", "rules", RULES)


def test_alerts_fire_when_they_should_and_say_what_they_should() -> None:
    """The cases stand in k8s/."""
    promtool("test", "rules", *CASES)


def test_each_alert_has_a_case_for_and_one_against() -> None:
    """That is: with what it says, word by word; and with all counts at rest."""
    tested: dict[str, list[Any]] = {name: [] for name in ALERTS}
    for path in CASES:
        for case in yaml.safe_load(path.read_text())["tests"]:
            for test in case["alert_rule_test"]:
                tested[test["alertname"]].append(test["exp_alerts"])
    for name, expected in tested.items():
        assert [] in expected, name
        fired = [alert for alerts in expected for alert in alerts]
        assert fired, name
        assert all(alert["exp_annotations"].keys() == ALERTS[name]["annotations"].keys() for alert in fired), name


def test_every_metric_that_a_rule_names_is_there() -> None:
    """Or another rule records it, which is used."""
    named = {each.metric for rule in ALL_RULES for each in selectors(rule["expr"])}
    assert named - observable() == RECORDS


def test_alerts_are_told_apart_by_where_they_are() -> None:
    """Sums keep the labels that Prometheus adds, so that one cluster's alert is not another's."""
    for rule in ALL_RULES:
        for labels in re.findall(r"\bby \(([^)]*)\)", rule["expr"]):
            assert labels.startswith("cluster, namespace, job"), rule


def test_every_alert_says_how_bad_it_is_and_where_to_read_on() -> None:
    """The anchor is that of its section."""
    for name, alert in ALERTS.items():
        assert alert["labels"].keys() == {"severity"}
        assert alert["labels"]["severity"] in {"critical", "warning", "info"}
        assert alert["annotations"].keys() == {"summary", "description", "runbook_url"}
        assert alert["annotations"]["runbook_url"] == f"docs/runbooks.md#{name.lower()}"


def test_every_alert_has_its_section_and_every_section_its_alert() -> None:
    """In the order of the rules, with the same severity and the same questions answered."""
    assert list(SECTIONS) == list(ALERTS)
    for name, text in SECTIONS.items():
        assert text.startswith(f"\n*{ALERTS[name]['labels']['severity']}*"), name
        assert re.findall(r"^\*\*(.+?)\*\*", text, re.MULTILINE) == ["Means", "Look", "Do"], name


def test_every_metric_that_a_runbook_names_is_there() -> None:
    """As a query, or as a word."""
    text = RUNBOOKS.read_text()
    queries = re.findall(r"```promql\n(.*?)```", text, re.DOTALL)
    assert len(queries) > 10
    asked = {each.metric for block in queries for query in block.split("\n\n") for each in selectors(query)}
    words = set(re.findall(r"`((?:ai|extproc|gen_ai|process)_\w+)(?=[`{])", text))
    assert (asked | words) - observable() - RECORDS == set()


def test_the_object_is_what_is_written() -> None:
    """`make docs` writes it: the same rules, for Prometheus's operator."""
    assert OBJECT.read_text() == render_object()
    document = yaml.safe_load(OBJECT.read_text())
    assert document["kind"] == "PrometheusRule"
    assert document["spec"] == yaml.safe_load(RULES.read_text())


def test_runbooks_can_be_given_another_place(tmp_path: Path) -> None:
    """As docs/runbooks.md shows it: what stands before the # is replaced in every alert."""
    if (kubectl := shutil.which("kubectl")) is None:
        pytest.skip("no kubectl here, which has kustomize in it")
    (example,) = re.findall(r"```yaml\n(.*?)```", RUNBOOKS.read_text(), re.DOTALL)
    component = Path("../" * len(tmp_path.parts[1:])) / OBJECT.parent.relative_to("/")
    shown = example.replace("components/prometheus-rule", str(component))
    assert shown != example
    (tmp_path / "kustomization.yaml").write_text(shown)
    built = subprocess.run([kubectl, "kustomize", tmp_path], capture_output=True, text=True, check=True)
    (rule,) = (each for each in yaml.safe_load_all(built.stdout) if each["kind"] == "PrometheusRule")
    found = {each["annotations"]["runbook_url"] for group in rule["spec"]["groups"] for each in group["rules"]
             if "alert" in each}  # fmt: skip
    assert found == {f"https://wiki.example.com/ai-gateway/runbooks#{name.lower()}" for name in ALERTS}
