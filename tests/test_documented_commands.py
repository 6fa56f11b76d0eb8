"""Every command of README.md and docs/ is run, by tests/e2e/test_documented_commands.py, or has a reason why not."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.documented import ROOT, Command, commands_of, pages
from support.documented_ways import PRINTED_OTHERWISE, ROWS, is_shown_otherwise, row_of

COMMANDS = [command for page in pages() for command in commands_of(page)]


@pytest.mark.parametrize("command", COMMANDS, ids=str)
def test_a_command_is_run_or_has_a_reason(command: Command) -> None:
    """What is only checked names what there is."""
    row = row_of(command)
    assert row is not None, (
        f"{command}\nno row of tests/support/documented_ways.py fits this command: "
        "give it one that runs it, or one that says why it can't be run here"
    )
    assert (row.way == "check") == bool(row.reason)
    if row.check is not None:
        row.check(command.text)


def test_no_row_is_for_nothing() -> None:
    """Each is there for a command, but those of tools that every page on Kubernetes or containers has."""
    used = {row_of(command) for command in COMMANDS}
    others = [row for row in ROWS if row not in used and "kubectl" not in row.pattern and "docker" not in row.pattern]
    assert others == []
    shown = [command for command in COMMANDS if is_shown_otherwise(command)]
    assert len(shown) == len(PRINTED_OTHERWISE)
    assert all(command.printed for command in shown)


PAGE = """\
Text.

```sh
# only words
first --flag   # why
second 'quoted
over lines' \\
  --more
```

1. In a list:

   ```sh
   third <<'EOF' > file
   it's a document
   EOF
   ```

   ```text
   printed
   ```

```console
$ fourth "it # is"
said
$ fifth
```

```text
$ sixth
```

```yaml
seventh: 1
```
"""


def test_the_commands_of_a_page_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Over lines, in lists and with what they print."""
    monkeypatch.setattr("support.documented.ROOT", tmp_path)
    page = tmp_path / "page.md"
    page.write_text(PAGE)
    assert commands_of(page) == [
        Command("page.md", 5, "first --flag   # why"),
        Command("page.md", 6, "second 'quoted\nover lines' \\\n  --more"),
        Command("page.md", 14, "third <<'EOF' > file\nit's a document\nEOF", "printed\n"),
        Command("page.md", 24, 'fourth "it # is"', "said\n"),
        Command("page.md", 26, "fifth"),
        Command("page.md", 30, "sixth"),
    ]


@pytest.mark.parametrize(
    "text",
    [
        "make no-such-target",
        "make nosuch",
        "pip install '.[nosuch]'",
        "kubectl apply -f k8s/no-such.yaml",
        "unheard of",
    ],
)
def test_what_there_is_not_is_found(text: str) -> None:
    """A target, an extra, a file, and a program that no row knows."""
    row = row_of(Command("page.md", 1, text))
    if row is None:
        assert text == "unheard of"
        return
    assert row.check is not None
    with pytest.raises(AssertionError):
        row.check(text)


def test_there_are_pages() -> None:
    """And they have commands."""
    assert {path.name for path in (ROOT / "docs").glob("*.md")} <= {page.name for page in pages()}
    assert len(COMMANDS) > 50
