"""Certificates for collectors, read from files.

Owns: reading them, and what is said of files that hold none. Must not know what is sent.
"""

from __future__ import annotations

import errno
import ssl

from extproc.config.telemetry import TlsSettings


def build_context(tls: TlsSettings | None) -> ssl.SSLContext:
    """Return what TLS is spoken with. Raises OSError with the name of a file that can't be read, or can't be used."""
    own = tls or TlsSettings()
    used = own.ca_file
    try:
        context = ssl.create_default_context(cafile=own.ca_file)
        used = own.cert_file
        if own.cert_file is not None:
            # Without a password it would ask for one on the terminal.
            context.load_cert_chain(own.cert_file, own.key_file, password="")
    except ssl.SSLError:
        raise OSError(errno.EINVAL, "there is no certificate in it, or no open key of its own with it", used) from None
    except OSError as error:
        raise OSError(error.errno, error.strerror, used) from None
    return context
