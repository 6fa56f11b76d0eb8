#!/usr/bin/env python3
"""Write the tables of docs/scale.md from the figures in docs/performance.md; part of `make docs`.

Owns: the arithmetic from the cost of an exchange to a number of pods. The page tells the formulas and what is assumed.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

DOCS = Path(__file__).resolve().parents[1] / "docs"
PERFORMANCE = DOCS / "performance.md"
PAGE = DOCS / "scale.md"

SUBJECT = "sidecar/completion_queue"
ZERO_BODY = "zero-body/completion_queue"

PROMPT_TOKENS = 1000
COMPLETION_TOKENS = 500

# What k8s/base/horizontalpodautoscaler.yaml aims at, in cores.
SIDECAR_CORES = 0.6
ENVOY_CORES = 1.2
FEWEST_PODS = 2

# A thousand million million tokens in a month of thirty days.
LARGEST = round(1e15 / (30 * 24 * 60))
TOKENS_PER_MINUTE = (10**6, 10**7, 10**8, 10**9, LARGEST)

_LONG_STREAM = 512
_SHORT_STREAM = 8


@dataclass(frozen=True, slots=True)
class Cost:
    """What one exchange takes of a core, in seconds: the sidecar and Envoy."""

    name: str
    sidecar_seconds: float
    envoy_seconds: float

    def pods(self, tokens_per_minute: float) -> float:
        """Return how many pods carry so many tokens a minute, without rounding."""
        rate = exchanges_per_second(tokens_per_minute)
        return rate * max(self.sidecar_seconds / SIDECAR_CORES, self.envoy_seconds / ENVOY_CORES)


def exchanges_per_second(tokens_per_minute: float) -> float:
    """Return how many exchanges bring so many tokens."""
    return tokens_per_minute / (PROMPT_TOKENS + COMPLETION_TOKENS) / 60


def read_table(page: str, title: str) -> dict[str, dict[str, float]]:
    """Return a table of docs/performance.md: its rows by their subjects, its figures by the headings of columns."""
    _, _, rest = page.partition(f"### {title}\n\n")
    headings, _, *rows = (_cells(line) for line in rest.partition("\n\n")[0].splitlines())
    return {
        subject: {heading: float(figure.replace(",", "")) for heading, figure in zip(headings[1:], figures, strict=True)
                  if re.fullmatch(r"[\d,.]+", figure)}
        for subject, *figures in rows
    }  # fmt: skip


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]


def find_costs(page: str) -> list[Cost]:
    """Return what exchanges cost, by the figures of a page like docs/performance.md."""
    sidecar = read_table(page, "CPU time of the sidecar")
    together = read_table(page, "CPU time of sidecar and Envoy together")
    own, both = sidecar[SUBJECT], together[SUBJECT]
    json_own, json_both = own["JSON exchange, µs"] / 1e6, both["JSON exchange, µs"] / 1e6
    chunk = own["SSE chunk, µs"] / 1e6
    envoy_chunk = both["SSE chunk, µs"] / 1e6 - chunk
    # What a stream costs beside its chunks.
    start = own["8 chunks, ms"] / 1e3 - _SHORT_STREAM * chunk
    envoy_start = (both["512 chunks, ms"] - own["512 chunks, ms"]) / 1e3 - _LONG_STREAM * envoy_chunk
    zero_own, zero_both = sidecar[ZERO_BODY]["512 chunks, ms"] / 1e3, together[ZERO_BODY]["512 chunks, ms"] / 1e3
    zero_chunk = (zero_both - zero_own) / _LONG_STREAM

    def stream(tokens_per_message: int) -> Cost:
        messages = COMPLETION_TOKENS / tokens_per_message
        name = f"stream, {tokens_per_message} token{'s' if tokens_per_message > 1 else ''} a message"
        return Cost(name, start + messages * chunk, max(envoy_start, 0) + messages * envoy_chunk)

    return [
        Cost("JSON", json_own, json_both - json_own),
        stream(1),
        stream(4),
        Cost("stream, 1 token a message, zero-body", zero_own, COMPLETION_TOKENS * zero_chunk),
    ]


def render(page: str) -> dict[str, str]:
    """Return the tables by their names."""
    costs = find_costs(page)
    return {"exchange": "\n".join(_exchange_table(costs)), "pods": "\n".join(_pods_table(costs))}


def _exchange_table(costs: list[Cost]) -> Iterator[str]:
    yield "| exchange | sidecar, ms | Envoy, ms | exchanges a second and pod | pods for a million tokens a minute |"
    yield "|---|---:|---:|---:|---:|"
    for cost in costs:
        each = exchanges_per_second(1e6) / cost.pods(1e6)
        figures = (f"{cost.sidecar_seconds * 1e3:.2f}", f"{cost.envoy_seconds * 1e3:.2f}", _short(each))
        yield f"| {cost.name} | {' | '.join(figures)} | {_short(cost.pods(1e6))} |"


def _pods_table(costs: list[Cost]) -> Iterator[str]:
    yield f"| tokens a minute | exchanges a second | {' | '.join(cost.name for cost in costs)} |"
    yield "|---:|---:|" + "---:|" * len(costs)
    for tokens in TOKENS_PER_MINUTE:
        pods = (max(FEWEST_PODS, math.ceil(cost.pods(tokens))) for cost in costs)
        rate = _short(exchanges_per_second(tokens))
        yield f"| {_large(tokens)} | {rate} | {' | '.join(f'{_rounded(each):,}' for each in pods)} |"


def _large(tokens: int) -> str:
    """Return a number of tokens: 10 M, 1 G, 23.1 G."""
    unit, divisor = ("G", 1e9) if tokens >= 10**9 else ("M", 1e6)
    return f"{round(tokens / divisor, 1):g} {unit}"


def _rounded(pods: int) -> int:
    """Return it with three digits, upwards: more would be more than is known."""
    step: int = 10 ** max(0, len(str(pods)) - 3)
    return math.ceil(pods / step) * step


def _short(number: float) -> str:
    """Return a number with about three digits."""
    digits = max(0, 2 - math.floor(math.log10(number)))
    rounded = round(number, 2 - math.floor(math.log10(number)))
    return f"{rounded:,.{digits}f}"


def put_tables(page: str, tables: dict[str, str]) -> str:
    """Return the page with these tables between its marks."""
    for name, table in tables.items():
        begin, end = f"<!-- scale:{name} -->", f"<!-- /scale:{name} -->"
        before, _, rest = page.partition(begin)
        _, mark, after = rest.partition(end)
        if not mark:
            raise ValueError(f"{PAGE.name} has no {begin} ... {end}")
        page = f"{before}{begin}\n\n{table}\n\n{end}{after}"
    return page


if __name__ == "__main__":
    written = put_tables(PAGE.read_text(encoding="utf-8"), render(PERFORMANCE.read_text(encoding="utf-8")))
    PAGE.write_text(written, encoding="utf-8")
    print(f"wrote {PAGE.relative_to(DOCS.parent)}")
