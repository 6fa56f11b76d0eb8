"""A container as its manifest says, from what this machine has: no runtime, no image.

Its own processes and mounts; in place of an image the machine's programs and this Python, at their paths, and nothing
else; what the security context says of users, capabilities and writing. Linux, and root. Its network is that of who
starts it, its memory and CPU are not limited, and its system calls are not filtered.
"""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.manifests import ROOT, Object
from support.sidecar import children_of
from support.waiting import wait_for

# What programs of this machine need: themselves, libraries, how those are found, and authorities of certificates.
_SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib64")
_FILES = ("/etc/ld.so.cache", "/etc/ssl")
_DEVICES = ("null", "zero", "full", "random", "urandom")
_SHARED_MEMORY = "/dev/shm"  # noqa: S108 - in a root of the container's own

# Processes and mounts of its own; who starts it ends it.
_NAMESPACES = ("unshare", "--mount", "--pid", "--fork", "--kill-child")
_PROGRAMS = ("bash", "chroot", "mount", "nsenter", "setpriv", "unshare")
_ALL_MAY_READ = 0o005


@dataclass(frozen=True)
class Image:
    """What a runtime would read of an image: whom it runs as, and what."""

    user: int
    entrypoint: Sequence[str]
    command: Sequence[str]


def need_containers(folder: Path) -> None:
    """Skip the test where there can be none."""
    if not sys.platform.startswith("linux") or os.geteuid() != 0:
        pytest.skip("containers are made of Linux' namespaces, by root")
    for path in (ROOT, Path(sys.base_prefix)):
        if path.stat().st_mode & _ALL_MAY_READ != _ALL_MAY_READ:
            pytest.skip(f"others than its owner may not read {path}")
    for program in _PROGRAMS:
        if shutil.which(program) is None:
            pytest.skip(f"no {program} here")
    mount = ["mount", "-t", "tmpfs", "tmpfs", str(folder)]
    tried = subprocess.run([*_NAMESPACES, *mount], capture_output=True, text=True, check=False)
    if tried.returncode:
        pytest.skip(f"no namespaces can be had here ({tried.stderr.strip()})")


class Container:
    """One container of a pod, from `start` until it has ended. `lines` are what it has said, on both its outputs."""

    def __init__(self, spec: Object, pod: Object, image: Image, volumes: Mapping[str, Path], folder: Path) -> None:
        self.name: str = spec["name"]
        self.spec = spec
        self.lines: list[str] = []
        self._context = pod.get("securityContext", {}) | spec.get("securityContext", {})
        self._user = int(self._context.get("runAsUser", image.user))
        self._volumes = volumes
        self._root = folder / f"root-{self.name}"
        entrypoint = spec.get("command", image.entrypoint)
        self._command = [*entrypoint, *spec.get("args", () if "command" in spec else image.command)]
        self._environ = {"PATH": f"{sys.prefix}/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOSTNAME": "pod"}
        self._environ |= {each["name"]: each["value"] for each in spec.get("env", ())}
        self._reader = threading.Thread(target=lambda: None)
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it."""
        self._root.mkdir()
        read, write = os.pipe()
        os.fchown(write, self._user, -1)  # as a runtime does, so that /proc/1/fd/2 can be opened in it
        command = ["setpriv", "--pdeathsig", "KILL", *_NAMESPACES, "sh", "-c", self._script(), "sh", *self._command]
        self.process = subprocess.Popen(
            command, env=self._environ, stdin=subprocess.DEVNULL, stdout=write, stderr=write, cwd="/"
        )
        os.close(write)
        self._reader = threading.Thread(target=self._read, args=(read,), daemon=True)
        self._reader.start()

    def run(self, command: Sequence[str]) -> subprocess.Popen[bytes]:
        """Start another process in it, with its environment and as its user."""
        inside = ["nsenter", "--target", str(self.pid), "--mount", "--pid", "--root", "--wdns=/", *self._confined()]
        return subprocess.Popen([*inside, *command], env=self._environ, stdin=subprocess.DEVNULL)

    @property
    def pid(self) -> int:
        """The process that is the first one in it."""
        assert self.process is not None
        outer = self.process.pid
        wait_for(lambda: children_of(outer))
        return children_of(outer)[0]

    @property
    def has_ended(self) -> bool:
        """Say whether it is over."""
        return self.process is not None and self.process.poll() is not None

    def signal(self, number: int) -> None:
        """Send a signal to its first process."""
        if not self.has_ended:
            os.kill(self.pid, number)

    def wait(self, timeout_seconds: float) -> int | None:
        """Return its exit code, and None if it has not ended by then."""
        assert self.process is not None
        try:
            code = self.process.wait(max(timeout_seconds, 0))
        except subprocess.TimeoutExpired:
            return None
        self._reader.join()
        return code

    def kill(self) -> None:
        """End it if it has not ended."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()  # and --kill-child the rest
            self.wait(10)

    def _read(self, descriptor: int) -> None:
        with open(descriptor, encoding="utf-8", errors="replace") as output:
            self.lines.extend(iter(output.readline, ""))

    def _confined(self) -> list[str]:
        """Return what makes a command one of the container's user and rights."""
        groups = self._context.get("fsGroup")
        flags = [f"--reuid={self._user}", f"--regid={self._context.get('runAsGroup', self._user)}"]
        flags.append("--clear-groups" if groups is None else f"--groups={groups}")
        if self._context.get("capabilities", {}).get("drop") == ["ALL"]:
            flags += ["--bounding-set=-all", "--inh-caps=-all", "--ambient-caps=-all"]
        if self._context.get("allowPrivilegeEscalation") is False:
            flags.append("--no-new-privs")
        return ["/usr/bin/setpriv", *flags, "--"]

    def _script(self) -> str:
        """Return the shell script that builds the root of the file system, and becomes the command in it."""
        become = ["exec", "chroot", str(self._root), *self._confined()]
        return "\n".join(["set -eu", "umask 022", *self._mounts(), f'{shlex.join(become)} "$@"'])

    def _mounts(self) -> Iterator[str]:
        root = shlex.quote(str(self._root))
        yield f"mount -t tmpfs -o mode=755 tmpfs {root}"
        for path in map(Path, _SYSTEM):
            if path.is_symlink():
                yield f"ln -s {path.readlink()} {root}{path}"
            elif path.is_dir():
                yield from self._bind(path, str(path))
        for path in dict.fromkeys((*map(Path, _FILES), ROOT, Path(sys.prefix), Path(sys.base_prefix))):
            if path.exists() and not any(path.is_relative_to(other) for other in ("/usr", ROOT) if path != ROOT):
                yield from self._bind(path, str(path))
        yield f"mkdir -p {root}/proc {root}{_SHARED_MEMORY}; mount -t proc proc {root}/proc"
        for device in _DEVICES:
            yield f"touch {root}/dev/{device}; mount --bind /dev/{device} {root}/dev/{device}"
        yield f"ln -s /proc/self/fd {root}/dev/fd"
        yield f"mount -t tmpfs -o mode=1777,size=64m shm {root}{_SHARED_MEMORY}"
        for mount in self.spec.get("volumeMounts", ()):
            yield from self._bind(self._volumes[mount["name"]], mount["mountPath"], may_write=not mount.get("readOnly"))
        if self._context.get("readOnlyRootFilesystem"):
            yield f"mount -o remount,bind,ro {root}"

    def _bind(self, source: Path, target: str, *, may_write: bool = False) -> Iterator[str]:
        """Yield what shows a file or a folder at a path."""
        here, there = shlex.quote(str(source)), shlex.quote(f"{self._root}{target}")
        make = f"mkdir -p {there}" if source.is_dir() else f"mkdir -p $(dirname {there}); touch {there}"
        yield f"{make}; mount --bind {here} {there}"
        if not may_write:
            yield f"mount -o remount,bind,ro {there}"


def end(container: Container, seconds: float) -> int:
    """Tell a container to end as a runtime does: SIGTERM, SIGKILL when the time is over; return the exit code."""
    container.signal(signal.SIGTERM)
    code = container.wait(seconds)
    if code is None:
        container.signal(signal.SIGKILL)
        code = container.wait(10)
    assert code is not None, f"{container.name} could not be killed"
    return code
