from __future__ import annotations

import pytest

from extproc.config.address import HostPort, UnixSocket, is_ip, parse_address, parse_host_port
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


def test_workers_have_a_socket_each_and_one_that_is_alone_has_the_socket() -> None:
    """As many as there are, numbered from 0."""
    address = UnixSocket("/run/x.sock")
    assert address.of_workers(1) == (address,)
    assert [each.name for each in address.of_workers(2)] == ["/run/x-0.sock", "/run/x-1.sock"]


@pytest.mark.parametrize(
    ("listen", "called"), [("0.0.0.0:1", "127.0.0.1:1"), ("[::]:1", "[::1]:1"), ("192.0.2.1:1", "192.0.2.1:1")]
)
def test_who_listens_on_all_addresses_is_called_on_loopback(listen: str, called: str) -> None:
    """From its own machine."""
    assert str(parse_host_port(listen).from_here) == called


@pytest.mark.parametrize(
    ("host", "expected"), [("10.0.0.1", True), ("::1", True), ("localhost", False), ("1.2", False)]
)
def test_an_address_is_told_from_a_name(host: str, expected: bool) -> None:
    """Names are looked up."""
    assert is_ip(host) is expected
