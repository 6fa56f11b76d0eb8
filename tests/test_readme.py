"""README.md says what there is: no setting, key, metric or header less, and none more."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml
from msgspec.structs import replace
from prometheus_client import CollectorRegistry
from support.records import JSON, TRACE, around
from support.reported import build_processor
from support.sidecar import run

from extproc import semconv
from extproc.config.address import UnixSocket, parse_address
from extproc.config.section import Section
from extproc.config.settings import Settings
from extproc.demo.requests import demo_requests
from extproc.errors import Hindrance
from extproc.headers import REQUEST_HEADERS, RESPONSE_HEADERS
from extproc.providers.base import MAX_NAME_CHARACTERS
from extproc.reloading import ReloadMetrics
from extproc.sinks.metadata import build_fields
from extproc.sinks.processes import WorkerProcesses
from extproc.sinks.usage_log import encode_line
from extproc.usage import Completion, Cost, NativeCheck, UsageSource

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()
UNITS = {"KiB": 1024, "MiB": 1024 * 1024, "GiB": 1024 * 1024 * 1024}


def section(title: str) -> str:
    """Return what stands under a heading, up to the next."""
    return re.split(r"^#+ ", README.partition(f"# {title}\n")[2], maxsplit=1, flags=re.MULTILINE)[0]


def rows(text: str) -> list[list[str]]:
    """Return the cells of the tables' rows, without their headings."""
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line[:1] == "|"]
    return [row for row, after in zip(cells, [*cells[1:], [""]], strict=True) if "---" not in row[0] + after[0]]


def quoted(text: str) -> list[str]:
    return re.findall(r"`([^`{]+)[^`]*`", text)


def default(text: str) -> object:
    """Return the value that a cell of the table of settings stands for."""
    number, _, unit = text.partition(" ")
    if number.replace(".", "").isdigit():
        return float(number) * UNITS.get(unit, 1)
    if text == "none":
        return ()
    if text == "off":
        return None
    if text in ("`true`", "`false`"):
        return text == "`true`"
    if text == "section":
        return "section"
    words = tuple(quoted(text))
    return words if len(words) > 1 else words[0]


def test_every_setting_is_there_with_its_default() -> None:
    """In the order of the settings."""
    told = {quoted(row[0])[0]: default(row[1]) for row in rows(section("Settings"))}
    defaults = {name: field.default for name, field in Settings.model_fields.items()}
    assert told == {name: "section" if isinstance(it, Section) else it for name, it in defaults.items()}


def test_the_flags_are_those_it_says() -> None:
    """The first five settings."""
    assert "the first five are flags as well" in section("Settings").replace("\n", " ")
    flags = re.findall(r"--([a-z-]+)", run("serve", "--help").stdout)
    assert flags == ["config", *(name.replace("_", "-") for name in list(Settings.model_fields)[:5]), "help"]


def test_every_metadata_key_is_there() -> None:
    """And what the closed sets of words are."""
    table = rows(section("What it writes").partition("On `:9092/metrics`")[0])
    keys = {value for name, value in vars(semconv).items() if name.startswith("KEY_")}
    assert {key for row in table for key in quoted(row[0])} == keys - {semconv.KEY_HITS_ADDEND}
    sources = next(row[1] for row in table if quoted(row[0]) == [semconv.KEY_USAGE_SOURCE])
    assert set(quoted(sources)) == set(UsageSource)


def test_every_metric_is_there() -> None:
    """As a scrape names it."""
    registry = CollectorRegistry()
    build_processor(Settings(), registry)
    ReloadMetrics(registry)
    there = {metric.name + {"counter": "_total", "info": "_info"}.get(metric.type, "") for metric in registry.collect()}
    tables = rows(section("What it writes").partition("On `:9092/metrics`")[2])
    assert {name for row in tables for name in quoted(row[0])} == there
    outcomes = next(row[1] for row in tables if quoted(row[0]) == ["extproc_native_usage_total"])
    assert quoted(outcomes) == list(NativeCheck)
    completions = next(row[1] for row in tables if quoted(row[0]) == ["extproc_exchanges_total"])
    assert quoted(completions) == list(Completion)


def test_every_metric_of_the_workers_is_there() -> None:
    """As a scrape names it."""
    there = {metric.name + {"counter": "_total"}.get(metric.type, "") for metric in WorkerProcesses([]).collect()}
    assert {name for row in rows(section("More than one core")) for name in quoted(row[0])} == there


def test_the_sockets_of_the_workers_are_those_it_says() -> None:
    """As many as the command starts, under the names they have."""
    text = section("More than one core")
    match = re.search(r"--workers (\d+) --listen (\S+)`", text)
    assert match is not None
    listen = parse_address(match[2])
    assert isinstance(listen, UnixSocket)
    (example,) = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    (locality,) = yaml.safe_load(example)["load_assignment"]["endpoints"]
    paths = [each["endpoint"]["address"]["pipe"]["path"] for each in locality["lb_endpoints"]]
    assert paths == [listen.numbered(number).name for number in range(int(match[1]))]


def test_the_headers_that_are_read_are_those_it_says() -> None:
    """And how many."""
    trust = section("Trust")
    headers = trust.partition("reads sixteen headers:")[2].partition(". ")[0]
    assert set(quoted(headers)) == REQUEST_HEADERS | RESPONSE_HEADERS
    assert len(REQUEST_HEADERS | RESPONSE_HEADERS) == 16
    assert f"cut at {MAX_NAME_CHARACTERS} characters" in trust.replace("\n", " ")


def test_the_demo_sends_as_many_requests_as_it_says() -> None:
    """One of each kind."""
    assert "sends eleven requests" in README
    assert len(demo_requests()) == 11


@pytest.mark.parametrize(
    ("title", "file", "setting"),
    [
        ("Put it beside your Envoy", "envoy.yaml", "failure_mode_allow: true"),
        ("Without bodies", "envoy-zero-body.yaml", "processing_mode"),
    ],
)
def test_the_settings_of_envoy_that_decide_are_in_the_file(title: str, file: str, setting: str) -> None:
    """Under the names it says."""
    config = (ROOT / "envoy" / file).read_text()
    paths = [quoted(row[0])[0] for row in rows(section(title))]
    assert setting in paths
    for path in paths:
        assert f"{path.partition(':')[0].rpartition('.')[2]}:" in config, path
        assert all(word in config for word in path.partition("[")[2].rstrip("]").split(", ")), path


def test_every_problem_of_envoys_is_there() -> None:
    """As the metric's label has it."""
    assert [name for row in rows(section("Logs")) for name in quoted(row[0])] == list(Hindrance)


def test_every_key_of_the_usage_log_is_there() -> None:
    """Beside those of the metadata; and the example is a line as it is written."""
    text = section("Usage log")
    record = replace(around(JSON, trace=TRACE, labels=("a",)), request_id="r-1", cost=Cost(1e-7, 0))
    line = json.loads(encode_line(0.0, record, ("team",)))
    known = {*build_fields(record), semconv.KEY_HITS_ADDEND}
    assert {name for row in rows(text) for name in quoted(row[0])} == line.keys() - known
    (example,) = re.findall(r"```text\n(.*?)```", text, re.DOTALL)
    assert json.loads(example).keys() <= line.keys() | {semconv.KEY_FINISH_REASON}
    completions = next(row[1] for row in rows(text) if quoted(row[0]) == ["completion"])
    assert quoted(completions) == list(Completion)
