"""Documents of other systems, as their pages have them, and the ports that they ask for."""

from __future__ import annotations

import re
import socket
from pathlib import Path

import pytest

_JSON = re.compile(r"^\{\n.*?^\}$", re.DOTALL | re.MULTILINE)
_HERE_DOCUMENT = re.compile(r"<<EOF\n(.*?)EOF", re.DOTALL)

KRAKEND_AI = "000_d22516e02806ed44.txt"
KRAKEND_AI_AS_TEXT = "001_bdc1eb7dc4007c2e.txt"
KGATEWAY = "002_ec0b8dfbf3088321.txt"
KRAKEND = "003_5f4741ab7f180d33.txt"


def krakend_document(page: Path) -> str:
    """Return the one configuration on a page of KrakenD's, word for word."""
    (text,) = _JSON.findall(page.read_text())
    return str(text)


def kgateway_document(page: Path) -> str:
    """Return the one GatewayParameters on a page of kgateway's, word for word."""
    (text,) = [each for each in _HERE_DOCUMENT.findall(page.read_text()) if "kind: GatewayParameters" in each]
    return str(text)


def need_port(host: str, port: int) -> None:
    """Skip the test where a port that a page asks for can't be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
    except OSError as error:
        pytest.skip(f"{host or 'all'} port {port} cannot be had here: {error.strerror}")


def free_port(host: str = "127.0.0.1") -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])
