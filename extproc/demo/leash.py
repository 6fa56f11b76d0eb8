"""`python -m extproc.demo.leash PARENT COMMAND...`: run COMMAND so that it ends when the process PARENT ends.

Whoever starts children must not leave them behind, and a process that is killed with SIGKILL cannot clean up after
itself. On Linux the kernel does it, if each child asks for it (PR_SET_PDEATHSIG, prctl(2)). Elsewhere the command just
runs.
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
    os.execvp(command[0], command)  # noqa: S606 - becoming the command is the point


if __name__ == "__main__":
    main()
