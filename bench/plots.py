"""The plots of docs/performance.md: cost by subject, cost by length of the stream, added latency.

Owns: how they look. Every plot is one question with its answer in view; figures are the medians of the rounds.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl

from bench.figures import Spread
from bench.results import Results
from bench.subjects import BARE

mpl.use("Agg")
from matplotlib import pyplot as plt

_WIDTH_INCHES = 9.0
_DPI = 130
_ENVOY_COLOUR = "#b8bec8"
_CHUNKS = (8, 64, 512)

# A family of subjects has a colour, an engine a brightness.
_COLOURS = {
    "bare": "#8a919e",
    "floor/aio": "#c9a227",
    "floor/completion_queue": "#e6cf7a",
    "sidecar/aio": "#1f4e9c",
    "sidecar/completion_queue": "#4f8fe6",
    "zero-body-floor/completion_queue": "#9fd3a8",
    "zero-body/completion_queue": "#2e8b57",
}


def write_plots(results: Results, folder: Path) -> None:
    """Write the plots as PNG files."""
    folder.mkdir(parents=True, exist_ok=True)
    plt.rcParams.update(
        {"font.size": 10, "axes.spines.top": False, "axes.spines.right": False, "axes.titleweight": "bold",
         "axes.titlelocation": "left", "figure.facecolor": "white"}
    )  # fmt: skip
    for name, draw in (("cost", _draw_cost), ("length", _draw_length), ("latency", _draw_latency)):
        figure = draw(results)
        figure.savefig(folder / f"{name}.png", dpi=_DPI, bbox_inches="tight")
        plt.close(figure)


def _draw_cost(results: Results) -> Any:
    """Draw the CPU time of an exchange, Envoy's and the sidecar's on top of one another."""
    subjects = results.subjects
    figure, panels = plt.subplots(1, 2, figsize=(_WIDTH_INCHES, 0.45 * len(subjects) + 1.2), sharey=True)
    figures = results.figures
    for panel, (title, total, own) in zip(
        panels,
        (("JSON exchange", "json_total_cpu", "json_cpu"), ("SSE chunk", "chunk_total_cpu", "chunk_cpu")),
        strict=True,
    ):
        totals = [_median(figures[subject].get(total)) for subject in subjects]
        owns = [_median(figures[subject].get(own)) for subject in subjects]
        envoys = [max(0.0, both - one) for both, one in zip(totals, owns, strict=True)]
        panel.barh(subjects, envoys, color=_ENVOY_COLOUR, label="Envoy")
        bars = panel.barh(
            subjects, owns, left=envoys, color=[_COLOURS[subject] for subject in subjects], label="sidecar"
        )
        panel.bar_label(bars, [f"{value:,.0f}" for value in totals], padding=4, fontsize=9)
        panel.set_title(title)
        panel.set_xlabel("CPU time, µs: Envoy (grey) and sidecar")
        panel.margins(x=0.14)
    panels[0].invert_yaxis()
    figure.suptitle("What an exchange costs", x=0.01, ha="left", fontsize=13, fontweight="bold")
    figure.tight_layout()
    return figure


def _draw_length(results: Results) -> Any:
    """Draw the sidecar's CPU time of a stream over its length."""
    figure, panel = plt.subplots(figsize=(_WIDTH_INCHES, 4.6))
    for subject, figures in results.figures.items():
        costs = [_median(figures.get(f"sse_{chunks}_cpu")) for chunks in _CHUNKS]
        if subject == BARE.name or not all(costs):
            continue
        style = "--" if "floor" in subject else "-"
        panel.plot(_CHUNKS, costs, style, marker="o", color=_COLOURS[subject], label=subject, linewidth=2)
    panel.set(xscale="log", yscale="log", xlabel="chunks of the stream", ylabel="CPU time of the sidecar, ms a stream")
    panel.set_xticks(_CHUNKS, [str(chunks) for chunks in _CHUNKS])
    panel.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    panel.minorticks_off()
    panel.grid(visible=True, color="#e3e6ea")
    panel.set_title("What a longer stream costs", fontsize=13)
    panel.legend(frameon=False)
    return figure


def _draw_latency(results: Results) -> Any:
    """Draw, for each subject, the range from p50 to p99 of what it adds to a chunk's time."""
    added = results.added
    subjects = list(added)
    figure, panels = plt.subplots(1, 2, figsize=(_WIDTH_INCHES, 0.45 * len(subjects) + 1.2), sharey=True)
    for panel, (title, name) in zip(panels, (("1 stream", "paced_1"), ("64 streams", "paced_64")), strict=True):
        lows = [_median(added[subject].get(f"{name}_p50")) for subject in subjects]
        highs = [_median(added[subject].get(f"{name}_p99")) for subject in subjects]
        colours = [_COLOURS[subject] for subject in subjects]
        panel.hlines(subjects, lows, highs, color=colours, linewidth=5, alpha=0.5)
        panel.scatter(lows, subjects, color=colours, s=60, zorder=3)
        panel.scatter(highs, subjects, color=colours, s=60, zorder=3, marker="|", linewidths=3)
        panel.set_xlim(left=min(0.0, *lows), right=_beyond([*lows, *highs]))
        panel.margins(y=0.15)
        panel.set_title(title)
        panel.set_xlabel("added to a chunk, ms: p50 (dot) to p99 (bar)")
        panel.grid(visible=True, axis="x", color="#e3e6ea")
    panels[0].invert_yaxis()
    figure.suptitle("What it adds to the time of a chunk", x=0.01, ha="left", fontsize=13, fontweight="bold")
    figure.tight_layout()
    return figure


def _median(value: Spread | None) -> float:
    return 0.0 if value is None else value.median


def _beyond(values: Sequence[float]) -> float:
    return max(values) * 1.1
