"""What the pages for users show: fenced blocks by their language, and the commands in them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

# What a block may be indented by is that of the item of a list that it stands in.
_FENCE = re.compile(r"^( *)```(\w*)\n(.*?)^\1```", re.DOTALL | re.MULTILINE)
_HERE_DOCUMENT = re.compile(r"<<-?\s*['\"]?(\w+)['\"]?")


def pages() -> list[Path]:
    """Return the pages whose commands, links and examples are for users: decisions (docs/adr) are for ourselves."""
    return [ROOT / "README.md", *(path for path in sorted((ROOT / "docs").rglob("*.md")) if path.parent.name != "adr")]


def name_of(page: Path) -> str:
    """Return how a page is called in messages."""
    return page.relative_to(ROOT).as_posix()


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, the line its fence stands in, and its text, without its indentation."""

    language: str
    line: int
    text: str


@dataclass(frozen=True)
class Command:
    """A command of a page, and what the page says that it prints, if it does."""

    page: str
    line: int
    text: str
    printed: str | None = None

    def __str__(self) -> str:
        return f"{self.page}:{self.line}: {self.text}"


def blocks_of(page: Path) -> list[Block]:
    """Return the blocks of a page in their order."""
    text = page.read_text()
    found = []
    for match in _FENCE.finditer(text):
        indented = re.compile(f"^{match[1]}", re.MULTILINE)
        found.append(Block(match[2], text[: match.start()].count("\n") + 1, indented.sub("", match[3])))
    return found


def examples_of(page: Path, language: str) -> list[str]:
    """Return the texts of the blocks in a language."""
    return [block.text for block in blocks_of(page) if block.language == language]


def example_of(page: Path, first_line: str) -> str:
    """Return the one block that begins with a line."""
    (text,) = [block.text for block in blocks_of(page) if block.text.startswith(first_line)]
    return text


def commands_of(page: Path) -> list[Command]:
    """Return the commands of a page: each of a `sh` block, and those behind `$` in a block that shows a terminal.

    What a block of a single command prints stands in the `text` block behind it.
    """
    found: list[Command] = []
    shown: Block | None = None
    for block in blocks_of(page):
        if block.language == "sh":
            found += [Command(name_of(page), line, text) for line, text in _split(block)]
            shown = block
        elif block.language in {"text", "console"} and block.text.startswith("$ "):
            found += _typed(page, block)
        elif block.language == "text" and shown is not None and _is_next(page, shown, block):
            last = found.pop()
            found.append(Command(last.page, last.line, last.text, block.text))
    return found


def _is_next(page: Path, shown: Block, block: Block) -> bool:
    """Say whether there is nothing but empty lines between two blocks, the first of which has one command."""
    between = page.read_text().splitlines()[shown.line + shown.text.count("\n") + 1 : block.line - 1]
    return not any(between) and len(list(_split(shown))) == 1


def _typed(page: Path, block: Block) -> Iterator[Command]:
    for part in re.split(r"^\$ ", block.text, flags=re.MULTILINE)[1:]:
        line = block.line + 1 + block.text[: block.text.index(part)].count("\n")
        ((_, text), *_) = _split(Block("sh", line - 1, part))
        yield Command(name_of(page), line, text, part.removeprefix(text).lstrip("\n") or None)


def _split(block: Block) -> Iterator[tuple[int, str]]:
    """Return the commands of a block, each with its line: several lines are one while a quote or a document is open."""
    lines = block.text.splitlines()
    at = 0
    while at < len(lines):
        end = at + 1
        while end < len(lines) and _is_open("\n".join(lines[at:end])):
            end += 1
        text = "\n".join(lines[at:end])
        if text.strip() and not text.lstrip().startswith("#"):
            yield block.line + 1 + at, text
        at = end


def _is_open(text: str) -> bool:
    document = _HERE_DOCUMENT.search(text)
    if document is not None:
        return not text.endswith(f"\n{document[1]}")
    unquoted = re.sub(r"\\.|'[^']*'|\"(?:\\.|[^\"\\])*\"", "", text)
    return text.endswith("\\") or bool(re.search(r"['\"]", re.sub(r"(?<=\s)#.*", "", unquoted)))
