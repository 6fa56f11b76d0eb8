from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
from support.otlp import Certificates

from extproc.config.telemetry import TlsSettings
from extproc.telemetry.certificates import build_context


def test_certificates_are_read(tmp_path: Path) -> None:
    """Those of an authority, one of our own, or none."""
    own = Certificates(tmp_path)
    tls = TlsSettings(ca_file=own.ca_file, cert_file=own.client_cert_file, key_file=own.client_key_file)
    assert len(build_context(tls).get_ca_certs()) == 1
    assert build_context(None).check_hostname


@pytest.mark.parametrize("names", [("ca_file",), ("cert_file", "key_file")])
@pytest.mark.parametrize("content", ["", "nonsense"])
def test_a_file_without_one_is_named(tmp_path: Path, names: tuple[str, ...], content: str) -> None:
    """And it is said what is wrong with it."""
    file = tmp_path / "x.pem"
    file.write_text(content)
    files: dict[str, Any] = dict.fromkeys(names, str(file))
    with pytest.raises(OSError, match="there is no certificate in it") as raised:
        build_context(TlsSettings(**files))
    assert raised.value.filename == str(file)


def test_a_file_that_is_not_there_is_named() -> None:
    """OpenSSL does not say which one it was."""
    with pytest.raises(FileNotFoundError) as raised:
        build_context(TlsSettings(ca_file="/nonexistent"))
    assert raised.value.filename == "/nonexistent"


def test_nobody_is_asked_for_a_password(tmp_path: Path) -> None:
    """OpenSSL would do so on the terminal, and a sidecar that has one would not start."""
    own = Certificates(tmp_path)
    key = tmp_path / "locked.key"
    line = ["openssl", "pkey", "-in", own.client_key_file, "-aes256", "-passout", "pass:word", "-out", str(key)]
    subprocess.run(line, check=True, capture_output=True)
    with pytest.raises(OSError, match="no open key") as raised:
        build_context(TlsSettings(cert_file=own.client_cert_file, key_file=str(key)))
    assert raised.value.filename == own.client_cert_file
