"""`python -m extproc.demo.leash PARENT COMMAND...`: run COMMAND so that it ends when, and as, the process PARENT says.

Whoever starts children must not leave them behind, and a process that is killed with SIGKILL cannot clean up after
itself. On Linux the kernel does it, if each child asks for it (PR_SET_PDEATHSIG, prctl(2); it goes
with the thread that started the child, which is the main one here). Elsewhere the command just runs.

Ctrl-C in a terminal goes to all processes at once, and the parent wants to end its children in order, so they start
with SIGINT ignored.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Ask for the signal, then become the command."""
    parent, command = int(sys.argv[1]), sys.argv[2:]
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:
            sys.exit(1)  # it was gone before we could ask
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.execvp(command[0], command)  # noqa: S606 - becoming the command is the point


if __name__ == "__main__":
    main()
