from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from typing import Any

import pytest
from support.waiting import wait_for

from extproc.logs import place_of

PROGRAM = """
import logging, sys
from extproc.logs import set_level, write_logs
write_logs("info", sys.argv[1], worker=int(sys.argv[2]) if sys.argv[2:] else None)
import structlog
log = structlog.stdlib.get_logger("extproc")
"""

LINES = """
log.info("ready", listen="unix:/x.sock", workers=2)
log.debug("sk-1")
logging.getLogger("grpc._cython.cygrpc").error("Invalid encoding on sk-2")
logging.getLogger("other").warning("careful %s", "now")
logging.getLogger("other").info("sk-3")
"""

# What would forge a line, clear a terminal, or turn the direction of writing.
HOSTILE = "a\n2026-01-01T00:00:00.000Z [error] b\r\x1b[2J\x9b\u2028\u202e\udc80 c"

TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"


def written(program: str, *arguments: str) -> str:
    """Return what a program writes to standard error."""
    command = [sys.executable, "-c", PROGRAM + program, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stderr


def objects(program: str, *arguments: str) -> list[dict[str, Any]]:
    """Return the lines of JSON that a program writes, without their times."""
    lines = [json.loads(line) for line in written(program, *arguments).splitlines()]
    assert all(re.fullmatch(TIME, line.pop("timestamp")) for line in lines)
    return lines


def test_a_line_for_machines_is_an_object() -> None:
    """Of ours and of what libraries warn of, but nothing of gRPC's own, which repeats what it can't decode."""
    assert objects(LINES, "auto", "1") == [
        {"level": "info", "event": "ready", "worker": 1, "listen": "unix:/x.sock", "workers": 2},
        {"level": "warning", "event": "careful now", "worker": 1, "logger": "other"},
    ]


def test_a_line_begins_with_what_all_lines_have() -> None:
    """So that a person who reads objects finds it at the same place."""
    first = json.loads(written(LINES, "json").splitlines()[0])
    assert list(first) == ["timestamp", "level", "event", "listen", "workers"]


def test_a_line_for_people_is_text() -> None:
    """Without colours where there is no terminal."""
    lines = [re.sub(r"\s+", " ", line) for line in written(LINES, "text", "1").splitlines()]
    assert [re.sub(rf"^{TIME} ", "", line) for line in lines] == [
        "[info ] ready worker=1 listen=unix:/x.sock workers=2",
        "[warning ] careful now worker=1 logger=other",
    ]


@pytest.mark.parametrize("environ", [{}, {"NO_COLOR": "1"}])
def test_a_person_at_a_terminal_gets_text(environ: dict[str, str]) -> None:
    """In colours, but for who wants none."""
    reader, writer = pty.openpty()
    try:
        command = [sys.executable, "-c", PROGRAM + LINES, "auto"]
        subprocess.run(command, stderr=writer, check=True, env=os.environ | {"NO_COLOR": ""} | environ)
        said = b""

        def is_whole() -> bool:
            nonlocal said
            said += os.read(reader, 4096)
            return said.count(b"\n") == 2

        wait_for(is_whole)
    finally:
        os.close(reader)
        os.close(writer)
    assert b'"event"' not in said
    assert (b"\x1b[" in said) is ("NO_COLOR" not in environ)


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_no_value_can_forge_a_line(log_format: str) -> None:
    """Or speak to the terminal on which it is shown; also in what a library says."""
    hostile = f"log.warning('careful', value={HOSTILE!r})\nlogging.getLogger('other').error({HOSTILE!r})\n"
    lines = written(hostile, log_format).split("\n")
    assert len(lines) == 3
    assert all(line.isprintable() for line in lines)


@pytest.mark.parametrize(("value", "shown"), [("", "''"), ("a=b", "'a=b'"), ("a b", "'a b'"), ("ä", "ä"), (1.5, "1.5")])
def test_values_can_be_told_apart(value: object, shown: str) -> None:
    """What could be taken for two is quoted."""
    assert written(f"log.info('x', value={value!r})", "text").endswith(f" value={shown}\n")


def test_the_text_of_an_exception_is_never_written() -> None:
    """It may repeat what a client sent; what it was and where is enough to find it."""
    program = """
def fail(secret):
    raise KeyError(secret)
try:
    fail("sk-1")
except KeyError as error:
    logging.getLogger("other").exception("failed\\nfuture: %r", error)
    log.warning("failed", exc_info=error)
    log.error("failed", exc_info=True, stack_info=True)
log.error("failed", exc_info=ValueError("sk-1"))
"""
    place = {"exception": "KeyError", "at": "<string>:9 in fail"}
    assert objects(program, "json") == [
        {"level": "error", "event": "failed", "logger": "other", **place},
        {"level": "warning", "event": "failed", **place},
        {"level": "error", "event": "failed", **place},
        {"level": "error", "event": "failed", "exception": "ValueError", "at": "nowhere"},
    ]


def test_the_level_can_be_set_while_it_runs() -> None:
    """Also for loggers that have been used before."""
    program = "log.debug('a'); set_level('debug'); log.debug('b'); set_level('error'); log.warning('c'); log.error('d')"
    assert [line["event"] for line in objects(program, "json")] == ["b", "d"]


def test_it_is_loaded_without_what_it_does_not_need() -> None:
    """Rich takes longer to load than all the rest of it; who has loaded it keeps it."""
    program = "import sys; import extproc.logs; assert 'rich' not in sys.modules; import rich.console"
    subprocess.run([sys.executable, "-c", program], check=True)
    program = "import rich, sys; import extproc.logs; assert sys.modules['rich'] is rich"
    subprocess.run([sys.executable, "-c", program], check=True)


def test_a_place_is_that_of_the_innermost_frame() -> None:
    """With the name of its file, and not the path, which says how a machine is set up."""
    with pytest.raises(ValueError, match="x") as raised:
        raise ValueError("x")
    assert re.fullmatch(r"test_logs\.py:\d+ in test_a_place_is_that_of_the_innermost_frame", place_of(raised.value))
