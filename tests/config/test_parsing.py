from __future__ import annotations

import pytest

from extproc.config.parsing import MAX_DEPTH, NotReadableError, parse


@pytest.mark.parametrize(
    ("text", "contents"),
    [
        ('{"a":\t1}', [{"a": 1}]),
        ("null", []),
        ("", []),
        ("{a: 1}", [{"a": 1}]),
        ("1: {2: [{3: 4}]}\n---\n---\nb: 1", [{"1": {"2": [{"3": 4}]}}, {"b": 1}]),
    ],
)
def test_a_text_is_json_or_yaml(text: str, contents: list[object]) -> None:
    """With text for keys, and without documents that hold nothing."""
    assert [each.content for each in parse(text, expects_json=False)] == contents


@pytest.mark.parametrize(
    ("text", "expects_json", "line", "reason"),
    [
        ('{\n"secret" "x"}', True, 2, "not JSON: expecting ':' delimiter"),
        ('{\n"secret" "x"}', False, 2, "not YAML: "),
        ("a: [secret", True, 1, "not JSON: expecting value"),
        ('{"a": "b\nsecret"', True, 1, "not JSON: invalid control character at"),
        ("[" * 100_000, True, None, f"it is nested deeper than {MAX_DEPTH} levels"),
        ("[" * 100 + "]" * 100, True, None, f"it is nested deeper than {MAX_DEPTH} levels"),
    ],
)
def test_a_text_that_is_neither_is_refused(text: str, expects_json: bool, line: int | None, reason: str) -> None:
    """With a reason and its line, and nothing of what it says."""
    with pytest.raises(NotReadableError) as raised:
        parse(text, expects_json=expects_json)
    assert raised.value.line == line
    assert str(raised.value).startswith(reason)
    assert "secret" not in str(raised.value)
