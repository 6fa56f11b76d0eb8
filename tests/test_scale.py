"""docs/scale.md: its tables are those of the figures in docs/performance.md, and what it says beside them is so."""

from __future__ import annotations

import importlib.util
import math
import re
import sys
from types import ModuleType

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from support.manifests import ROOT, build, of_kind
from support.metered_records import record

from extproc.config.settings import Settings
from extproc.sinks.tokens import TokenMetrics
from extproc.usage import Cost, Timing, TokenUsage

PAGE = (ROOT / "docs" / "scale.md").read_text()
PERFORMANCE = (ROOT / "docs" / "performance.md").read_text()


@pytest.fixture(name="scale", scope="module")
def _scale() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate_scale", ROOT / "tools" / "generate_scale.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # A dataclass looks its module up by its name.
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_the_tables_are_those_of_the_figures(scale: ModuleType) -> None:
    """Whoever measures anew runs `make docs`."""
    assert scale.put_tables(PAGE, scale.render(PERFORMANCE)) == PAGE


def test_a_row_is_what_the_formulas_say() -> None:
    """Worked out by hand: streams with a message for each token, at a thousand million tokens a minute."""

    def row(title: str) -> list[str]:
        table = PERFORMANCE.partition(f"### {title}\n")[2].partition("###")[0]
        (line,) = re.findall(r"^\| sidecar/completion_queue \|(.*)\|$", table, re.MULTILINE)
        return [cell.strip() for cell in line.split("|")]

    _, chunk_us, eight_ms, *_ = row("CPU time of the sidecar")
    chunk = float(chunk_us) / 1e6
    sidecar = float(eight_ms) / 1e3 - 8 * chunk + 500 * chunk
    rate = 1e9 / 1500 / 60
    pods = math.ceil(rate * sidecar / 0.6)
    (line,) = re.findall(r"^\| 1 G \|(.*)\|$", PAGE, re.MULTILINE)
    _, _, streamed, *_ = (int(cell.replace(",", "")) for cell in line.split("|"))
    assert pods <= streamed < pods * 1.01


def test_the_tool_finds_no_table_where_there_is_none(scale: ModuleType) -> None:
    with pytest.raises(ValueError, match="scale:pods"):
        scale.put_tables("nothing", {"pods": ""})


def test_pods_are_filled_to_what_the_scaler_aims_at(scale: ModuleType) -> None:
    """The numbers on the page and in the tool are those of the manifest."""
    (scaler,) = of_kind(build("base"), "HorizontalPodAutoscaler")
    aims = {
        metric["containerResource"]["container"]: metric["containerResource"]["target"]["averageValue"]
        for metric in scaler["spec"]["metrics"]
    }
    assert aims == {"extproc": f"{scale.SIDECAR_CORES * 1000:.0f}m", "envoy": f"{scale.ENVOY_CORES * 1000:.0f}m"}
    assert scaler["spec"]["minReplicas"] == scale.FEWEST_PODS
    assert f"max(sidecar seconds / {scale.SIDECAR_CORES}, Envoy seconds / {scale.ENVOY_CORES})" in PAGE
    assert f"`maxReplicas` ({scaler['spec']['maxReplicas']})" in PAGE


def test_a_pair_of_labels_has_as_many_series() -> None:
    """When everything there is to count is counted; and so many pods and models as many in all."""
    registry = CollectorRegistry()
    usage = TokenUsage(3, 4, cached_tokens=1, cache_creation_tokens=1, reasoning_tokens=1)
    TokenMetrics(registry, max_label_values=9).emit(
        record(
            usage,
            timing=Timing(last_token_seconds=1.2, output_chunks=2),
            time_to_first_token_seconds=0.1,
            cost=Cost(0.5, 500_000, 0.1, 0.1),
            rate_limited_tokens=7,
        )
    )
    lines = [
        line for line in generate_latest(registry).decode().splitlines() if "model=" in line and "_created{" not in line
    ]
    assert f"up to {len(lines)} series" in PAGE
    for pods, few, many in re.findall(r"^\| ([\d,]+) \| ([\d,]+) \| ([\d,]+) \|$", PAGE, re.MULTILINE):
        count = int(pods.replace(",", ""))
        assert f"{count * (60 + len(lines) * 20):,}" == few
        assert f"{count * (60 + len(lines) * Settings().max_label_values):,}" == many
