#!/usr/bin/env python3
"""Write what is written from other things: the work behind `make docs`.

Owns: docs/providers.md, and which files are written: the schema of the settings, Grafana's boards, the PrometheusRule.
A test fails where one of them is not what this writes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from extproc.config.schema import render_schema
from extproc.providers.base import Flavour
from extproc.providers.detect import FLAVOURS
from extproc.providers.paths import ENDPOINTS, Endpoint
from extproc.providers.uncounted import UNCOUNTED
from extproc.providers.vendors import VENDORS
from tools.alerts import OBJECT, render_object
from tools.dashboards.boards import BOARDS

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
DASHBOARDS = ROOT / "k8s" / "components" / "grafana-dashboard"
PAGE = DOCS / "providers.md"
SCHEMA = DOCS / "extproc.schema.json"

INTRODUCTION = """\
# What is counted, and where

<!-- Written by `make docs` from extproc/providers/. Change the tables there. -->

An exchange is known by, in this order: what the Envoy route says of its provider (`x-llm-provider` in
`grpc_initial_metadata`, taken verbatim), the rules of `detection_rules`, its authority, its path, and the shape of its
answer. A server that speaks one of these APIs is counted without being in any table; the tables give it its name.

`extproc replay` says of a captured exchange what it was taken for, and why a count is missing.

## Endpoints

A path counts by what it ends in, so a route's prefix in front of it does no harm. `{model}` is where the model stands
if the body does not name it. Only POST is counted. Where a provider stands in brackets, the path is read so for that
one alone. Others than LLMs have paths like those with an asterisk: at a host that is not known, question or answer has
to have the shape of an LLM's too.
"""

COUNTS = """\
## Counts

Before the semicolon stands what is counted as prompt, behind it what is counted as completion, in the words of the API.
Counts that an API tells beside these (cached, cache creation, reasoning, audio, tool use) are parts of them.
"""

UNCOUNTED_INTRODUCTION = """\
## What is not counted

- Endpoints of the API `uncounted`: token counting, batches, reranking, moderation, OCR and the like. Their answers look
  like usage, and no tokens were used, or none that are told. They count as requests.
- Streams of OpenAI chat and completions for whose usage nobody asked, neither the client nor the sidecar: there is none
  in them, and what they used is [estimated](usage.md).
- Images and audio that are paid by the piece or the minute: DALL-E, Whisper, speech as an audio file.
- What is fetched with GET: background responses, batch results, Replicate predictions that were not waited for.
- WebSockets: realtime sessions.
- Answers in a content coding other than gzip, deflate, br and zstd (up to three around one another).
- Requests and answers of which only a part is shown to the sidecar: what stands in the rest.
"""

VENDORS_INTRODUCTION = """\
## Providers

The names are the values of `provider` in metadata and of the label `llm`: OpenTelemetry's where it has one.
"""


def render() -> str:
    """Return the page."""
    parts = [
        INTRODUCTION,
        *_table(("path", "API", "operation", "provider, if the authority does not say"), map(_endpoint, ENDPOINTS)),
        COUNTS,
        *_table(("API", "counted"), map(_counts, _counted_flavours())),
        UNCOUNTED_INTRODUCTION,
        VENDORS_INTRODUCTION,
        *_table(("provider", "authorities"), _vendors()),
    ]
    return "\n".join(parts)


def _table(headings: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    yield "| " + " | ".join(headings) + " |"
    yield "|" + "---|" * len(headings)
    for row in rows:
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |"
    yield ""


def _endpoint(endpoint: Endpoint) -> tuple[str, ...]:
    provider = f"`{endpoint.provider}`" if endpoint.provider else ""
    if endpoint.only:
        provider = f"(`{', '.join(endpoint.only)}`)"
    if endpoint.is_common:
        provider += " *"
    streamed = ", streamed" if endpoint.streaming else ""
    template = endpoint.template.replace("{model*}", "{model}")
    return f"`{template}`", f"`{endpoint.flavour.name}`{streamed}", _operation(endpoint.flavour), provider


def _operation(flavour: Flavour) -> str:
    return f"`{flavour.operation}`" if flavour.operation else ""


def _counted_flavours() -> Iterator[Flavour]:
    return (flavour for flavour in FLAVOURS.values() if flavour is not UNCOUNTED)


def _counts(flavour: Flavour) -> tuple[str, ...]:
    return f"`{flavour.name}`", flavour.counted


def _vendors() -> Iterator[tuple[str, ...]]:
    for vendor in VENDORS:
        where = "" if vendor.paths == "*" else f", at `{vendor.paths}`"
        yield f"`{vendor.provider}`", ", ".join(f"`{glob}`" for glob in vendor.authorities) + where


def written() -> Iterator[tuple[Path, str]]:
    """Yield each file with what stands in it."""
    yield PAGE, render()
    yield SCHEMA, render_schema()
    for name, board in BOARDS.items():
        yield DASHBOARDS / name, board.render()
    yield OBJECT, render_object()


if __name__ == "__main__":
    for file, text in written():
        file.write_text(text, encoding="utf-8")
        print(f"wrote {file.relative_to(ROOT)}")
