"""`python -m extproc.probe`: the exit code that a container's health is told by."""

from __future__ import annotations

import subprocess
import sys

from prometheus_client import CollectorRegistry
from support.sidecar import inherited_environ

from extproc.admin.server import AdminServer, MetricsServer
from extproc.config.address import HostPort
from extproc.demo.process import claim_port
from extproc.probe import main


def probe(address: str) -> subprocess.CompletedProcess[str]:
    """Ask as the image does, past a proxy that the environment names."""
    environ = inherited_environ(http_proxy="http://127.0.0.1:1", EXTPROC_ADMIN_LISTEN=address)
    command = [sys.executable, "-P", "-m", "extproc.probe"]
    return subprocess.run(command, env=environ, capture_output=True, text=True, check=False, timeout=30)


def test_an_admin_port_that_answers_is_well_and_one_that_is_gone_is_not() -> None:
    """By the exit code; what is wrong is one line."""
    server = AdminServer(HostPort("127.0.0.1", 0), CollectorRegistry(), lambda: False, version="1")
    try:
        alive = probe(str(server.address))
    finally:
        server.close()
    gone = probe(str(server.address))
    assert (alive.returncode, alive.stdout, alive.stderr) == (0, "", "")
    said = f"extproc: no answer from {server.address}/livez (ConnectionRefusedError)\n"
    assert (gone.returncode, gone.stdout, gone.stderr) == (1, "", said)


def test_all_interfaces_are_asked_on_this_machine() -> None:
    """Which is what the sidecar listens on by itself."""
    port = claim_port(HostPort("127.0.0.1", 0), "probe").port
    said = main({"EXTPROC_ADMIN_LISTEN": f"0.0.0.0:{port}"})
    assert said == f"extproc: no answer from 127.0.0.1:{port}/livez (ConnectionRefusedError)"


def test_what_is_no_address_is_said() -> None:
    """By the name of the variable."""
    said = main({"EXTPROC_ADMIN_LISTEN": "nowhere"})
    assert said is not None
    assert said.startswith("extproc: EXTPROC_ADMIN_LISTEN: ")


def test_whoever_else_answers_there_is_not_the_sidecar() -> None:
    """A port that serves nothing but metrics has no /livez."""
    server = MetricsServer(HostPort("127.0.0.1", 0), CollectorRegistry())
    try:
        said = main({"EXTPROC_ADMIN_LISTEN": str(server.address)})
    finally:
        server.close()
    assert said == f"extproc: {server.address}/livez answers 404"
