from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from extproc.config.settings import Settings
from extproc.config.sources import Document, Origin, Tree
from extproc.config.transport import check


def problems(values: dict[str, Any]) -> list[str]:
    tree, document = Tree(), Document(Origin(""), values)
    tree.merge(document)
    return [str(remark) for remark in check(tree, reads_certificates=True)]


REFUSAL = "and there is no TLS: set listen_tls, or listen on a Unix socket or 127.0.0.1, or set allow_plaintext: true"


@pytest.mark.parametrize("listen", ["0.0.0.0:1", "[::]:1", "192.0.2.1:1", "[2001:db8::1]:1", "[::ffff:192.0.2.1]:1"])
def test_plaintext_where_others_reach_it_is_refused(listen: str) -> None:
    """With the three ways out."""
    assert problems({"listen": listen}) == [f"listen: other machines can reach {listen}, {REFUSAL}"]


@pytest.mark.parametrize(
    "values",
    [
        pytest.param({}, id="the default"),
        pytest.param({"listen": "127.0.0.1:1"}, id="loopback"),
        pytest.param({"listen": "127.255.0.1:1"}, id="all of it"),
        pytest.param({"listen": "[::1]:1"}, id="IPv6"),
        pytest.param({"listen": "[::ffff:127.0.0.1]:1"}, id="IPv4 in IPv6"),
        pytest.param({"listen": "gateway.example:1"}, id="a name, which is asked for where it is served"),
        pytest.param({"listen": "unix:/run/x.sock", "socket_mode": "0660"}, id="a socket"),
        pytest.param({"listen": "unix-abstract:x"}, id="an abstract one"),
        pytest.param({"listen": "0.0.0.0:1", "allow_plaintext": True}, id="wanted"),
        pytest.param({"listen": "0.0.0.0:1", "allow_plaintext": "true"}, id="wanted, in a variable"),
        pytest.param({"listen": "0.0.0.0:1", "listen_tls": {}}, id="with TLS"),
        pytest.param({"listen": "nonsense"}, id="the schema's to say"),
        pytest.param({"listen": 7, "socket_mode": "0660", "listen_tls": 7}, id="this as well"),
    ],
)
def test_what_is_in_order(values: dict[str, Any]) -> None:
    """Nothing is said."""
    assert problems(values) == []


@pytest.mark.parametrize("listen", [None, "127.0.0.1:0", "unix-abstract:x"])
def test_a_mode_without_a_file(listen: str | None) -> None:
    """It would silently do nothing."""
    values = {"socket_mode": "0660"} | ({} if listen is None else {"listen": listen})
    said = f"it is for the file of a Unix socket, and {listen or Settings().listen} has none"
    assert problems(values) == [f"socket_mode: {said}"]


def test_all_files_that_cannot_be_read_are_said(tmp_path: Path) -> None:
    """Each with its place."""
    good = tmp_path / "x.pem"
    good.touch()
    tls = {"cert_file": f"{tmp_path}/no", "key_file": str(good), "client_ca_file": "a\0b"}
    assert problems({"listen_tls": tls}) == [
        f"listen_tls.cert_file: cannot read '{tmp_path}/no': No such file or directory",
        "listen_tls.client_ca_file: cannot read 'a\\x00b': it holds a NUL",
    ]
