from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support.sidecar import inherited_environ, run

# What a shell does when somebody presses TAB behind the last of the words.
PRESS_TAB = {
    "bash": """
source <(extproc completion bash)
COMP_WORDS=(@TYPED); COMP_CWORD=@COUNT
"$(complete -p extproc | sed 's/.*-F \\([^ ]*\\).*/\\1/')" extproc
printf '%s\\n' "${COMPREPLY[@]}"
""",
    "fish": """
extproc completion fish | source
complete --do-complete "@TYPED"
""",
}


def complete(shell: str, *words: str) -> list[str]:
    """Return what a shell offers for the last of these words."""
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"{shell} is not installed")
    script = PRESS_TAB[shell].replace("@TYPED", " ".join(words)).replace("@COUNT", str(len(words) - 1))
    environ = inherited_environ(PATH=f"{Path(sys.executable).parent}:/usr/bin:/bin")
    ended = subprocess.run([program, "-c", script], capture_output=True, text=True, check=True, timeout=60, env=environ)
    assert ended.stderr == ""
    return [line.partition("\t")[0] for line in ended.stdout.splitlines() if line]


@pytest.mark.parametrize("shell", PRESS_TAB)
@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["extproc", "ser"], ["serve"]),
        (["extproc", "serve", "--admin"], ["--admin-listen"]),
        (["extproc", "completion", "z"], ["zsh"]),
    ],
)
def test_a_shell_completes_commands_flags_and_words(shell: str, words: list[str], offered: list[str]) -> None:
    """As the installed command is asked by the script it has printed."""
    assert complete(shell, *words) == offered


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_script_is_all_that_is_printed(shell: str) -> None:
    """It is read by the shell as it is; and it asks in the way the command understands."""
    ended = run("completion", shell)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert f"_EXTPROC_COMPLETE=complete_{shell}" in ended.stdout


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_the_shells_that_may_not_be_here_are_answered(shell: str) -> None:
    """With what their script asks for."""
    asked = {
        "_EXTPROC_COMPLETE": f"complete_{shell}",
        "_TYPER_COMPLETE_ARGS": "extproc ser",
        "_TYPER_COMPLETE_FISH_ACTION": "get-args",
    }
    ended = run(environ=asked)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "serve" in ended.stdout
    assert "replay" not in ended.stdout
