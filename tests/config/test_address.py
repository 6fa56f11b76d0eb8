from __future__ import annotations

import pytest

from extproc.config.address import HostPort, UnixSocket, parse_address, parse_host_port
from extproc.errors import SettingsError


@pytest.mark.parametrize(
    ("text", "address", "canonical"),
    [
        ("127.0.0.1:18080", HostPort("127.0.0.1", 18080), "127.0.0.1:18080"),
        ("localhost:0", HostPort("localhost", 0), "localhost:0"),
        ("[::1]:9092", HostPort("::1", 9092), "[::1]:9092"),
        ("unix:/run/x.sock", UnixSocket("/run/x.sock"), "unix:/run/x.sock"),
        ("unix:///run/x.sock", UnixSocket("/run/x.sock"), "unix:/run/x.sock"),
        ("unix-abstract:ai", UnixSocket("ai", is_abstract=True), "unix-abstract:ai"),
    ],
)
def test_an_address_is_read_and_written(text: str, address: HostPort | UnixSocket, canonical: str) -> None:
    """In the forms the command documents."""
    assert parse_address(text) == address
    assert str(address) == canonical


@pytest.mark.parametrize(
    "text",
    ["", "foo", "8080", ":8080", "host:", "host:x", "host:65536", "::1:80", "[::1]", "unix:", "unix:x.sock",
     "unix-abstract:", "http://host:1", "a b:1", "unix:/" + "x" * 200, "host:\uff11\uff12"],
)  # fmt: skip
def test_what_is_no_address_is_refused_in_one_line(text: str) -> None:
    """Which repeats it and says what is allowed."""
    with pytest.raises(SettingsError) as raised:
        parse_address(text)
    message = str(raised.value)
    assert repr(text) in message
    assert "unix:/path" in message or "bytes" in message
    assert "\n" not in message


@pytest.mark.parametrize("text", ["unix:/x", "host", "host:99999"])
def test_the_admin_address_is_tcp(text: str) -> None:
    """HTTP clients have no other."""
    with pytest.raises(SettingsError, match="host:port"):
        parse_host_port(text)


@pytest.mark.parametrize(
    ("text", "numbered"),
    [
        ("unix:/run/x.sock", "unix:/run/x-7.sock"),
        ("unix:/run/extproc", "unix:/run/extproc-7"),
        ("unix:/run/x.y/extproc", "unix:/run/x.y/extproc-7"),
        ("unix:/run/a.b.sock", "unix:/run/a.b-7.sock"),
        ("unix:/run/.sock", "unix:/run/.sock-7"),
        ("unix-abstract:a.b", "unix-abstract:a.b-7"),
    ],
)
def test_a_socket_is_numbered_before_its_suffix(text: str, numbered: str) -> None:
    """Of several processes each has its own."""
    address = parse_address(text)
    assert isinstance(address, UnixSocket)
    assert str(address.numbered(7)) == numbered
