"""What `extproc envoy-config` prints, as the bootstrap of a gateway: every address in it comes from flags."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest

from extproc.cli import app
from extproc.config.address import HostPort
from extproc.config.settings import without_settings
from extproc.demo.bootstrap import Bootstrap


class Printed(Bootstrap):
    """A bootstrap that is printed once all addresses are known, and not touched after that."""

    def __init__(self, upstreams: Mapping[str, HostPort], *flags: str, environ: dict[str, str] | None = None) -> None:
        super().__init__()
        self._flags = list(flags)
        self._environ = environ
        for name, address in upstreams.items():
            self._flags += ["--upstream", f"{name}=http://{address}"]

    def listen(self, gateway: HostPort, admin: HostPort) -> None:
        """Ask for these."""
        self._flags += ["--gateway", str(gateway), "--envoy-admin", str(admin)]

    def use_sidecar(self, *socket_paths: Path) -> None:
        """Ask for the sockets of all workers by the name they have in common."""
        (first, *others) = socket_paths
        listen = first.with_name(first.name.replace("-0.", ".")) if others else first
        self._flags += ["--listen", f"unix:{listen}", "--workers", str(len(socket_paths))]

    def to_json(self) -> str:
        """Return what is printed."""
        return print_config(*self._flags, "--format", "json", environ=self._environ)


def print_config(*flags: str, environ: Mapping[str, str] | None = None) -> str:
    """Return what `extproc envoy-config` prints with these settings in the environment. Fails if it says more.

    It runs in this process: tests want it often, and starting a Python takes longer than all it does.
    """
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        for name in set(os.environ) - set(without_settings(os.environ)):
            patch.delenv(name)
        for name, value in (environ or {}).items():
            patch.setenv(name, value)
        app(args=["envoy-config", *flags], prog_name="extproc", standalone_mode=False)
    assert err.getvalue() == ""
    return out.getvalue()
