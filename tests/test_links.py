"""Links from one page to another lead somewhere, to the heading they name."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.documented import ROOT, name_of

PAGES = sorted({*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")})

_FENCED = re.compile(r"^( *)```.*?^\1```", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ +(.+?) *$", re.MULTILINE)


def links_of(text: str) -> list[str]:
    """Return where the links of a page lead, within the repository."""
    prose = re.sub(r"`[^`\n]*`", "", _FENCED.sub("", text))
    return [link for link in _LINK.findall(prose) if not re.match(r"[a-z]+:", link)]


def anchors_of(text: str) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them; the second of a name has a number."""
    found: dict[str, int] = {}
    for heading in _HEADING.findall(_FENCED.sub("", text)):
        words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
        anchor = re.sub(r"[^\w\- ]", "", words).replace(" ", "-")
        found[anchor] = found.get(anchor, 0) + 1
    return {name if number == 0 else f"{name}-{number}" for name, times in found.items() for number in range(times)}


def broken_links(page: Path) -> Iterator[str]:
    """Return the links of a page that lead nowhere, with what is missing."""
    for link in links_of(page.read_text()):
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        if not target.exists():
            yield f"{link}: there is no such file"
        elif anchor and anchor not in anchors_of(target.read_text()):
            yield f"{link}: there is no such heading"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    """To files of this repository, and to headings in them."""
    assert list(broken_links(page)) == []


@pytest.mark.parametrize("page", sorted((ROOT / "docs").rglob("*.md")), ids=name_of)
def test_a_page_can_be_found(page: Path) -> None:
    """From the index, but for the index itself and decisions, which have a folder."""
    index = ROOT / "docs" / "README.md"
    named = {(index.parent / link.partition("#")[0]).resolve() for link in links_of(index.read_text())}
    assert page == index or page in named or page.parent in named


def test_what_leads_nowhere_is_found(tmp_path: Path) -> None:
    """A file, a heading, and neither in code."""
    (tmp_path / "other.md").write_text("# What `it` is, and why?\n\n## Twice\n\n## Twice\n\n```sh\n# no heading\n```\n")
    page = tmp_path / "page.md"
    there = "[a](other.md) [b](other.md#what-it-is-and-why) [c](other.md#twice-1) [d](#own) [e](https://x.example/#y)"
    page.write_text(f"# Own\n{there}\n`[f](code.md)`\n\n```text\n[g](fenced.md)\n```\n")
    assert list(broken_links(page)) == []
    page.write_text("[a](others.md) [b](other.md#no-heading) [c](#own)")
    assert [broken.partition(":")[0] for broken in broken_links(page)] == ["others.md", "other.md#no-heading", "#own"]
