"""JSON: whole documents, arrays of them, members of them, and large ones condensed."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from typing import Any

from fuzz.checking import LOOK_EVERY, assert_same, check_framing, held_bytes, ways_to_cut
from fuzz.choices import Choices
from fuzz.json_text import DOCUMENTS, JSON_WORDS
from fuzz.target import Target

from extproc.codec.condense import Condenser
from extproc.codec.document import DocumentArray, WholeDocument, decode_document
from extproc.codec.members import Members
from extproc.errors import DecodeError, Reason

_BOUNDS = (1 << 20, 512, 64, 2)
_MEMBERS = Members(("model", "stream"), ("messages",), short=("stop",), nested={"options": Members(("num_predict",))})
_LONG_LITERAL = re.compile(rb"[-+0-9.eE]{20,}")
_SLACK_BYTES = 1024


def check(data: bytes) -> None:
    """Cuts change nothing, what is good JSON is read, and what is condensed says what it said where that is short."""
    choices = Choices(data)
    bound, places = choices.one_of(_BOUNDS), choices.cuts(4)
    body = choices.rest()
    check_framing(lambda: DocumentArray(bound), b"[" + body, places, bound)
    check_framing(lambda: WholeDocument(bound), body, places, 2 * bound)
    document = _decode(body)
    condensed = assert_same(_condense(chunks, 1 << 20) for chunks in ways_to_cut(body, places))
    assert condensed is not None
    assert_same(_condense(chunks, bound) for chunks in ways_to_cut(body, places))
    with suppress(ValueError, RecursionError):
        plain = json.loads(body)
        if not _LONG_LITERAL.search(body) and _is_plain(plain):
            _assert_condensed(plain, json.loads(condensed))
    _check_members(body, document)


def _decode(body: bytes) -> Any:
    try:
        return decode_document(body)
    except DecodeError as error:
        assert error.reason in {Reason.EMPTY, Reason.TRUNCATED, Reason.NOT_JSON, Reason.TOO_DEEP}  # noqa: PT017
        return ...


def _condense(chunks: list[bytes], bound: int) -> bytes | None:
    condenser = Condenser(bound)
    try:
        for number, chunk in enumerate(chunks):
            condenser.feed(chunk)
            assert number % LOOK_EVERY or held_bytes(condenser) <= bound + _SLACK_BYTES
        return condenser.finish()
    except DecodeError as error:
        assert error.reason is Reason.TOO_LARGE  # noqa: PT017 - nothing follows
        return None


def _is_plain(value: Any) -> bool:
    """Say whether all names are short: of long ones two may be cut to the same."""
    if isinstance(value, dict):
        return all(len(name) < 32 and _is_plain(item) for name, item in value.items())
    return all(map(_is_plain, value)) if isinstance(value, list) else True


def _assert_condensed(before: Any, after: Any) -> None:
    if isinstance(before, dict):
        assert list(before) == list(after)
        for name, value in before.items():
            _assert_condensed(value, after[name])
    elif isinstance(before, list):
        assert isinstance(after, list)
        assert len(after) <= len(before)
    elif isinstance(before, str) and len(json.dumps(before)) > 42:
        assert before == after or (after[-1:] == "…" and before.startswith(after[:-1]))
    else:
        assert before == after or before != before  # noqa: PLR0124 - NaN is nothing, not even itself


def _check_members(body: bytes, document: Any) -> None:
    try:
        members = _MEMBERS.decode(body)
    except DecodeError:
        assert document is ..., "what is good JSON has members, or none"
        return
    assert (members is None) is not isinstance(document, dict)
    if document is not ... and members is not None:
        expected = _MEMBERS.pick(document)
        assert expected is not None
        assert {name: type(value) for name, value in members.items()} == {
            name: type(value) for name, value in expected.items()
        } or _LONG_LITERAL.search(body)
        assert repr(members.get("model")) == repr(expected.get("model"))


def seeds() -> list[bytes]:
    """Return documents in all the ways they are written."""
    more = [
        json.dumps({"data": [{"embedding": [0.25] * 40, "index": 1}], "usage": {"prompt_tokens": 5}}).encode(),
        json.dumps({"text": 'a"b\\c' * 60, "usage": None}).encode(),
        '{"model": "é"}'.encode("utf-16"),
        b'{"a": NaN, "b": 123456789012345678901234567890, "c": "\\ud83d"}',
        b'[{"a": [1, 2, {"b": "]"}]}, {"c": "\\""}, 5, "x"]',
        b'{"options": {"num_predict": 5}, "stop": ["a"], "stream": true, "messages": [1]}',
        b"[" * 40 + b"]" * 40,
    ]
    bodies = [*more, *DOCUMENTS]
    return [bytes((number % 4, 9, 80, 150, 240)) + body for number, body in enumerate(bodies)]


MODULES = tuple(f"extproc.codec.{name}" for name in ("document", "condense", "members", "strings"))
TARGET = Target("documents", check, seeds, MODULES, JSON_WORDS, is_json=True)
