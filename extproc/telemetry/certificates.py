"""Certificates for a collector, read from files.

Owns: that whoever got a file wrong is told at the start, and which one it is: the TLS library names none, and gRPC's
would only fail at each connection. Must not know who connects.
"""

from __future__ import annotations

import errno
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from extproc.config.telemetry import TlsSettings


def build_context(tls: TlsSettings | None) -> ssl.SSLContext:
    """Return what a connection is made with; without files of its own it trusts the system's authorities.

    Raises OSError with the name of a file that cannot be read, or is none of PEM.
    """
    own = tls or TlsSettings()
    with _named(own.ca_file):
        context = ssl.create_default_context(cafile=own.ca_file)
    if own.cert_file is not None:
        with _named(own.cert_file, own.key_file):
            # Without a password it would ask for one, on the terminal.
            context.load_cert_chain(own.cert_file, own.key_file, password="")
    return context


@contextmanager
def _named(*paths: str | None) -> Iterator[None]:
    """Let errors of these files name them; one that shows in what is in several names the first."""
    names = [path for path in paths if path is not None]
    for name in names:
        with Path(name).open("rb"):
            pass
    try:
        yield
    except ssl.SSLError:  # whose number is no error of the system's
        raise OSError(errno.EINVAL, "no certificate, or no key that goes with it, in PEM", names[0]) from None
