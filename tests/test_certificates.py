from __future__ import annotations

import ssl
from datetime import UTC, datetime
from pathlib import Path

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from extproc.certificates import expires_at, first_certificate, naming_authorities, use_pair


def pem_until(year: int) -> bytes:
    return (
        trustme.CA()
        .issue_cert("localhost", not_after=datetime(year, 12, 31, 23, 59, 58, tzinfo=UTC))
        .cert_chain_pems[0]
        .bytes()
    )


@pytest.mark.parametrize("year", [2001, 2024, 2049, 2050, 2061, 9999])
def test_when_a_certificate_expires(year: int) -> None:
    """As another implementation has it; from 2050 the time has another form."""
    pem = b"# for the gateway\n" + pem_until(year) + trustme.CA().cert_pem.bytes()
    expected = x509.load_pem_x509_certificates(pem)[0].not_valid_after_utc
    assert expires_at(first_certificate(pem)) == expected.timestamp()


def test_a_certificate_of_the_first_version() -> None:
    """It does not say its version, and is found all the same."""
    validity = b"\x30\x1e" + b"\x17\x0d700101000000Z" + b"\x17\x0d991231235958Z"
    fields = b"\x02\x01\x05" + b"\x30\x00" + b"\x30\x00" + validity
    inner = bytes((0x30, len(fields))) + fields
    assert expires_at(bytes((0x30, len(inner))) + inner) == datetime(1999, 12, 31, 23, 59, 58, tzinfo=UTC).timestamp()


@pytest.mark.parametrize("kept_bytes", [0, 1, 3, 10, 60, 200])
def test_a_certificate_that_stops_in_the_middle(kept_bytes: int) -> None:
    """It is an error, and no time."""
    with pytest.raises((ValueError, LookupError)):
        expires_at(first_certificate(pem_until(2030))[:kept_bytes])


def test_a_file_without_a_certificate() -> None:
    """Has no first one."""
    with pytest.raises(ValueError, match="not found"):
        first_certificate(b"garbage")


@pytest.mark.parametrize("is_apart", [True, False])
def test_a_pair_in_two_files_or_in_one(tmp_path: Path, is_apart: bool) -> None:
    """A key may stand beside its certificate."""
    leaf = trustme.CA().issue_cert("localhost")
    both, key = tmp_path / "both.pem", tmp_path / "x.key"
    leaf.private_key_and_cert_chain_pem.write_to_path(both)
    leaf.private_key_pem.write_to_path(key)
    use_pair(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), str(both), str(key) if is_apart else None)


@pytest.mark.parametrize(
    ("certificate", "key", "culprit", "reason"),
    [
        ("missing", "key", "missing", "No such file or directory"),
        ("good", "missing", "missing", "No such file or directory"),
        ("key", "key", "key", "it holds no certificate in PEM"),
        ("good", "good", "good", "it holds no key in PEM"),
        ("good", "other", "other", "the key is not that of the certificate in good"),
        ("good", "locked", "locked", "the key has a password, for which there is no place"),
        ("damaged", "key", "damaged", "no certificate, or no key, that can be used"),
    ],
)
def test_a_pair_that_cannot_be_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, certificate: str, key: str, culprit: str, reason: str
) -> None:
    """The error says which file it is, and why."""
    monkeypatch.chdir(tmp_path)
    leaf = trustme.CA().issue_cert("localhost")
    pem, own_key = leaf.cert_chain_pems[0].bytes(), leaf.private_key_pem.bytes()
    lock = BestAvailableEncryption(b"secret")
    for name, content in {
        "good": pem,
        "key": own_key,
        "other": trustme.CA().issue_cert("localhost").private_key_pem.bytes(),
        "locked": load_pem_private_key(own_key, None).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, lock),
        "damaged": pem[: len(pem) // 2] + b"\n-----END CERTIFICATE-----\n",
    }.items():
        Path(name).write_bytes(content)
    with pytest.raises(OSError, match=reason) as raised:
        use_pair(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), certificate, key)
    assert raised.value.filename == culprit


def test_authorities_that_are_none_are_named(tmp_path: Path) -> None:
    """The TLS library does not."""
    garbage = tmp_path / "ca.pem"
    garbage.write_text("garbage")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with pytest.raises(OSError, match="it holds no certificate in PEM") as raised, naming_authorities(str(garbage)):
        context.load_verify_locations(cafile=str(garbage))
    assert raised.value.filename == str(garbage)
    with pytest.raises(FileNotFoundError), naming_authorities(str(tmp_path / "missing")):
        pytest.fail("it is not there")
    with naming_authorities(None):
        pass
