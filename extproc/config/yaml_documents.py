"""YAML documents with the lines of what is in them, and within bounds: of depth, and of what aliases stand for.

Owns: what is done with PyYAML, which is slow to load and only wanted where there is such a file. Knows nothing of
settings. What is said of a text that is no YAML repeats nothing of it.

https://yaml.org/spec/1.1/
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import yaml
from yaml.composer import Composer, ComposerError
from yaml.constructor import ConstructorError, SafeConstructor
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from yaml.parser import Parser
from yaml.reader import Reader, ReaderError
from yaml.resolver import Resolver
from yaml.scanner import Scanner

from extproc.config.lines import Duplicate, Lines, Loc, Mark
from extproc.config.parsing import MAX_DEPTH, NotReadableError, Parsed, WrittenNumber

# What aliases may add to what is written: more than anybody needs, and less than what fills the memory.
MAX_ALIASED_NODES = 100_000

# It takes seconds from here on; a ConfigMap holds no more. JSON is read a hundred times as fast.
MAX_YAML_CHARACTERS = 2**20

_INT = "tag:yaml.org,2002:int"
_MERGE = "tag:yaml.org,2002:merge"
# They end lines for YAML, and for hardly an editor.
_ODD_LINE_BREAK = re.compile("[\x85\u2028\u2029]")
# Names that a text has for its anchors, tags and the like; signs of YAML's own are shorter, or in <>.
_QUOTED = re.compile(r"""\s*(?P<quote>['"])(?![<\s])(?:(?!(?P=quote)).){2,}(?P=quote)""")

_CONSTRUCTION_ERRORS = (ValueError, KeyError, AttributeError, TypeError, OverflowError)


class _BoundedComposer(Composer):
    """The tree of nodes, to a depth that nothing that walks it later has to fear."""

    _depth = 0

    def compose_node(self, parent: Node | None, index: Any) -> Node | None:
        self._depth += 1
        try:
            if self._depth > MAX_DEPTH:
                loader: Any = self  # it is mixed with a parser
                mark = loader.peek_event().start_mark
                raise ComposerError(None, None, f"it is nested deeper than {MAX_DEPTH} levels", mark)
            return super().compose_node(parent, index)
        finally:
            self._depth -= 1


class _MarkedConstructor(SafeConstructor):
    """Values of nodes, and the line of one that is not what its tag or its looks say."""

    def construct_object(self, node: Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        except _CONSTRUCTION_ERRORS:
            raise ConstructorError(None, None, "no valid date or number", node.start_mark) from None

    def construct_yaml_int(self, node: ScalarNode) -> int:
        value: int = super().construct_yaml_int(node)
        if str(value) == node.value:
            return value
        number = WrittenNumber(value)
        number.text = node.value
        return number


_MarkedConstructor.yaml_constructors = SafeConstructor.yaml_constructors | {_INT: _MarkedConstructor.construct_yaml_int}


class PureLoader(_BoundedComposer, Reader, Scanner, Parser, _MarkedConstructor, Resolver):
    """What there is where PyYAML was built without libyaml, at a tenth of the speed."""

    def __init__(self, text: str) -> None:
        Reader.__init__(self, text)
        for part in (Scanner, Parser, Composer, SafeConstructor, Resolver):
            part.__init__(self)


LOADERS: list[Any] = [PureLoader]
if yaml.__with_libyaml__:
    from yaml._yaml import CParser

    class FastLoader(_BoundedComposer, CParser, _MarkedConstructor, Resolver):
        """The same on libyaml."""

        def __init__(self, text: str) -> None:
            CParser.__init__(self, text)
            for part in (Composer, SafeConstructor, Resolver):
                part.__init__(self)

    LOADERS.append(FastLoader)


def parse_yaml(text: str, loader: Any = None) -> list[Parsed]:
    """Return the documents in a text. Raises NotReadableError."""
    if len(text) > MAX_YAML_CHARACTERS:
        raise NotReadableError(f"a YAML file has up to {MAX_YAML_CHARACTERS} characters; use several, or JSON", None)
    has_lines = _ODD_LINE_BREAK.search(text) is None
    try:
        return list(_documents((loader or LOADERS[-1])(text), has_lines=has_lines))
    except ReaderError:
        match = Reader.NON_PRINTABLE.search(text)
        line = text.count("\n", 0, match.start()) + 1 if match else None
        raise NotReadableError("not YAML: control characters are not allowed", line) from None
    except yaml.MarkedYAMLError as error:
        raise _not_readable(error, max(1, len(text.splitlines())) if has_lines else None) from None


def _not_readable(error: yaml.MarkedYAMLError, last_line: int | None) -> NotReadableError:
    reason = "not YAML: " + _QUOTED.sub("", error.problem or "it cannot be read")
    if last_line is None or error.problem_mark is None:
        return NotReadableError(reason, None)
    line = min(error.problem_mark.line + 1, last_line)  # the end of a text may be behind its last line
    # Where a bracket or a quote is left open, the problem shows much later.
    if error.context and error.context_mark and error.context_mark.line + 1 < line:
        reason += f", {_QUOTED.sub('', error.context)} that begins in line {error.context_mark.line + 1}"
    return NotReadableError(reason, line)


def _documents(loader: Any, *, has_lines: bool) -> Iterator[Parsed]:
    while loader.check_node():
        node = loader.get_node()
        _check_aliases(node)
        duplicates = tuple(_duplicates(loader, node, (), set()))
        content = loader.construct_document(node)
        # Behind the values, with which merged mappings get into their nodes.
        mark = _mark(loader, node, {})
        lines = Lines(mark) if has_lines else None
        yield Parsed(content, lines, duplicates)


def _inner(node: Node) -> Iterator[Node]:
    if isinstance(node, MappingNode):
        for pair in node.value:
            yield from pair
    elif isinstance(node, SequenceNode):
        yield from node.value


def _check_aliases(root: Node) -> None:
    """Refuse what grows without bounds as soon as somebody walks it."""
    written: dict[int, int] = {}  # nodes by their identity, with how many each stands for; 0 while that is not known

    def count(node: Node) -> int:
        known = written.get(id(node))
        if known == 0:
            raise ComposerError(None, None, "an alias stands for what it is in", node.start_mark)
        if known is None:
            written[id(node)] = 0
            known = written[id(node)] = 1 + sum(count(inner) for inner in _inner(node))
        return known

    if count(root) - len(written) > MAX_ALIASED_NODES:
        raise ComposerError(None, None, f"aliases stand for more than {MAX_ALIASED_NODES} values", root.start_mark)


def _duplicates(loader: Any, node: Node, loc: Loc, seen: set[int]) -> Iterator[Duplicate]:
    if id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, SequenceNode):
        for index, value in enumerate(node.value):
            yield from _duplicates(loader, value, (*loc, index), seen)
    if not isinstance(node, MappingNode):
        return
    lines: dict[str, int] = {}
    for key, value in node.value:
        if not isinstance(key, ScalarNode):
            continue  # it is refused where values are made
        if key.tag == _MERGE:
            continue
        name, line = str(loader.construct_object(key)), key.start_mark.line + 1
        if name in lines:
            yield Duplicate((*loc, name), lines[name], line)
        lines.setdefault(name, line)
        yield from _duplicates(loader, value, (*loc, name), seen)


def _mark(loader: Any, node: Node, known: dict[int, Mark]) -> Mark:
    mark = known.get(id(node))
    if mark is not None:
        return mark
    mark = known[id(node)] = Mark(node.start_mark.line + 1)
    if isinstance(node, MappingNode):
        for key, value in node.value:
            mark.inner[str(loader.construct_object(key))] = key.start_mark.line + 1, _mark(loader, value, known)
    elif isinstance(node, SequenceNode):
        for index, value in enumerate(node.value):
            inner = _mark(loader, value, known)
            mark.inner[index] = inner.line, inner
    return mark
