"""Files of the reference rate-limit service, named in `budgets.files`: each document is one more domain.

Owns: reading them into the tree of settings, so that what is wrong in them is said with their own lines. Must not know
what they mean.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from extproc.config.documents import read_plain
from extproc.config.lines import Loc
from extproc.config.sources import Document, Origin, Remark, Tree

_DOMAINS: Loc = ("budgets", "domains")


def read_budget_files(tree: Tree) -> tuple[list[Path], list[Remark]]:
    """Put the domains of the files behind those in the tree; return the files, and what is wrong with them."""
    problems: list[Remark] = []
    files = _find_files(tree.values)
    for file in files:
        for document in read_plain(file):
            problems += document.problems
            if document.values:
                _append(tree, document)
    return files, problems


def _find_files(values: dict[str, Any]) -> list[Path]:
    """Return what is given as files; what is no list of paths is said by the schema."""
    budgets = values.get("budgets")
    files = budgets.get("files") if isinstance(budgets, dict) else None
    return [Path(each) for each in files if each and isinstance(each, str)] if isinstance(files, (list, tuple)) else []


def _append(tree: Tree, document: Document) -> None:
    where: dict[Loc, Origin] = {(*_DOMAINS, 0): document.origin}
    tree.append(_DOMAINS, [document.values], Document(document.origin, origins=where))
