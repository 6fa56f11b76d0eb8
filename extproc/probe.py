"""`python -m extproc.probe`: ask the sidecar of this container whether it is alive; the image's HEALTHCHECK.

Owns: one question to the admin port, and the exit code. It goes by EXTPROC_ADMIN_LISTEN and reads no files of settings:
a probe that takes as long as a start is none. Kubernetes asks over HTTP by itself.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from http.client import HTTPConnection, HTTPException

from extproc.config.address import parse_host_port
from extproc.errors import SettingsError

_DEFAULT = "0.0.0.0:9092"
_PATH = "/livez"
_TIMEOUT_SECONDS = 2.0
_OK = 200


def main(environ: Mapping[str, str]) -> str | None:
    """Return what is wrong with the sidecar; None if it is alive."""
    try:
        address = parse_host_port(environ.get("EXTPROC_ADMIN_LISTEN") or _DEFAULT).from_here
    except SettingsError as error:
        return f"extproc: EXTPROC_ADMIN_LISTEN: {error}"
    connection = HTTPConnection(address.host, address.port, timeout=_TIMEOUT_SECONDS)  # past every proxy
    try:
        connection.request("GET", _PATH)
        status = connection.getresponse().status
    except (OSError, HTTPException) as error:
        return f"extproc: no answer from {address}{_PATH} ({type(error).__name__})"
    finally:
        connection.close()
    return None if status == _OK else f"extproc: {address}{_PATH} answers {status}"


if __name__ == "__main__":
    sys.exit(main(os.environ))
