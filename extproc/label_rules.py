"""What a label shows of a value that came with traffic: printable, rewritten, of bounded length, let through, hashed.

Owns: these steps and their order, for the values of one label; each takes a time that grows with the value, whatever
pattern an operator and whatever value a client chose. So patterns are RE2's, Google's matcher without backtracking,
which Envoy uses as well; it is imported where there is a pattern, and nowhere else. Must not know metrics, or how many
values there may be.

https://github.com/google/re2/wiki/Syntax
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable, Sequence
from fnmatch import translate
from functools import lru_cache
from typing import Any, Final

from extproc.errors import SettingsError

# So much of a value is looked at; names of models and headers come no longer (providers/base.py).
MAX_VALUE_CHARACTERS: Final = 256
MAX_PATTERN_CHARACTERS: Final = 500

# An identity is told from others by so many digits: among a million, two are alike with a chance of 1 to 40 million.
_HASH_DIGITS = 16

# What a pattern may take, its automaton included, which grows with what values make it see.
_PATTERN_BYTES = 2**20

# Steps are taken anew for what has not been seen lately; of each value twice 256 characters are kept.
_REMEMBERED = 512

_GROUP = re.compile(r"\\(?:(?P<number>[0-9]{1,2})|g<(?P<name>\w+)>|(?P<backslash>\\)|(?P<other>.|$))", re.DOTALL)


class LabelRule:
    """What is done to the values of a label, in this order: clean, rewrite, allow or deny, and hash or cut.

    `hash_key` makes of the hash an HMAC. Raises SettingsError for patterns and globs that are none.
    """

    def __init__(  # noqa: PLR0913 - as many as there are steps
        self,
        *,
        rewrites: Sequence[tuple[str, str]] = (),
        allow: Sequence[str] = (),
        deny: Sequence[str] = (),
        max_length: int = MAX_VALUE_CHARACTERS,
        is_hashed: bool = False,
        hash_key: bytes = b"",
    ) -> None:
        self._rewrites = tuple(build_rewrite(pattern, replacement) for pattern, replacement in rewrites)
        self._allow, self._deny = _build_globs(allow), _build_globs(deny)
        self._max_length = max_length
        self._is_hashed, self._hash_key = is_hashed, hash_key
        has_steps = bool(rewrites or allow or deny or is_hashed)
        self._apply: Callable[[str], tuple[str | None, bool]] = (
            lru_cache(_REMEMBERED)(self._take_steps) if has_steps else self._take_steps
        )

    def apply(self, value: str) -> tuple[str | None, bool]:
        """Return what the label shows, and whether something is cut off it; None for what is not let through."""
        return self._apply(value[:MAX_VALUE_CHARACTERS])

    def _take_steps(self, value: str) -> tuple[str | None, bool]:
        value = value.strip()
        if not value.isprintable():  # control characters, and halves of characters that UTF-8 does not have
            value = "".join(character if character.isprintable() else "\ufffd" for character in value)
        for rewrite in self._rewrites:
            value = rewrite(value)[:MAX_VALUE_CHARACTERS]
        if self._allow and not self._allow.match(value):
            return None, False
        if self._deny and self._deny.match(value):
            return None, False
        if self._is_hashed and value:
            return self._hash(value), False
        return value[: self._max_length], len(value) > self._max_length

    def _hash(self, value: str) -> str:
        text = value.encode()
        if self._hash_key:
            return hmac.new(self._hash_key, text, hashlib.sha256).hexdigest()[:_HASH_DIGITS]
        return hashlib.sha256(text).hexdigest()[:_HASH_DIGITS]


def build_rewrite(pattern: str, replacement: str) -> Callable[[str], str]:
    r"""Return what replaces each match of a pattern; `\1` or `\g<name>` in the replacement is what a group matched.

    Raises SettingsError for a pattern that RE2 does not take, and for a replacement with a group that it has not.
    """
    compiled = _compile(pattern)
    parts = _parse_replacement(replacement, compiled)

    def replace(match: Any) -> str:
        return "".join([part if isinstance(part, str) else match.group(part) or "" for part in parts])

    def rewrite(value: str) -> str:
        rewritten: str = compiled.sub(replace, value)
        return rewritten

    return rewrite


def check_glob(glob: str) -> str:
    """Return a glob; raise SettingsError for what was meant to be something else."""
    if not glob:
        raise SettingsError("an empty glob fits nothing: use *, ? and [...]")
    if glob.startswith("^") or glob.endswith("$"):
        raise SettingsError(f"{glob!r} looks like a regular expression: a glob fits whole values, with *, ? and [...]")
    if glob.rpartition("[")[1] and "]" not in glob.rpartition("[")[2][1:]:
        raise SettingsError(f"{glob!r} has a [ without its ]: write [[] for one that is meant as it stands")
    return glob


def _build_globs(globs: Sequence[str]) -> re.Pattern[str] | None:
    return re.compile("|".join(translate(check_glob(glob)) for glob in globs)) if globs else None


def _compile(pattern: str) -> Any:
    """Return a compiled pattern of RE2."""
    if len(pattern) > MAX_PATTERN_CHARACTERS:
        raise SettingsError(f"a pattern has at most {MAX_PATTERN_CHARACTERS} characters")
    try:
        import re2  # noqa: PLC0415 - who has no pattern need not have it
    except ImportError:
        raise SettingsError(
            "rewrite needs RE2, which is not installed: pip install 'ai-gateway-extproc[rewrite]'"
        ) from None
    options = re2.Options()
    options.max_mem = _PATTERN_BYTES
    options.log_errors = False
    try:
        return re2.compile(pattern, options)
    except (re2.error, UnicodeError) as error:
        said = error.args[0].decode("utf-8", "replace") if isinstance(error, re2.error) else "no text"
        hint = "" if "perl operator" not in said else "; RE2 has neither look-around nor back-references"
        raise SettingsError(f"{pattern!r} is no pattern of RE2: {said}{hint}") from None


def _parse_replacement(text: str, compiled: Any) -> list[str | int]:
    """Return the parts of a replacement: texts, and numbers of groups."""
    parts: list[str | int] = []
    end = 0
    for match in _GROUP.finditer(text):
        parts.append(text[end : match.start()])
        end = match.end()
        if match["backslash"]:
            parts.append("\\")
            continue
        if match["other"] is not None:
            raise SettingsError(rf"{text!r}: behind a backslash is the number of a group, \g<name> or a backslash")
        group = int(match["number"]) if match["number"] else compiled.groupindex.get(match["name"], -1)
        if not 0 <= group <= compiled.groups:
            raise SettingsError(f"{text!r}: the pattern has no group {match['number'] or match['name']}")
        parts.append(group)
    return [*parts, text[end:]]
