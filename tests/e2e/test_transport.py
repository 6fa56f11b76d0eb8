"""The way from the real Envoy to the sidecar: each kind of address, TLS, and certificates that change."""

from __future__ import annotations

import json
import re
import socket
import ssl
import stat
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import trustme
import yaml
from support.gateway import Gateway
from support.tls import ServerFiles
from support.upstream import Reply, Upstream
from support.waiting import wait_for

from extproc.config.address import HostPort, UnixSocket, parse_address
from extproc.demo.bootstrap import Bootstrap
from extproc.demo.stack import SidecarCommand, fetch

pytestmark = pytest.mark.e2e

PATH = "/openai/v1/chat/completions"
QUESTION = b'{"model": "gpt-4o", "messages": []}'
ANSWER = b'{"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}}'
HTTP_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"


@pytest.fixture(name="engine", params=["completion_queue", "aio"])
def _engine(request: pytest.FixtureRequest) -> str:
    engine: str = request.param
    return engine


@pytest.fixture(name="upstream")
def _answering(upstream: Upstream) -> Upstream:
    upstream.script = lambda reply: reply.send(ANSWER)
    return upstream


def free_address() -> str:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return f"127.0.0.1:{taken.getsockname()[1]}"


def endpoint_of(listen: str) -> dict[str, Any]:
    """Return how Envoy calls an address."""
    address = parse_address(listen)
    if isinstance(address, UnixSocket):
        return {"pipe": {"path": ("@" if address.is_abstract else "") + address.name}}
    return {"socket_address": {"address": address.host, "port_value": address.port}}


def documented_transport_socket() -> dict[str, Any]:
    """Return what docs/transport.md has for Envoy's cluster, for a server that is `localhost`."""
    text = (Path(__file__).resolve().parents[2] / "docs" / "transport.md").read_text()
    (block,) = re.findall(r"```yaml\n( *transport_socket:.*?)```", text, re.DOTALL)
    socket_: dict[str, Any] = yaml.safe_load(block.replace("extproc.example", "localhost"))["transport_socket"]
    return socket_


class Way:
    """How Envoy reaches the sidecar: the address, and what it presents and trusts."""

    def __init__(
        self,
        listen: str,
        folder: Path,
        *,
        trusted: trustme.CA | None = None,
        client: trustme.LeafCert | None = None,
    ) -> None:
        self._listen = listen
        self._transport_socket = None if trusted is None else documented_transport_socket()
        if trusted is None or self._transport_socket is None:
            return
        trusted.cert_pem.write_to_path(folder / "trusted.pem")
        context = self._transport_socket["typed_config"]["common_tls_context"]
        context["validation_context"]["trusted_ca"]["filename"] = str(folder / "trusted.pem")
        if client is None:
            del context["tls_certificates"]
            return
        client.private_key_and_cert_chain_pem.write_to_path(folder / "client.pem")
        for file in context["tls_certificates"][0].values():
            file["filename"] = str(folder / "client.pem")

    def configure(self, bootstrap: Bootstrap) -> None:
        """Change Envoy's cluster of the sidecar. Each exchange gets a connection of its own."""
        cluster = bootstrap._cluster("extproc")
        cluster["load_assignment"]["endpoints"] = [
            {"lb_endpoints": [{"endpoint": {"address": endpoint_of(self._listen)}}]}
        ]
        options = cluster["typed_extension_protocol_options"][HTTP_OPTIONS]
        options.setdefault("common_http_protocol_options", {})["max_requests_per_connection"] = 1
        if self._transport_socket is not None:
            cluster["transport_socket"] = self._transport_socket
        bootstrap.use_sidecar = lambda *_: None  # type: ignore[method-assign]  # the stack knows one kind of address


def build_gateway(upstream: Upstream, way: Way, listen: str, engine: str, **environ: str) -> Gateway:
    sidecar = SidecarCommand(flags=("--listen", listen), environ={"EXTPROC_ENGINE": engine} | environ)
    return Gateway({"openai": upstream.address}, configure=way.configure, sidecar=sidecar)


def is_metered(gateway: Gateway) -> bool:
    """Say whether an exchange got its counts; its answer came in any case."""
    _, content, entry = gateway.post(PATH, QUESTION)
    assert content == ANSWER
    return bool(entry["ai"]) and entry["ai"]["total_tokens"] == 7


def stat_of(gateway: Gateway, name: str) -> int:
    """Return a count of Envoy's about the sidecar."""
    stats = json.loads(fetch(f"http://{gateway.stack.envoy_admin}/stats?format=json&filter=cluster.extproc"))
    (value,) = (each["value"] for each in stats["stats"] if each.get("name") == f"cluster.extproc.{name}")
    number: int = value
    return number


def presented(listen: str) -> bytes:
    """Return the certificate that a new connection gets, in DER."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    address = parse_address(listen)
    assert isinstance(address, HostPort)
    with (
        socket.create_connection((address.host, address.port)) as plain,
        context.wrap_socket(plain) as encrypted,
    ):
        return encrypted.getpeercert(binary_form=True) or b""


@pytest.mark.parametrize("kind", ["tcp", "unix", "abstract"])
@pytest.mark.parametrize("is_encrypted", [False, True])
def test_envoy_reaches_each_kind_of_address(upstream: Upstream, tmp_path: Path, kind: str, is_encrypted: bool) -> None:
    """With and without TLS; a socket has the permissions that were asked for, and is gone at the end."""
    path = tmp_path / "x.sock"
    name = f"extproc-test-{time.monotonic_ns()}"
    listen = {"tcp": free_address(), "unix": f"unix:{path}", "abstract": f"unix-abstract:{name}"}[kind]
    files = ServerFiles(tmp_path / "tls")
    way = Way(listen, tmp_path, trusted=files.authority if is_encrypted else None)
    environ = files.environ if is_encrypted else {}
    if kind == "unix":
        environ |= {"EXTPROC_SOCKET_MODE": "0600"}
    with build_gateway(upstream, way, listen, "auto", **environ) as gateway:
        assert [is_metered(gateway) for _ in range(2)] == [True, True]
        if kind == "unix":
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat_of(gateway, "upstream_cx_total") == 2
    assert not path.exists()


@pytest.mark.parametrize("has_workers", [False, True])
def test_envoy_and_the_sidecar_know_each_other(
    upstream: Upstream, tmp_path: Path, engine: str, has_workers: bool
) -> None:
    """By certificates on both sides; workers that share a port present the same one."""
    listen, files = free_address(), ServerFiles(tmp_path / "tls", demands_clients=True)
    way = Way(listen, tmp_path, trusted=files.authority, client=files.clients.issue_cert("envoy"))
    environ = files.environ | ({"EXTPROC_WORKERS": "2"} if has_workers else {})
    with build_gateway(upstream, way, listen, engine, **environ) as gateway:
        assert [is_metered(gateway) for _ in range(4)] == [True] * 4
        assert stat_of(gateway, "ssl.handshake") == 4
        assert gateway.value("ai_total_tokens_total", llm="openai", model="gpt-4o") == 28
        # The certificates of trustme are good until 3000; of two workers it is not the sum.
        expected = datetime(3000, 1, 1, tzinfo=UTC).timestamp()
        assert gateway.value("extproc_tls_certificate_expiry_timestamp_seconds") == expected


def test_envoy_refuses_a_sidecar_of_another_authority(upstream: Upstream, tmp_path: Path, engine: str) -> None:
    """Traffic passes unmetered, and Envoy's counts say why."""
    listen, files = free_address(), ServerFiles(tmp_path / "tls")
    way = Way(listen, tmp_path, trusted=trustme.CA())
    with build_gateway(upstream, way, listen, engine, **files.environ) as gateway:
        assert not is_metered(gateway)
        assert stat_of(gateway, "ssl.fail_verify_error") == 1
        assert gateway.value("ai_requests_total", llm="openai", model="gpt-4o") == 0


@pytest.mark.parametrize("is_a_stranger", [False, True])
def test_the_sidecar_refuses_clients_without_a_certificate_of_its_authority(
    upstream: Upstream, tmp_path: Path, engine: str, is_a_stranger: bool
) -> None:
    """None at all, or one of another."""
    listen, files = free_address(), ServerFiles(tmp_path / "tls", demands_clients=True)
    client = trustme.CA().issue_cert("envoy") if is_a_stranger else None
    way = Way(listen, tmp_path, trusted=files.authority, client=client)
    with build_gateway(upstream, way, listen, engine, **files.environ) as gateway:
        assert not is_metered(gateway)
        assert stat_of(gateway, "upstream_cx_connect_fail") == 1
        assert gateway.value("ai_requests_total", llm="openai", model="gpt-4o") == 0


class LongAnswer:
    """An upstream's script: a question for a stream is answered to its end when the test says so."""

    def __init__(self) -> None:
        self.may_end = threading.Event()

    def __call__(self, reply: Reply) -> None:
        if b"stream" not in reply.body:
            reply.send(ANSWER)
            return
        reply.stream()
        reply.chunk(b'data: {"choices": [{"delta": {"content": "Hello"}}]}\n\n')
        self.may_end.wait(60)
        reply.chunk(b"data: " + ANSWER + b"\n\ndata: [DONE]\n\n")
        reply.end()


def test_certificates_are_renewed_under_a_stream(upstream: Upstream, tmp_path: Path, engine: str) -> None:
    """What runs goes on to its counts; who connects gets the new certificate, and is judged by the new authorities.

    Envoy resumes its sessions, and does not get in with one that was made before.
    """
    listen, files = free_address(), ServerFiles(tmp_path / "tls", demands_clients=True)
    way = Way(listen, tmp_path, trusted=files.authority, client=files.clients.issue_cert("envoy"))
    chain, key = files.cert_file.read_bytes(), files.key_file.read_bytes()
    answer = LongAnswer()
    upstream.script = answer
    with build_gateway(upstream, way, listen, engine, **files.environ) as gateway, ThreadPoolExecutor(1) as pool:
        stream = pool.submit(gateway.post, PATH, b'{"model": "gpt-4o", "stream": true, "messages": []}')
        try:
            wait_for(lambda: gateway.value("extproc_streams_active") == 1)
            assert [is_metered(gateway) for _ in range(3)] == [True] * 3
            assert stat_of(gateway, "ssl.session_reused") > 0

            # Of the same authority, so that Envoy goes on.
            newer = files.authority.issue_cert("localhost")
            newer_chain = b"".join(part.bytes() for part in newer.cert_chain_pems)
            files.swap(newer_chain, newer.private_key_pem.bytes(), files.clients.cert_pem.bytes())
            assert presented(listen) == ssl.PEM_cert_to_DER_cert(newer.cert_chain_pems[0].bytes().decode())
            assert is_metered(gateway)

            # Half of it is wrong.
            files.swap(newer_chain, key, files.clients.cert_pem.bytes())
            assert is_metered(gateway)
            wait_for(lambda: "certificates not reloaded" in gateway.sidecar_log)
            assert gateway.value("extproc_tls_reloads_total", outcome="failure") == 1

            # Of other clients.
            files.swap(chain, key, trustme.CA().cert_pem.bytes())
            assert not is_metered(gateway)
            assert gateway.value("extproc_tls_reloads_total", outcome="success") == 2
            assert gateway.value("extproc_streams_active") == 1
        finally:
            answer.may_end.set()
        _, _, entry = stream.result()
        assert entry["ai"]["total_tokens"] == 7
