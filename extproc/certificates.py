"""Certificates and keys in PEM files: whether they can be used, and until when.

Owns: that whoever got a file wrong is told which one it is, and what is wrong with it: the TLS libraries name none, and
gRPC takes what is no certificate and then fails at each connection. Must not know who connects to whom, nor log.
"""

from __future__ import annotations

import errno
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

_BEGIN_CERTIFICATE = b"-----BEGIN CERTIFICATE-----"
_END_CERTIFICATE = b"-----END CERTIFICATE-----"
_END_KEY = b"PRIVATE KEY-----"

# Tags of DER: https://www.rfc-editor.org/rfc/rfc5280#section-4.1
_VERSION, _UTC_TIME = 0xA0, 0x17


def use_pair(context: ssl.SSLContext, cert_file: str, key_file: str | None = None) -> None:
    """Have a context present a certificate; without a `key_file` the key is beside it.

    Raises OSError with the name of a file that cannot be read or used, and why.
    """
    certificate = Path(cert_file).read_bytes()
    key = certificate if key_file is None else Path(key_file).read_bytes()
    if _BEGIN_CERTIFICATE not in certificate:
        raise _unusable("it holds no certificate in PEM", cert_file)
    if _END_KEY not in key:
        raise _unusable("it holds no key in PEM", key_file or cert_file)
    if b"ENCRYPTED" in key:
        raise _unusable("the key has a password, for which there is no place", key_file or cert_file)
    try:
        # Without a password it would ask for one, on the terminal.
        context.load_cert_chain(cert_file, key_file, password="")
    except ssl.SSLError as error:  # whose number is no error of the system's
        if error.reason in ("KEY_VALUES_MISMATCH", "KEY_TYPE_MISMATCH"):
            raise _unusable(f"the key is not that of the certificate in {cert_file}", key_file or cert_file) from None
        raise _unusable("no certificate, or no key, that can be used", cert_file) from None


@contextmanager
def naming_authorities(ca_file: str | None) -> Iterator[None]:
    """Let the error of a file of authorities that cannot be read or used name it."""
    if ca_file is not None:
        with Path(ca_file).open("rb"):
            pass
    try:
        yield
    except ssl.SSLError:
        raise _unusable("it holds no certificate in PEM", ca_file or "") from None


def first_certificate(pem: bytes) -> bytes:
    """Return the first certificate in a file, in DER. Raises ValueError where there is none."""
    start = pem.index(_BEGIN_CERTIFICATE)
    end = pem.index(_END_CERTIFICATE, start) + len(_END_CERTIFICATE)
    return ssl.PEM_cert_to_DER_cert(pem[start:end].decode())


def expires_at(certificate: bytes) -> float:
    """Return when a certificate in DER expires, in seconds since the epoch.

    https://www.rfc-editor.org/rfc/rfc5280#section-4.1.2.5. The standard library tells this of a peer's certificate that
    has been verified, and of no other. Raises ValueError or LookupError for what is none.
    """
    _, outer, _ = _element(certificate)
    _, fields, _ = _element(outer)
    tag, _, rest = _element(fields)
    for _ in range(3 if tag == _VERSION else 2):  # serial number, signature, issuer, of which one may have been first
        _, _, rest = _element(rest)
    _, validity, _ = _element(rest)
    _, _, not_after = _element(validity)
    tag, value, _ = _element(not_after)
    text = value.decode()
    if tag == _UTC_TIME:
        text = ("19" if text >= "50" else "20") + text
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC).timestamp()


def _element(der: bytes) -> tuple[int, bytes, bytes]:
    """Return tag and content of the first element, and what is behind it."""
    length, start = der[1], 2
    if length & 0x80:
        start += length & 0x7F
        length = int.from_bytes(der[2:start], "big")
    if len(der) < start + length:
        raise ValueError("the certificate stops in the middle")
    return der[0], der[start : start + length], der[start + length :]


def _unusable(reason: str, file: str) -> OSError:
    return OSError(errno.EINVAL, reason, file)
