"""A network of one's own: ports that nobody else has, and no way out. Linux, and root, or the test is skipped."""

from __future__ import annotations

import ctypes
import fcntl
import os
import socket
import struct
from typing import Self

import pytest

_CLONE_NEWNET = 0x40000000
# linux/sockios.h, linux/if.h: the flags of an interface, and what sets them.
_SIOCSIFFLAGS = 0x8914
_IFF_UP = 0x1


class NetworkNamespace:
    """A context: this thread, threads and processes that it starts, and sockets that it opens, are in a new network.

    There is loopback, and nothing else. What was open before stays where it was.
    """

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._outside = -1

    def __enter__(self) -> Self:
        self._outside = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        if self._libc.unshare(_CLONE_NEWNET) != 0:
            reason = os.strerror(ctypes.get_errno())
            os.close(self._outside)
            pytest.skip(f"no network of one's own can be had here ({reason})")
        with socket.socket() as control:
            fcntl.ioctl(control, _SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", _IFF_UP))
        return self

    def __exit__(self, *_: object) -> None:
        code = self._libc.setns(self._outside, _CLONE_NEWNET)
        os.close(self._outside)
        assert code == 0, "this thread could not go back to its network"
