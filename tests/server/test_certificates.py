from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
import structlog
import trustme
from support.tls import ServerFiles
from support.waiting import wait_for

from extproc.errors import SettingsError
from extproc.server.certificates import CertificateFiles, ServerCertificates


class Observer:
    """Keeps what it hears."""

    def __init__(self) -> None:
        self.expiries: list[float] = []
        self.reloads: list[bool] = []

    def certificate_served(self, expires_at_seconds: float) -> None:
        self.expiries.append(expires_at_seconds)

    def certificates_reloaded(self, *, is_good: bool) -> None:
        self.reloads.append(is_good)


@pytest.fixture(name="files")
def _files(tmp_path: Path) -> ServerFiles:
    return ServerFiles(tmp_path / "tls", demands_clients=True)


@pytest.fixture(name="observer")
def _observer() -> Observer:
    return Observer()


@pytest.fixture(name="certificates")
def _certificates(files: ServerFiles, observer: Observer) -> ServerCertificates:
    return ServerCertificates(CertificateFiles(**files.setting), observer)


def test_files_that_are_renewed_are_handed_on_once(
    files: ServerFiles, observer: Observer, certificates: ServerCertificates
) -> None:
    """gRPC builds what it needs for handshakes anew for each answer that is not None."""
    certificates.build_credentials()
    assert certificates._fetch() is None
    before = certificates.leaf
    assert before == files.leaf_der
    files.renew(not_after=datetime(2045, 1, 1, tzinfo=UTC))
    assert certificates._fetch() is not None
    assert certificates._fetch() is None
    assert certificates.leaf == files.leaf_der != before
    assert observer.reloads == [True]
    assert observer.expiries[1:] == [datetime(2045, 1, 1, tzinfo=UTC).timestamp()]
    assert certificates.handshakes == 3


def test_what_is_seen_between_handshakes_is_handed_on_at_the_next(
    files: ServerFiles, observer: Observer, certificates: ServerCertificates
) -> None:
    """However often somebody looks."""
    certificates.build_credentials()
    files.renew()
    certificates.look()
    certificates.look()
    assert observer.reloads == [True]
    assert certificates._fetch() is not None


def test_another_authority_of_clients_is_a_change(files: ServerFiles, certificates: ServerCertificates) -> None:
    """Also where the certificate is the same."""
    chain = b"".join(part.bytes() for part in files.leaf.cert_chain_pems)
    files.swap(chain, files.leaf.private_key_pem.bytes(), trustme.CA().cert_pem.bytes())
    assert certificates._fetch() is not None


def half_written(files: ServerFiles) -> None:
    files.cert_file.write_bytes(files.cert_file.read_bytes()[:300])


def exchanged_key(files: ServerFiles) -> None:
    files.key_file.write_bytes(trustme.CA().issue_cert("localhost").private_key_pem.bytes())


def no_authority(files: ServerFiles) -> None:
    files.client_ca_file.write_text("")


def gone(files: ServerFiles) -> None:
    files.key_file.unlink()


@pytest.mark.parametrize("spoil", [half_written, exchanged_key, no_authority, gone])
def test_files_that_cannot_be_used_leave_the_old_ones(
    files: ServerFiles, observer: Observer, certificates: ServerCertificates, spoil: Callable[[ServerFiles], None]
) -> None:
    """Said once, however often they are looked at, and forgotten when they are good again."""
    before = certificates.leaf
    with structlog.testing.capture_logs() as lines:
        spoil(files)
        for _ in range(3):
            certificates.look()
    assert [line["event"] for line in lines] == ["certificates not reloaded, the old ones stay"]
    assert "PRIVATE" not in json.dumps(lines)
    assert observer.reloads == [False]
    assert certificates._fetch() is None
    assert certificates.leaf == before
    if not files.key_file.is_symlink():
        files.key_file.symlink_to(Path("..data") / "tls.key")
    files.renew()
    assert certificates._fetch() is not None
    assert observer.reloads == [False, True]


def test_files_that_are_what_they_were_are_no_change(
    files: ServerFiles, observer: Observer, certificates: ServerCertificates
) -> None:
    """Whoever got them wrong has put them back."""
    content = files.cert_file.read_bytes()
    files.cert_file.write_bytes(b"garbage")
    certificates.look()
    files.cert_file.write_bytes(content)
    certificates.look()
    files.cert_file.write_bytes(b"garbage")
    certificates.look()
    assert observer.reloads == [False, False]
    assert certificates._fetch() is None


def test_files_that_change_while_they_are_read_are_read_again(
    files: ServerFiles, observer: Observer, certificates: ServerCertificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The old certificate and the new key belong to nobody; neither is it an error."""
    load = "extproc.server.certificates.use_pair"

    def renew_meanwhile(*_: object) -> None:
        files.renew()

    with monkeypatch.context() as patched:
        patched.setattr(load, renew_meanwhile)
        files.renew()
        certificates.look()
    assert observer.reloads == []
    certificates.look()
    assert observer.reloads == [True]
    assert certificates.leaf == files.leaf_der


def test_a_certificate_that_has_expired_is_served_with_a_warning(tmp_path: Path, observer: Observer) -> None:
    """Whether that is wrong is for clients to say."""
    files = ServerFiles(tmp_path / "tls")
    files.renew(not_after=datetime(2020, 1, 1, tzinfo=UTC))
    with structlog.testing.capture_logs() as lines:
        certificates = ServerCertificates(CertificateFiles(**files.setting), observer)
    expected = {"event": "the certificate has expired", "expired_at": "2020-01-01T00:00:00+00:00"}
    assert expected.items() <= lines[0].items()
    assert not certificates.demands_client_certificate


def test_files_that_cannot_be_used_at_the_start_are_a_mistake(files: ServerFiles, observer: Observer) -> None:
    """In one line."""
    exchanged_key(files)
    said = f"listen_tls: cannot use {files.key_file}: the key is not that of the certificate in {files.cert_file}"
    with pytest.raises(SettingsError) as raised:
        ServerCertificates(CertificateFiles(**files.setting), observer)
    assert str(raised.value) == said


def test_files_are_looked_at_without_a_handshake(
    files: ServerFiles, observer: Observer, certificates: ServerCertificates
) -> None:
    """So that whoever writes wrong ones hears of it then."""
    certificates.start(0.01)
    try:
        exchanged_key(files)
        wait_for(lambda: observer.reloads == [False])
    finally:
        certificates.stop()
    certificates.stop()
    assert certificates._thread is not None
    assert not certificates._thread.is_alive()


def test_nobody_looks_who_is_not_to(certificates: ServerCertificates) -> None:
    """Then handshakes are all there is."""
    certificates.start(0)
    assert certificates._thread is None
    certificates.stop()
