"""Certificates for a collector, read from files.

Owns: what is trusted and presented. Must not know who connects.
"""

from __future__ import annotations

import ssl

from extproc.certificates import naming_authorities, use_pair
from extproc.config.telemetry import TlsSettings


def build_context(tls: TlsSettings | None) -> ssl.SSLContext:
    """Return what a connection is made with; without files of its own it trusts the system's authorities.

    Raises OSError with the name of a file that cannot be read, or is none of PEM.
    """
    own = tls or TlsSettings()
    with naming_authorities(own.ca_file):
        context = ssl.create_default_context(cafile=own.ca_file)
    if own.cert_file is not None:
        use_pair(context, own.cert_file, own.key_file)
    return context
