"""How configuration is written: YAML with comments for people, or JSON.

Owns: the form, and the lines above a configuration that say what it is.
"""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterable, Sequence

import yaml

from extproc import __version__
from extproc.envoyconfig.kubernetes import Resource
from extproc.envoyconfig.messages import Document
from extproc.envoyconfig.plan import Plan

_WIDTH = 120
_COMMENT_WIDTH = 98


class _Dumper(yaml.SafeDumper):
    """Writes lists as people do: below their key, indented."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002 - its signature
        super().increase_indent(flow, False)


def describe(plan: Plan, what: str) -> list[str]:
    """Return the lines that stand above everything."""
    return [
        f"{what}, in mode {plan.mode}.",
        (
            f"Printed by `extproc envoy-config` of ai-gateway-extproc {__version__}, for its settings: print it again "
            "when they change. envoy/envoy.yaml says why each value is what it is, docs/envoy-config.md what else can "
            "be printed."
        ),
        "",
        plan.processing.about,
    ]


def to_yaml(above: Sequence[str], resources: Iterable[Resource]) -> str:
    """Return documents with their comments, between separators."""
    texts = [_comment(above)] if above else []
    for number, resource in enumerate(resources):
        text = yaml.dump(resource.document, Dumper=_Dumper, sort_keys=False, width=_WIDTH, allow_unicode=True)
        separator = "---\n" if number else "\n"
        texts.append(f"{separator}{_comment(resource.about)}{text}")
    return "".join(texts)


def to_json(documents: Sequence[Document]) -> str:
    """Return one document as it is, several as a list that kubectl takes."""
    document = documents[0] if len(documents) == 1 else {"apiVersion": "v1", "kind": "List", "items": list(documents)}
    return json.dumps(document, indent=2) + "\n"


def _comment(paragraphs: Sequence[str]) -> str:
    """Return paragraphs as lines of a comment; what is indented, or empty, is a line already."""
    lines = [
        line
        for text in paragraphs
        for line in ([text] if text[:1] in ("", " ") else textwrap.wrap(text, _COMMENT_WIDTH, break_on_hyphens=False))
    ]
    return "".join(f"# {line}".rstrip() + "\n" for line in lines)
