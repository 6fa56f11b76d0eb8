from __future__ import annotations

import platform
import subprocess
import sys
from pathlib import Path

import pytest

from extproc.memory import give_back, limit_bytes, taken_bytes


def write(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


NO_LIMIT = "9223372036854771712\n"


@pytest.mark.parametrize(
    ("groups", "files", "limit"),
    [
        ("0::/kubepods/pod1/c1\n", {"kubepods/pod1/memory.max": "300\n", "kubepods/pod1/c1/memory.max": "max\n"}, 300),
        ("0::/a/b\n", {"a/memory.max": "300\n", "a/b/memory.max": "200\n"}, 200),
        ("0::/\n", {"memory.max": "500\n"}, 500),  # in a container of its own namespace
        ("0::/../other\n", {"memory.max": "500\n"}, 500),
        ("0::/a\n", {"a/memory.max": "max\n"}, None),
        ("4:memory:/docker/1\n0::/\n", {"memory/memory.limit_in_bytes": "700\n"}, 700),  # mounted at its own group
        ("4:memory:/a\n", {"memory/a/memory.limit_in_bytes": "9\n", "memory/memory.limit_in_bytes": NO_LIMIT}, 9),
        ("4:memory:/a\n2:cpu:/a\n", {"memory/a/memory.limit_in_bytes": NO_LIMIT, "cpu/a/memory.max": "1\n"}, None),
        ("4:memory:/a\n", {"memory/a/memory.limit_in_bytes": "many\n"}, None),
        ("", {}, None),
    ],
)
def test_the_tightest_limit_of_a_group_and_those_above_it_counts(
    tmp_path: Path, groups: str, files: dict[str, str], limit: int | None
) -> None:
    """In both versions of control groups."""
    write(tmp_path / "proc", {"self/cgroup": groups})
    write(tmp_path / "cgroup", files)
    assert limit_bytes(tmp_path / "proc", tmp_path / "cgroup") == limit


def test_where_there_is_no_proc_nothing_is_known(tmp_path: Path) -> None:
    """As on other systems."""
    assert limit_bytes(tmp_path, tmp_path) is None
    assert taken_bytes(tmp_path) is None


def test_what_is_read_from_files_is_left_out(tmp_path: Path) -> None:
    """The system takes it back by itself."""
    write(tmp_path, {"self/statm": "900 500 200 1 0 300 0\n"})
    assert taken_bytes(tmp_path) == 300 * (taken_page_bytes())


def taken_page_bytes() -> int:
    import os  # noqa: PLC0415 - for this alone

    return os.sysconf("SC_PAGE_SIZE")


def test_giving_back_does_no_harm() -> None:
    """Where the C library has no such call, either."""
    give_back()
    taken = taken_bytes()
    assert taken is None or taken > 0


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library has other ways")
@pytest.mark.parametrize("kept_apart", [True, False])
def test_large_blocks_are_given_back(kept_apart: bool) -> None:
    """Which the library does not do by itself once it has seen one."""
    code = (
        "from extproc.memory import keep_large_apart, taken_bytes\n"
        f"if {kept_apart}: keep_large_apart()\n"
        "before = taken_bytes()\n"
        "large = bytearray(24_000_000); del large\n"
        "blocks = [bytearray(b'x' * 6_000_000) for _ in range(3)]; del blocks\n"
        "print(taken_bytes() - before)"
    )
    added = int(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout)
    assert (added < 5_000_000) is kept_apart
