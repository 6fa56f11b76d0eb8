"""The commands of README.md and docs/, as they stand there, beside a real Envoy; and what the pages say they print."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TypeAlias

import pytest
from support.documented import ROOT, Command, commands_of, example_of, name_of, pages
from support.documented_ways import is_shown_otherwise, row_of, without_comment
from support.engine import ENGINE_ENVIRON
from support.gateway import Gateway
from support.jwt import HEADER, Issuer
from support.terminal import Done, Terminal
from support.waiting import wait_for

from extproc.demo.mock.server import MockProviders
from extproc.demo.stack import SidecarCommand

pytestmark = pytest.mark.e2e

# What the teams of docs/billing.md have asked.
OPENAI = "/openai/v1/chat/completions"
TRAFFIC = (
    ("dev", OPENAI, "gpt-4o", False),
    ("dev", OPENAI, "gpt-4o", False),
    ("dev", "/anthropic/v1/messages", "claude-sonnet-4", True),
    ("dev", OPENAI, "no-such-model", False),
    ("ops", OPENAI, "gpt-4o", True),
    ("ops", OPENAI, "house-model", False),
    (None, OPENAI, "gpt-4o-mini", False),
)
# The text of a command, and what is in the files that it names.
Before: TypeAlias = set[tuple[str, tuple[bytes, ...]]]

_LIMITS = {"claude-sonnet-4": {"max_tokens": 40}}
_DATE = re.compile(r"\b20\d\d(?:-\d\d)+(?:T[\d:.]+Z)?")


def send_traffic(gateway: Gateway, issuer: Issuer) -> None:
    """Ask all of it."""
    for team, path, model, streaming in TRAFFIC:
        ask = {"model": model, "messages": [{"role": "user", "content": "What is recursion?"}], "stream": streaming}
        headers = {HEADER: issuer.sign({"team": team})} if team else {}
        gateway.post(path, json.dumps(ask | _LIMITS.get(model, {})).encode(), headers)


@pytest.fixture(scope="module", name="terminal")
def _terminal(providers: MockProviders, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Terminal]:
    """A gateway as docs/billing.md has it set up, which has seen some traffic."""
    folder = tmp_path_factory.mktemp("t")
    usage_log, seen = folder / "usage.jsonl", folder / "seen.jsonl"
    config = folder / "extproc.yaml"
    text = example_of(ROOT / "docs" / "billing.md", "# extproc.yaml")
    config.write_text(text.replace("/var/log/extproc/usage.jsonl", str(usage_log)))
    issuer = Issuer()
    sidecar = SidecarCommand(flags=("--config", str(config)), environ=ENGINE_ENVIRON)
    with (
        Gateway(providers.addresses, configure=issuer.configure, sidecar=sidecar) as gateway,
        Terminal(folder, gateway.stack, seen) as terminal,
    ):
        send_traffic(gateway, issuer)
        wait_for(lambda: usage_log.read_text().count("\n") == len(TRAFFIC))
        shutil.copy(usage_log, seen)  # what the commands of pages ask for is nothing that docs/billing.md shows
        yield terminal


@pytest.fixture(scope="module", name="done_before")
def _done_before() -> Before:
    """Commands that are on several pages, with the same files: once is enough, unless others read what they write."""
    return set()


def is_like(printed: str, shown: str) -> bool:
    """Say whether lines were printed in this order. Dates are those of the day, and `...` is whatever stands there."""
    lines = [re.escape(_DATE.sub("DATE", " ".join(line.split()))) for line in shown.splitlines() if line.strip()]
    wanted = r"\n(?:.*\n)*?".join(line.replace(r"\.\.\.", ".*") for line in lines)
    spaced = "\n".join(_DATE.sub("DATE", " ".join(line.split())) for line in printed.splitlines())
    return re.search(rf"(?m)^{wanted}$", spaced) is not None


def do(terminal: Terminal, command: Command, folder: Path, done_before: Before) -> Done | None:
    """Run a command, or start it, if it is not only checked and was not done before."""
    row = row_of(command)
    assert row is not None, command
    if row.way == "check":
        return None
    text = without_comment(command.text)
    files = tuple((folder / word).read_bytes() for word in text.split() if (folder / word).is_file())
    again = text, files
    if again in done_before and ">" not in text and command.printed is None:
        return None
    done_before.add(again)
    done = terminal.run(command.text, folder) if row.way == "run" else terminal.start(command.text, folder)
    assert done.code in row.codes, f"{command}\nended with {done.code}:\n{done.printed}"
    return done


@pytest.mark.parametrize("page", [page for page in pages() if commands_of(page)], ids=name_of)
def test_the_commands_of_a_page_do_what_it_says(terminal: Terminal, done_before: Before, page: Path) -> None:
    """In the order in which they stand there, in one folder."""
    folder = terminal.open(page)
    skipped = []
    for command in commands_of(page):
        row = row_of(command)
        lacking = [program for program in row.needs if terminal.lacks(program)] if row is not None else []
        if lacking:
            skipped.append(f"no {', '.join(lacking)} here for line {command.line}")
            continue
        done = do(terminal, command, folder, done_before)
        if done is not None and command.printed is not None and not is_shown_otherwise(command):
            assert is_like(done.printed, command.printed), f"{command}\nprinted:\n{done.printed}"
    if skipped:
        pytest.skip("; ".join(skipped))


def test_what_is_printed_is_compared() -> None:
    """Line by line, without blanks and dates."""
    shown = "a  1\n...\nb ... 2026-03\n"
    assert is_like("x\na 1\nmore\nof it\nb anything 2027-11\ny", shown)
    assert not is_like("a 1\nb", shown)
    assert not is_like("b any 2026-03\na 1", shown)
