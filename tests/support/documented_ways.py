"""What a test does with each command of the pages: it is run, or started and stopped, or there is a reason why not.

The first row that fits a command stands. A page with a command that no row fits needs one: `run` or `start` where this
machine can, else a check of what can be checked and the reason for the rest.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from support.documented import ROOT, Command

Way = Literal["run", "start", "check"]

# Before a command: variables of its environment.
_ASSIGNMENTS = r"(?:\w+=(?:'[^']*'|\"[^\"]*\"|\S*)\s+(?:\\\n\s*)?)*"


@dataclass(frozen=True)
class Row:
    """Commands that begin so, and what is done with them.

    What is run ends with one of `codes`, and needs the programs `needs`: without them it is skipped with a word.
    What is only checked has a `reason`, and `check` raises AssertionError where it names what there is not.
    """

    pattern: str
    way: Way
    codes: tuple[int, ...] = (0,)
    needs: tuple[str, ...] = ()
    reason: str = ""
    check: Callable[[str], None] | None = None


def has_target(text: str) -> None:
    """Check that make knows what it is asked for."""
    targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    asked = [word for word in text.partition("#")[0].split()[1:] if re.fullmatch(r"[a-z]+", word)]
    assert asked
    assert set(asked) <= set(targets), f"no target of the Makefile: {asked}"


def has_extras(text: str) -> None:
    """Check that the package has the extras."""
    project = (ROOT / "pyproject.toml").read_text().partition("[project.optional-dependencies]")[2]
    for extra in re.findall(r"\[([\w,]+)\]", text.partition("#")[0]):
        assert all(re.search(rf"^{name} = \[", project, re.MULTILINE) for name in extra.split(",")), f"no extra {extra}"


def has_files(text: str) -> None:
    """Check that the files and folders of this repository that it names are there."""
    for path in re.findall(r"(?<![\w/.-])(?:\./)?((?:k8s|envoy|docs|tools|tests)/[\w./-]+)", text):
        assert (ROOT / path).exists(), f"{path} is not there"


CLUSTER = "it needs a Kubernetes cluster"
CONTAINERS = "it needs a container engine"

ROWS = (
    Row(r"extproc serve --listen 0\.0\.0\.0:18080$", "run", codes=(2,)),
    Row(
        r"extproc run --upstream https://api\.openai\.com --budget 1000/minute$",
        "check",
        reason="tests/e2e/test_budgets.py starts it, and uses a budget up",
    ),
    Row(r"(\.venv/bin/)?extproc (serve|run) ", "start"),
    Row(r"(\.venv/bin/)?extproc serve$", "start"),
    Row(r"extproc doctor\b", "run", codes=(0, 3)),
    Row(r"extproc (version|config|envoy-config|replay|completion)\b.*\benvoy ", "run"),
    Row(r"extproc (version|config|envoy-config|replay|completion)\b", "run"),
    Row(r"envoy --mode validate ", "run"),
    Row(
        r"curl -si localhost:8080/openai/v1/chat/completions -H 'x-tenant: acme'",
        "check",
        reason="who is refused has used something up before: tests/e2e/test_rate_limits.py",
    ),
    Row(r"curl .*\b(localhost|127\.0\.0\.1):(9092|9901|8080)", "run", needs=("curl",)),
    Row(r"(python3|sed) ", "run"),
    Row(r"sqlite3 ", "run", needs=("sqlite3",)),
    Row(r"promtool test rules k8s/alerts", "check", reason="tests/k8s/test_alerts.py runs it", check=has_files),
    Row(r"promtool ", "run", needs=("promtool",)),
    Row(r"kubectl .*(-k|kustomize) (https?:|github\.com)", "check", reason="it is fetched from elsewhere"),
    # What would be applied is built; a reader's own kustomization is by tests/k8s/test_page.py.
    Row(r"kubectl (kustomize|.*-k) (\./)?k8s/", "run", needs=("kubectl",)),
    Row(r"(kubectl|helm|istioctl|kustomize|watch kubectl) ", "check", reason=CLUSTER, check=has_files),
    Row(r"(docker|podman|nerdctl) ", "check", reason=CONTAINERS, check=has_files),
    Row(r"make ", "check", reason="it takes long or runs in CI by itself", check=has_target),
    Row(r"pip install ", "check", reason="it would change the environment of the tests", check=has_extras),
    Row(r"\.venv/bin/python -c .from fuzz\.targets ", "check", reason="FILE is what a fuzzer has found"),
)  # fmt: skip

# What a page shows behind a command is not what that prints here, and why.
PRINTED_OTHERWISE = {
    (
        "README.md",
        "extproc doctor --envoy-admin",
    ): "an Envoy that is configured wrongly: tests/e2e/test_doctor.py has many",
    ("docs/cost.md", "extproc replay captures/ --costs"): "captures of real answers: tests/test_recorded_costs.py",
}


def row_of(command: Command) -> Row | None:
    """Return what is done with a command."""
    text = re.sub(rf"\A{_ASSIGNMENTS}", "", without_comment(command.text))
    rows = (row for row in ROWS if re.match(row.pattern, text) or re.match(row.pattern, command.text))
    return next(rows, None)


def without_comment(text: str) -> str:
    """Return a command without what is behind it for a reader."""
    return re.sub(r"\s+# .*\Z", "", text) if "\n" not in text else text


def is_shown_otherwise(command: Command) -> bool:
    """Say whether what the page shows is not what is printed here."""
    return any(command.page == page and command.text.startswith(text) for page, text in PRINTED_OTHERWISE)
