"""Commands of `extproc` in the process of the test: starting a Python takes longer than most of them."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Mapping
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass

import pytest

from extproc.cli import main
from extproc.config.settings import without_settings


@dataclass(frozen=True)
class Done:
    """How a command has ended, and all that it has printed."""

    code: int
    printed: str


def run_here(*arguments: str, environ: Mapping[str, str] | None = None) -> Done:
    """Run a command that ends by itself, with these settings in its environment and no others."""
    printed = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(printed), redirect_stderr(printed):
        for name in set(os.environ) - set(without_settings(os.environ)):
            patch.delenv(name)
        for name, value in (environ or {}).items():
            patch.setenv(name, value)
        patch.setattr(sys, "argv", ["extproc", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
    assert isinstance(ended.value.code, int)
    return Done(ended.value.code, printed.getvalue())
