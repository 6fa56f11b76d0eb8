from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from extproc.doctor.look import base_url, look_at_envoy, look_at_sidecar
from extproc.errors import SettingsError

ANSWERS: dict[str, tuple[int, bytes]] = {
    "/envoy/config_dump": (200, b'{"configs": []}'),
    "/envoy/server_info": (200, b"no JSON"),
    "/envoy/clusters": (500, b"{}"),
    "/deep/config_dump": (200, b"[" * 100_000),
    "/sidecar/readyz": (503, b"not ready"),
    "/sidecar/metrics": (200, b"x 1\n\xff"),
    "/sidecar/status": (200, json.dumps({"version": "1"}).encode()),
    "/old/readyz": (200, b"ok"),
    "/other/readyz": (404, b"?"),
}


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        code, body = ANSWERS.get(self.path.partition("?")[0], (404, b""))
        self.send_response(code)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class named it
        """Say nothing."""


@pytest.fixture(scope="module", name="base")
def _base() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_what_envoy_does_not_answer_is_not_there(base: str) -> None:
    """The rest is."""
    said = look_at_envoy(f"{base}/envoy")
    assert (said.config_dump, said.clusters, said.stats, said.server_info) == ({"configs": []}, None, None, None)


@pytest.mark.parametrize("path", ["/nobody", "/deep"])
def test_without_a_configuration_there_is_no_envoy(path: str, base: str) -> None:
    """Or it is something else that answers there."""
    assert look_at_envoy(base + path).config_dump is None


def test_a_sidecar_that_is_not_ready_can_be_asked(base: str) -> None:
    """It says why, in its metrics."""
    said = look_at_sidecar(f"{base}/sidecar")
    assert (said.status, said.metrics, said.is_ready) == ({"version": "1"}, "x 1\n\ufffd", False)


def test_an_older_sidecar_has_no_status(base: str) -> None:
    """But it is one."""
    said = look_at_sidecar(f"{base}/old")
    assert (said.status, said.metrics, said.is_ready) == (None, "", True)


@pytest.mark.parametrize("path", ["/other", ""])
def test_something_else_is_no_sidecar(path: str, base: str) -> None:
    """What answers there, answers otherwise."""
    assert look_at_sidecar(base + path).is_ready is None


def test_nobody_is_there() -> None:
    """It is no exception to get no answer."""
    assert look_at_envoy("http://127.0.0.1:1").config_dump is None
    assert look_at_sidecar("http://127.0.0.1:1").is_ready is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("http://127.0.0.1:9901", "http://127.0.0.1:9901"),
        ("127.0.0.1:9901", "http://127.0.0.1:9901"),
        ("http://[::1]:9901/", "http://[::1]:9901"),
        ("https://envoy.example/config_dump?x", "https://envoy.example"),
    ],
)
def test_an_address_is_taken_as_people_write_it(text: str, expected: str) -> None:
    """With or without what goes without saying."""
    assert base_url(text, "--sidecar") == expected


@pytest.mark.parametrize(
    "text", ["", "ftp://x", "http://", "http://x:port", "http://user:hunter2@x:1", "file:///etc/passwd"]
)
def test_what_is_no_address_is_refused(text: str) -> None:
    """Without saying it again: there may be a password in it."""
    with pytest.raises(SettingsError, match=r"--sidecar: .* http://host:port") as error:
        base_url(text, "--sidecar")
    assert "hunter2" not in str(error.value)
