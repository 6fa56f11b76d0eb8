"""The text of a configuration file to documents: JSON if it is that, and else YAML.

Owns: which of the two a text is, the bounds of a document, and what is said of a text that is neither: a line and a
reason, and nothing of the text, which may hold credentials. Knows nothing of settings.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from extproc.config.lines import Duplicate, Lines, mark_json

# More than settings need, and few enough for everything that walks a document by calling itself.
MAX_DEPTH = 64


class WrittenNumber(int):
    """A whole number that is written in another way than its digits: `text` says how, for who takes it for a text."""

    text: str


@dataclass(frozen=True, slots=True)
class Parsed:
    """A document: its values, with text for every key, and the lines they stand on, if those are known."""

    content: Any
    lines: Lines | None
    duplicates: tuple[Duplicate, ...] = ()


class NotReadableError(ValueError):
    """A text that is neither YAML nor JSON. `line` is where that shows, if it is known; the message is the reason."""

    def __init__(self, reason: str, line: int | None) -> None:
        super().__init__(reason)
        self.line = line


def parse(text: str, *, expects_json: bool) -> list[Parsed]:
    """Return the documents in a text, but for empty ones.

    `expects_json` says whose reason is given for a text that is neither. Raises NotReadableError.
    """
    try:
        return _parse_json(text)
    except json.JSONDecodeError as error:
        # Not all JSON is YAML, for its tabs; and what begins as another value is YAML with words in it.
        not_json = NotReadableError(f"not JSON: {error.msg[:1].lower()}{error.msg[1:]}", error.lineno)
    except RecursionError:
        raise _too_deep(None) from None
    from extproc.config.yaml_documents import parse_yaml  # noqa: PLC0415 - only who has YAML pays for its parser

    try:
        return [
            Parsed(with_names(each.content), each.lines, each.duplicates)
            for each in parse_yaml(text)
            if each.content is not None
        ]
    except NotReadableError as not_yaml:
        raise (not_json if expects_json else not_yaml) from None


def with_names(content: Any, depth: int = 1) -> Any:
    """Return a document in which every key is text: YAML has others.

    Raises NotReadableError for one that is nested too deep.
    """
    if depth > MAX_DEPTH:
        raise _too_deep(None)
    if isinstance(content, dict):
        return {str(key): with_names(value, depth + 1) for key, value in content.items()}
    return [with_names(value, depth + 1) for value in content] if isinstance(content, list) else content


def _too_deep(line: int | None) -> NotReadableError:
    return NotReadableError(f"it is nested deeper than {MAX_DEPTH} levels", line)


def _parse_json(text: str) -> list[Parsed]:
    has_duplicates = False

    def mapping(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        nonlocal has_duplicates
        found = dict(pairs)
        has_duplicates |= len(found) < len(pairs)
        return found

    content = with_names(json.loads(text, object_pairs_hook=mapping))
    if content is None:
        return []
    duplicates = tuple(mark_json(text)[1]) if has_duplicates else ()
    return [Parsed(content, Lines(lambda: mark_json(text)[0]), duplicates)]
