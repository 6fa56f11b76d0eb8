"""`extproc` in a process that has loaded it already and forks for each command: loading takes longer than most of them.

`python -m support.warm SOCKET` serves; `write_shim` writes the `extproc` that asks it. A command has its own arguments,
folder, environment and files, and is otherwise what `extproc` is: the same entry point.
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import io
import json
import os
import signal
import socket
import sys
import traceback
from contextlib import redirect_stdout, suppress
from pathlib import Path
from typing import NoReturn

_MAX_ASK_BYTES = 1 << 20
_READY = "ready"
_PR_SET_PDEATHSIG = 1

# What commands load when they run, and one that builds much on its first run; nothing of it starts threads.
_LOADED = (
    "extproc.cli",
    "extproc.app",
    "extproc.demo.run",
    "extproc.envoyconfig.printing",
    "extproc.replay.run",
    "extproc.reading",
    "extproc.doctor.run",
    "extproc.server.completion_queue",
    "genai_prices.data",
)
_FIRST = (["extproc", "envoy-config"], ["extproc", "envoy-config", "--mode", "zero-body"])

_SHIM = """\
#!{python} -SE
import json, os, signal, socket, sys
with socket.socket(socket.AF_UNIX) as connection:
    connection.connect({address!r})
    ask = json.dumps([sys.argv, os.getcwd(), dict(os.environ)]).encode()
    socket.send_fds(connection, [ask], [0, 1, 2])
    answer = connection.makefile()
    process = int(answer.readline())
    signal.signal(signal.SIGTERM, lambda *_: os.kill(process, signal.SIGTERM))
    sys.exit(int(answer.readline()))
"""


def write_shim(path: Path, address: Path) -> None:
    """Write the command. It ends as the one it stands for does, and passes on that it is told to end."""
    path.write_text(_SHIM.format(python=sys.executable, address=str(address)))
    path.chmod(0o755)


def serve(address: str) -> NoReturn:
    """Answer until killed."""
    for name in _LOADED:
        importlib.import_module(name)
    with redirect_stdout(io.StringIO()):
        for arguments in _FIRST:
            _call(arguments)
    # A command need not look again at what is loaded, nor make pages of it its own.
    gc.freeze()
    signal.signal(signal.SIGCHLD, _reap)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        listener.listen()
        sys.stdout.write(_READY)
        sys.stdout.flush()
        while True:
            connection, _ = listener.accept()
            with connection:
                ask, files, _, _ = socket.recv_fds(connection, _MAX_ASK_BYTES, 3)
                if os.fork() == 0:
                    _run(connection, ask, files)
                for file in files:
                    os.close(file)


def _reap(*_: object) -> None:
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _run(connection: socket.socket, ask: bytes, files: list[int]) -> NoReturn:
    """Become the command, and tell its exit code."""
    code = 1
    try:
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        connection.send(f"{os.getpid()}\n".encode())
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        arguments, folder, environ = json.loads(ask)
        for number, file in enumerate(files):
            os.dup2(file, number)
        os.chdir(folder)
        os.environ.clear()
        os.environ.update(environ)
        code = _call(arguments)
        sys.stdout.flush()
        sys.stderr.flush()
    except BaseException:  # noqa: BLE001 - a child must not go on as its parent
        traceback.print_exc()
    connection.send(str(code).encode())
    os._exit(code)


def _call(arguments: list[str]) -> int:
    sys.argv = arguments
    try:
        sys.modules["extproc.cli"].main()
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    return 0


if __name__ == "__main__":
    serve(sys.argv[1])
