"""`extproc serve`, which tells how many messages it has decoded: into the file that EXTPROC_TEST_DECODED names."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from extproc.cli import main
from extproc.server import session
from extproc.wire.envoy import Phase, decode_request
from extproc.wire.ext_proc_pb2 import ProcessingRequest

decoded = 0


def _decode(message: bytes) -> tuple[ProcessingRequest, Phase]:
    global decoded  # noqa: PLW0603 - there is one process, and it does nothing else
    decoded += 1
    return decode_request(message)


if __name__ == "__main__":
    session.decode_request = _decode  # type: ignore[attr-defined]  # where the session looks for it
    sys.argv[1:1] = ["serve"]
    try:
        main()
    finally:
        Path(os.environ["EXTPROC_TEST_DECODED"]).write_text(str(decoded), encoding="utf-8")
