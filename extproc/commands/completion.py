"""`extproc completion`: what makes a shell complete the command.

Owns: how a shell asks for completions. Finding them is typer's.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

import typer

# In it a shell says that it asks, https://click.palletsprojects.com/en/stable/shell-completion/.
COMPLETE_VARIABLE: Final = "_EXTPROC_COMPLETE"


def completion(shell: Annotated[Literal["bash", "zsh", "fish"], typer.Argument(help="The shell it is for.")]) -> None:
    """Print a script that makes a shell complete this command.

    For bash, here or in ~/.bashrc: source <(extproc completion bash)

    For zsh, in ~/.zshrc behind compinit: source <(extproc completion zsh)

    For fish, here or in config.fish: extproc completion fish | source
    """
    from typer.completion import get_completion_script  # type: ignore[attr-defined]  # imported there

    print(get_completion_script(prog_name="extproc", complete_var=COMPLETE_VARIABLE, shell=shell))


def answer_shells() -> None:
    """Have typer know the shells that may ask. It does so by itself only for who has its flags for that as well."""
    from typer.completion import completion_init  # type: ignore[attr-defined]  # as above

    completion_init()
