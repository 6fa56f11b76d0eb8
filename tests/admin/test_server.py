from __future__ import annotations

import gzip
import http.client
import json
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest
from prometheus_client import CollectorRegistry, Counter
from support.logged import Logged
from support.waiting import wait_for

from extproc.admin.connections import MAX_CONNECTIONS
from extproc.admin.server import AdminServer, MetricsServer
from extproc.config.address import HostPort
from extproc.errors import SettingsError


class Readiness:
    """Ready or not, as the test says."""

    def __init__(self) -> None:
        self.ready = True
        self.has_page = True


@pytest.fixture(name="readiness")
def _readiness() -> Readiness:
    return Readiness()


@pytest.fixture(name="admin")
def _admin(readiness: Readiness) -> Iterator[AdminServer]:
    registry = CollectorRegistry()
    Counter("ai_requests", "LLM exchanges", ["model"], registry=registry).labels('we"ird\n').inc()
    server = AdminServer(
        HostPort("127.0.0.1", 0),
        registry,
        lambda: readiness.ready,
        version="1.2.3",
        find_status=lambda: {"ready": readiness.ready},
        find_recent=lambda: (lambda: b"{}") if readiness.has_page else None,
    )
    yield server
    server.close()


def get(
    admin: AdminServer | MetricsServer, path: str, headers: dict[str, str] | None = None, method: str = "GET"
) -> tuple[int, http.client.HTTPMessage, bytes]:
    connection = http.client.HTTPConnection(admin.address.host, admin.address.port, timeout=10)
    try:
        connection.request(method, path, headers=headers or {})
        response = connection.getresponse()
        return response.status, response.headers, response.read()
    finally:
        connection.close()


def test_metrics_are_prometheus_text(admin: AdminServer) -> None:
    """With label values escaped."""
    status, headers, body = get(admin, "/metrics")
    assert (status, headers["content-type"].partition(";")[0]) == (200, "text/plain")
    assert b'ai_requests_total{model="we\\"ird\\n"} 1.0\n' in body


def test_metrics_are_openmetrics_for_who_asks(admin: AdminServer) -> None:
    """As Prometheus itself does."""
    _, headers, body = get(admin, "/metrics", {"accept": "application/openmetrics-text; version=1.0.0"})
    assert headers["content-type"].startswith("application/openmetrics-text")
    assert body.endswith(b"# EOF\n")


def test_metrics_are_compressed_for_who_can_read_it(admin: AdminServer) -> None:
    """Thousands of series are large otherwise."""
    _, headers, body = get(admin, "/metrics", {"accept-encoding": "gzip"})
    assert headers["content-encoding"] == "gzip"
    assert b"ai_requests_total" in gzip.decompress(body)


def test_it_lives_and_says_whether_it_is_ready(admin: AdminServer, readiness: Readiness) -> None:
    """Alive it is as long as it answers; ready as long as new streams are welcome."""
    assert (get(admin, "/livez")[0], get(admin, "/readyz")[0]) == (200, 200)
    readiness.ready = False
    assert (get(admin, "/livez")[0], get(admin, "/readyz")[0]) == (200, 503)


def test_the_root_says_what_is_here_and_other_paths_too(admin: AdminServer) -> None:
    """With a status that tells them apart."""
    for path, status in (("/", 200), ("/nope", 404)):
        seen, _, body = get(admin, path)
        assert seen == status
        assert b"/metrics" in body
    assert b"1.2.3" in get(admin, "/")[2]


def test_its_status_is_json_of_now(admin: AdminServer, readiness: Readiness) -> None:
    """What it says may change while it runs."""
    status, headers, body = get(admin, "/status")
    assert (status, headers["content-type"], json.loads(body)) == (200, "application/json", {"ready": True})
    readiness.ready = False
    assert json.loads(get(admin, "/status")[2]) == {"ready": False}


def test_nothing_can_be_written(admin: AdminServer) -> None:
    """It only answers questions."""
    assert get(admin, "/metrics", method="POST")[0] == 405
    assert get(admin, "/metrics", method="HEAD")[::2] == (200, b"")


def test_a_client_that_says_nothing_holds_up_nobody(admin: AdminServer) -> None:
    """Each connection has a thread of its own."""
    with socket.create_connection((admin.address.host, admin.address.port)):
        assert get(admin, "/livez")[0] == 200


def test_connections_are_bounded_and_who_asks_gets_a_place() -> None:
    """Each is a thread. Of those that say nothing the first has to go, one for each that comes."""
    admin = AdminServer(HostPort("127.0.0.1", 0), CollectorRegistry(), lambda: True, version="1", max_connections=4)
    address = (admin.address.host, admin.address.port)
    idle = [socket.create_connection(address) for _ in range(8)]
    try:
        assert get(admin, "/livez")[0] == 200
        threads = [thread for thread in threading.enumerate() if "process_request_thread" in thread.name]
        assert len(threads) <= 4
        assert idle[0].recv(1) == b""
    finally:
        for each in idle:
            each.close()
        admin.close()


def test_who_is_being_answered_keeps_the_place() -> None:
    """Whoever comes then is hung up on, and gets in later."""
    asked, answered = threading.Event(), threading.Event()

    def find_status() -> dict[str, bool]:
        asked.set()
        return {"waited": answered.wait(20)}

    admin = AdminServer(
        HostPort("127.0.0.1", 0),
        CollectorRegistry(),
        lambda: True,
        version="1",
        find_status=find_status,
        max_connections=1,
    )
    with ThreadPoolExecutor() as pool:
        first = pool.submit(get, admin, "/status")
        assert asked.wait(10)
        with pytest.raises((http.client.HTTPException, OSError)):
            get(admin, "/livez")
        answered.set()
        assert json.loads(first.result(10)[2]) == {"waited": True}
    wait_for(lambda: get(admin, "/livez")[0] == 200)
    admin.close()


def test_who_does_not_take_the_answer_keeps_out_nobody(capfd: pytest.CaptureFixture[str]) -> None:
    """Nor is it told on the standard error, by clients as often as they like."""
    registry = CollectorRegistry()
    made = Counter("ai_requests", "LLM exchanges", ["model"], registry=registry)
    for number in range(5000):
        made.labels(f"{number:01000}").inc()
    admin = AdminServer(HostPort("127.0.0.1", 0), registry, lambda: True, version="1", max_connections=2)
    lazy = [socket.create_connection((admin.address.host, admin.address.port)) for _ in range(2)]
    try:
        for each in lazy:
            each.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
            assert each.recv(1) == b"H"
        assert get(admin, "/livez")[0] == 200
        wait_for(lambda: not [each for each in threading.enumerate() if "process_request_thread" in each.name][1:])
    finally:
        for each in lazy:
            each.close()
        admin.close()
    assert capfd.readouterr() == ("", "")


def test_a_place_is_free_again_where_there_can_be_no_thread(
    admin: AdminServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the probes that came while there were none would have been the last."""
    start, left = threading.Thread.start, [None] * (MAX_CONNECTIONS + 1)

    def fail(thread: threading.Thread) -> None:
        if "process_request_thread" in thread.name and left:
            left.pop()
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", fail)
    while left:
        with pytest.raises((http.client.HTTPException, OSError)):
            get(admin, "/livez")
    assert get(admin, "/livez")[0] == 200


HOSTILE = {
    "a header without end": b"GET /livez HTTP/1.1\r\nx: " + b"a" * 1_000_000,
    "a path without end": b"GET /" + b"a" * 1_000_000,
    "headers without end": b"GET /livez HTTP/1.1\r\n" + b"x: y\r\n" * 100_000,
    "no HTTP": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" * 10 + b"\r\n\r\n",
    "a length that is none": b"GET /metrics HTTP/1.1\r\ncontent-length: -1\r\n\r\n",
    "a folded header": b"GET /livez HTTP/1.1\r\nx: y\r\n z\r\n\r\n",
    "bytes in the path": b"GET /\xff\xfe%00 HTTP/1.1\r\n\r\n",
    "a version": b"GET / HTTP/9.9\r\n\r\n",
    "two requests": b"GET /livez HTTP/1.1\r\n\r\nPOST /livez HTTP/1.1\r\n\r\n",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_whatever_is_sent_is_answered_or_hung_up_on_at_once(
    admin: AdminServer, name: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """Nothing of it is printed, and the next one is served."""
    with socket.create_connection((admin.address.host, admin.address.port), timeout=4) as connection:
        with suppress(OSError):
            connection.sendall(HOSTILE[name])
        with suppress(ConnectionError):
            answer = connection.makefile("rb").read()
            assert answer == b"" or answer.startswith((b"HTTP/1.0 ", b"<!DOCTYPE"))
    assert get(admin, "/livez")[0] == 200
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("path", ["/../metrics", "/..%2fetc/passwd", "/metrics/", "/METRICS", "/%6detrics/x"])
def test_a_path_is_one_of_those_there_are_or_none(admin: AdminServer, path: str) -> None:
    """None is that of a file."""
    assert get(admin, path)[0] == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "TRACE", "OPTIONS", "CONNECT", "FOO"])
def test_there_are_two_methods(admin: AdminServer, method: str) -> None:
    """Others are told so."""
    assert get(admin, "/status", method=method)[::2] == (405, b"only GET and HEAD\n")


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("evil.example", 421), ("evil.example:9092", 421), ("127.0.0.1.evil.example", 421), ("[::1", 421),
        ("localhost", 200), ("LOCALHOST:9092", 200), ("127.0.0.1:1", 200), ("[::1]:9092", 200), ("", 200),
    ],
)  # fmt: skip
def test_on_loopback_it_answers_to_names_of_this_machine_only(admin: AdminServer, host: str, status: int) -> None:
    """A page whose name comes to point here is another site's, and its scripts may read what that answers."""
    assert get(admin, "/status", {"host": host})[0] == status


def test_where_others_reach_it_it_has_any_name() -> None:
    """A service's, or a pod's."""
    admin = AdminServer(HostPort("0.0.0.0", 0), CollectorRegistry(), lambda: True, version="1")  # noqa: S104 - as it is by default
    try:
        assert get(admin, "/livez", {"host": "sidecar.svc:9092"})[0] == 200
    finally:
        admin.close()


def test_a_bug_is_told_by_its_place(admin: AdminServer, logged: Logged, capfd: pytest.CaptureFixture[str]) -> None:
    """What the exception says is for nobody."""

    def find_status() -> dict[str, bool]:
        raise LookupError("sk-1")

    broken = AdminServer(
        HostPort("127.0.0.1", 0), CollectorRegistry(), lambda: True, version="1", find_status=find_status
    )
    try:
        assert get(broken, "/status")[::2] == (500, b"this is a bug\n")
    finally:
        broken.close()
    assert [line["event"] for line in logged] == ["bug"]
    assert capfd.readouterr() == ("", "")
    assert get(admin, "/livez")[0] == 200


def test_a_port_that_is_taken_is_said_so(admin: AdminServer) -> None:
    """With the address."""
    with pytest.raises(SettingsError, match=f"cannot listen on {admin.address}: Address already in use"):
        AdminServer(admin.address, CollectorRegistry(), lambda: True, version="1")


def test_a_restart_need_not_wait_for_old_connections() -> None:
    """Those of the process before it linger in TIME_WAIT."""
    address = HostPort("127.0.0.1", 0)
    for _ in range(3):
        server = AdminServer(address, CollectorRegistry(), lambda: True, version="1")
        address = server.address
        assert get(server, "/livez")[0] == 200
        server.close()


def test_it_listens_on_ipv6() -> None:
    """Where there is any."""
    if not socket.has_ipv6:
        pytest.skip("this machine has no IPv6")
    try:
        server = AdminServer(HostPort("::1", 0), CollectorRegistry(), lambda: True, version="1")
    except SettingsError as error:
        pytest.skip(f"no IPv6 on loopback: {error}")
    assert get(server, "/livez")[0] == 200
    server.close()


def test_a_scraper_can_have_a_port_with_metrics_and_nothing_else() -> None:
    """Who may read them need not see more, and can change nothing."""
    registry = CollectorRegistry()
    Counter("ai_requests", "LLM exchanges", registry=registry).inc()
    metrics = MetricsServer(HostPort("127.0.0.1", 0), registry)
    try:
        assert b"ai_requests_total 1.0\n" in get(metrics, "/metrics")[2]
        assert [get(metrics, path)[0] for path in ("/", "/readyz", "/livez")] == [404, 404, 404]
        assert get(metrics, "/metrics", method="POST")[0] == 405
        with pytest.raises(SettingsError, match="cannot listen on"):
            MetricsServer(metrics.address, registry)
    finally:
        metrics.close()


BROWSER = {"Accept": "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8"}


def test_browsers_get_a_page_and_others_text(admin: AdminServer) -> None:
    """Whoever looks with curl wants to read it."""
    status, headers, body = get(admin, "/", BROWSER)
    assert (status, headers["Content-Type"], headers["Content-Length"]) == (
        200,
        "text/html; charset=utf-8",
        str(len(body)),
    )
    assert body.startswith(b"<!DOCTYPE html>")
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert get(admin, "/")[2].startswith(b"ai-gateway-extproc 1.2.3\n")
    assert get(admin, "/", BROWSER, "HEAD")[2] == b""


def test_a_page_that_is_known_is_not_sent_again(admin: AdminServer) -> None:
    """It changes with the version."""
    etag = get(admin, "/", BROWSER)[1]["ETag"]
    status, headers, body = get(admin, "/", BROWSER | {"If-None-Match": etag})
    assert (status, headers["ETag"], body) == (304, etag, b"")
    assert get(admin, "/", BROWSER | {"If-None-Match": '"other"'})[0] == 200


def test_what_the_page_shows_is_for_it_alone(admin: AdminServer) -> None:
    """Nothing keeps it, and no other site gets it."""
    status, headers, body = get(admin, "/recent")
    assert (status, headers["Content-Type"], body) == (200, "application/json", b"{}")
    assert headers["Cache-Control"] == "no-store"
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert "Access-Control-Allow-Origin" not in headers


def test_the_page_can_be_switched_off(admin: AdminServer, readiness: Readiness) -> None:
    """While it serves."""
    readiness.has_page = False
    assert get(admin, "/recent")[0] == 404
    assert get(admin, "/", BROWSER)[1]["Content-Type"].startswith("text/plain")


def test_pages_that_wait_leave_places_to_probes(readiness: Readiness) -> None:
    """A supervisor waits for its workers before it tells; others are told that there are too many of them."""
    told, asked = threading.Event(), threading.Event()

    def tell() -> bytes:
        asked.set()
        assert told.wait(10)
        return b"{}"

    server = AdminServer(
        HostPort("127.0.0.1", 0), CollectorRegistry(), lambda: readiness.ready, version="1", find_recent=lambda: tell
    )
    try:
        with ThreadPoolExecutor(100) as pool:
            first = pool.submit(get, server, "/recent")
            assert asked.wait(10)
            others = [pool.submit(get, server, "/recent") for _ in range(99)]
            wait_for(lambda: sum(other.done() for other in others) == 36)
            assert {other.result()[0] for other in others if other.done()} == {503}
            assert get(server, "/livez")[0] == 200
            told.set()
            assert [each.result()[0] for each in (first, *others)].count(200) == 64
    finally:
        told.set()
        server.close()
