"""Where log lines go, and what they look like.

Owns: the format. What is logged is the business of whoever does it.
"""

from __future__ import annotations

import logging
import sys


def write_logs(level: str, source: str = "") -> None:
    """Write log lines of that level and above to standard error; `source` stands before each message."""
    logging.getLogger("extproc").setLevel(level.upper())
    logging.basicConfig(
        level=logging.WARNING,  # of the libraries
        format=f"%(asctime)s %(levelname)s {source}%(message)s",
        stream=sys.stderr,
    )
    # gRPC logs metadata that is not UTF-8, value and all, and the text of exceptions; both may repeat what a client
    # sent. The others log addresses and attributes when telemetry can't be exported, which is told elsewhere.
    for library in ("grpc", "opentelemetry", "urllib3"):
        logging.getLogger(library).setLevel(logging.CRITICAL)
