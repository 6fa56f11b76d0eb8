from __future__ import annotations

import ssl
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)
from support.otlp import Certificates

from extproc.config.telemetry import TlsSettings
from extproc.telemetry.certificates import build_context


@pytest.fixture(name="files")
def _files(tmp_path: Path) -> dict[str, str]:
    """Good files, and some that are not."""
    made = Certificates(tmp_path)
    (tmp_path / "garbage.pem").write_text("garbage")
    key = load_pem_private_key(Path(made.client_key_file).read_bytes(), None)
    locked = key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, BestAvailableEncryption(b"secret"))
    (tmp_path / "locked.key").write_bytes(locked)
    return {
        "ca": made.ca_file,
        "cert": made.client_cert_file,
        "key": made.client_key_file,
        "other": made.server_key_file,
        "garbage": str(tmp_path / "garbage.pem"),
        "locked": str(tmp_path / "locked.key"),
        "missing": str(tmp_path / "missing.pem"),
    }


def settings(files: dict[str, str], *names: str | None) -> TlsSettings:
    fields = ("ca_file", "cert_file", "key_file")
    return TlsSettings(
        **{field: None if name is None else files[name] for field, name in zip(fields, names, strict=True)}
    )


def test_files_that_are_good(files: dict[str, str]) -> None:
    """The authority is trusted and no other; without one the system's are."""
    context = build_context(settings(files, "ca", "cert", "key"))
    assert len(context.get_ca_certs()) == 1
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert build_context(None).verify_mode is ssl.CERT_REQUIRED


@pytest.mark.parametrize(
    ("names", "culprit"),
    [
        pytest.param(("missing", None, None), "missing", id="no authority"),
        pytest.param(("garbage", None, None), "garbage", id="an authority that is none"),
        pytest.param((None, "missing", "key"), "missing", id="no certificate"),
        pytest.param((None, "cert", "missing"), "missing", id="no key"),
        pytest.param((None, "garbage", "key"), "garbage", id="a certificate that is none"),
        pytest.param((None, "cert", "garbage"), "garbage", id="a key that is none"),
        pytest.param((None, "cert", "other"), "other", id="a key of another"),
        pytest.param((None, "cert", "locked"), "locked", id="a key with a password"),
    ],
)
def test_files_that_are_not(files: dict[str, str], names: tuple[str | None, ...], culprit: str) -> None:
    """The error says which one."""
    with pytest.raises(OSError, match=r"No such file|in PEM|has a password|not that of the certificate") as raised:
        build_context(settings(files, *names))
    assert raised.value.filename == files[culprit]
