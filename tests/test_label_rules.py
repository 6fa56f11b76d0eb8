from __future__ import annotations

import hashlib
import hmac
import subprocess
import sys
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extproc.errors import SettingsError
from extproc.label_rules import MAX_VALUE_CHARACTERS, LabelRule, build_rewrite, check_glob

DATE = (r"-\d{4}-\d{2}-\d{2}$", "")


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("gpt-4o", "gpt-4o"),
        (" gpt\n4o\x00 ", "gpt\ufffd4o\ufffd"),
        ("\ud83d", "\ufffd"),
        ("\u202eo4-tpg", "\ufffdo4-tpg"),
        ("日本", "日本"),
        ("\t", ""),
    ],
)
def test_values_are_one_printable_line(value: str, shown: str) -> None:
    """Half a character would make a scrape fail, and a change of direction one that is read wrong."""
    assert LabelRule().apply(value) == (shown, False)


def test_long_values_are_cut() -> None:
    """Behind what is rewritten; and so is what a rewrite makes long."""
    rule = LabelRule(rewrites=[("^x+", ""), ("y", "y" * 200)], max_length=4)
    assert rule.apply("x" * 200 + "abcd") == ("abcd", False)
    assert rule.apply("abcde") == ("abcd", True)
    assert rule.apply("y" * 200) == ("yyyy", True)


def test_steps_are_taken_in_their_order() -> None:
    """Clean, rewrite, allow and deny, hash."""
    rule = LabelRule(rewrites=[DATE, ("^(ft):.*", r"\1")], allow=["gpt-*", "ft"], deny=["*-test"])
    shown = {name: rule.apply(name)[0] for name in ("gpt-4o-2024-08-06", "ft:gpt:x", "llama", "gpt-4o-test", "GPT-4O")}
    assert shown == {
        "gpt-4o-2024-08-06": "gpt-4o",
        "ft:gpt:x": "ft",
        "llama": None,
        "gpt-4o-test": None,
        "GPT-4O": None,
    }


@pytest.mark.parametrize("key", [b"", b"secret"])
def test_identities_are_hashed(key: bytes) -> None:
    """As anybody can who has the key, to find one again; absence is none."""
    rule = LabelRule(rewrites=[("@.*", "")], is_hashed=True, hash_key=key, max_length=3)
    digest = hmac.new(key, b"ann", hashlib.sha256).hexdigest() if key else hashlib.sha256(b"ann").hexdigest()
    assert rule.apply("ann@example.com") == (digest[:16], False)
    assert rule.apply(" ") == ("", False)


@pytest.mark.parametrize(
    ("pattern", "replacement", "value", "rewritten"),
    [
        (DATE[0], "", "gpt-4o-2024-08-06", "gpt-4o"),
        (r"(\w+)/(?P<model>\w+)", r"\g<model>@\1\\", "a/b", r"b@a" + "\\"),
        (r"a(b)?", r"<\1>", "a", "<>"),
        ("a", "", "banana", "bnn"),
        ("é.", "x", "caféé!", "cafx!"),
    ],
)
def test_matches_are_replaced(pattern: str, replacement: str, value: str, rewritten: str) -> None:
    """With what the groups matched, where the replacement has them."""
    assert build_rewrite(pattern, replacement)(value) == rewritten


@pytest.mark.parametrize(
    ("pattern", "replacement", "problem"),
    [
        ("(", "", r"'\(' is no pattern of RE2: missing \): \("),
        ("(?=x)", "", "neither look-around nor back-references"),
        (r"(a)\1", "", "no pattern of RE2"),
        (r"(\pL{500}){2}", "", "too large"),
        ("\ud800", "", "no text"),
        ("a" * 501, "", "at most 500 characters"),
        ("a", r"\1", "no group 1"),
        ("a", r"\g<b>", "no group b"),
        ("a", "\\", "behind a backslash"),
        ("a", r"\n", "behind a backslash"),
    ],
)
def test_what_is_no_rewrite_is_said(pattern: str, replacement: str, problem: str) -> None:
    """Before there is traffic."""
    with pytest.raises(SettingsError, match=problem):
        build_rewrite(pattern, replacement)


@pytest.mark.parametrize(
    ("glob", "problem"),
    [
        ("", "empty"),
        ("^gpt", "looks like a regular"),
        ("gpt$", "looks like"),
        ("gpt-[45", "without its ]"),
        ("[]", "["),
    ],
)
def test_what_is_no_glob_is_said(glob: str, problem: str) -> None:
    """It would fit nothing, and say nothing of it."""
    with pytest.raises(SettingsError) as raised:
        check_glob(glob)
    assert problem in str(raised.value)


@pytest.mark.parametrize("glob", ["*", "gpt-[45]*", "[[]x]", "claude-3.?", "[!a]*"])
def test_globs_are_taken(glob: str) -> None:
    """Also those with what has a meaning elsewhere."""
    assert check_glob(glob) == glob


@pytest.mark.parametrize("pattern", ["(a+)+$", "(a|a)*$", "(.*)*" * 20 + "x", "(a*)*(a*)*(a*)*b", "(x+x+)+y"])
def test_no_value_makes_a_pattern_take_long(pattern: str) -> None:
    """These take `re` for ever; a hundredth of a second would be a hundred times what they take."""
    rule = LabelRule(rewrites=[(pattern, "")], allow=["*a*a*a*a*a*a*b", "*"])
    started = time.process_time()
    for value in ("a" * MAX_VALUE_CHARACTERS, "x" * MAX_VALUE_CHARACTERS, "aé" * MAX_VALUE_CHARACTERS):
        rule.apply(value + "!")
    assert time.process_time() - started < 0.5


@given(st.text(st.characters(exclude_categories=())))
def test_whatever_comes_can_be_written_as_utf8(value: str) -> None:
    """And is of bounded length."""
    shown, _ = LabelRule(rewrites=[DATE], max_length=9).apply(value)
    assert shown is not None
    assert len(shown) <= 9
    shown.encode()


def test_what_is_remembered_is_bounded() -> None:
    """Names come from clients, who have millions of them."""
    rule = LabelRule(allow=["a"])
    for number in range(2000):
        rule.apply(str(number))
    remembered = rule._apply.cache_info()  # type: ignore[attr-defined]  # of functools
    assert remembered.currsize == remembered.maxsize == 512


def test_without_the_library_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """An extra brings it."""
    monkeypatch.setitem(sys.modules, "re2", None)
    with pytest.raises(SettingsError, match=r"pip install 'ai-gateway-extproc\[rewrite\]'"):
        build_rewrite("a", "")


def test_the_library_is_loaded_where_there_is_a_pattern() -> None:
    """And costs nobody else its memory."""
    program = "import sys, extproc.app, extproc.reading; sys.exit('re2' in sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True)
