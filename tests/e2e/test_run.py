"""`extproc run`: the embedded Envoy in front of providers of the user's, here ones of the test's."""

from __future__ import annotations

import http.client
import os
import re
import signal
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import trustme
from support.sidecar import command
from support.upstream import Reply, Upstream
from support.waiting import wait_for

pytestmark = pytest.mark.e2e

FREE_PORTS = ("--port", "0", "--metrics-port", "0", "--envoy-admin-port", "0")
QUESTION = b'{"model": "gpt-4o", "messages": []}'
ANSWER = b'{"choices": [], "usage": {"prompt_tokens": 1200, "completion_tokens": 34, "total_tokens": 1234}}'


class Running:
    """`extproc run`, and what it says."""

    def __init__(self, *arguments: str, environ: dict[str, str]) -> None:
        self._process = subprocess.Popen(
            command("run", *FREE_PORTS, *arguments),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=os.environ | environ,
            start_new_session=True,
        )
        self._lines: list[str] = []
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        wait_for(lambda: "Ctrl-C ends it all." in self.text or self._process.poll() is not None, 60)

    def _read(self) -> None:
        assert self._process.stdout is not None
        self._lines.extend(iter(self._process.stdout.readline, ""))

    @property
    def text(self) -> str:
        """Everything it has said so far."""
        return "".join(self._lines)

    def post(self, path: str) -> tuple[int, bytes]:
        """Send the question to the gateway."""
        match = re.search(r"http://127\.0\.0\.1:(\d+)", self.text)
        assert match is not None, self.text
        connection = http.client.HTTPConnection("127.0.0.1", int(match[1]), timeout=20)
        try:
            connection.request("POST", path, QUESTION, {"content-type": "application/json"})
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def stop(self) -> int:
        """Press Ctrl-C, which reaches every process of the group; return the exit code."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGINT)
        code = self._process.wait(30)
        self._reader.join()
        assert self._process.stdout is not None
        self._process.stdout.close()
        return code


@pytest.fixture(name="start")
def _start(tmp_path: Path) -> Iterator[Callable[..., Running]]:
    running: list[Running] = []

    def start(*arguments: str, **environ: str) -> Running:
        running.append(Running(*arguments, environ={"TMPDIR": str(tmp_path)} | environ))
        return running[-1]

    yield start
    for one in running:
        one.stop()
    assert not list(tmp_path.glob("extproc-*"))


def test_upstreams_are_reached_by_their_prefixes_and_metered(start: Callable[..., Running]) -> None:
    """Paths arrive as the provider knows them; each exchange is told as it ends, and the sum at the end."""
    paths: list[tuple[str, str]] = []

    def script(reply: Reply) -> None:
        paths.append((reply.path, reply.headers["host"]))
        reply.send(ANSWER)

    with Upstream(script) as upstream:
        port = upstream.address.port
        gateway = start("--upstream", f"http://127.0.0.1:{port}", "--upstream", f"vllm=http://localhost:{port}/llm/")
        assert gateway.post("/v1/chat/completions") == (200, ANSWER)
        assert gateway.post("/vllm/v1/chat/completions") == (200, ANSWER)
        assert paths == [
            ("/v1/chat/completions", f"127.0.0.1:{port}"),
            ("/llm/v1/chat/completions", f"localhost:{port}"),
        ]
        wait_for(lambda: "vllm gpt-4o  prompt 1200  completion 34  total 1234" in gateway.text)
        assert "openai gpt-4o  prompt 1200  completion 34  total 1234" in gateway.text
        assert gateway.stop() == 0
    assert "Traceback" not in gateway.text
    assert re.search(r"vllm +gpt-4o +1 +1,200 +34 +1,234", gateway.text)


def test_a_provider_is_reached_by_tls_and_only_if_it_is_who_it_says(
    start: Callable[..., Running], tmp_path: Path
) -> None:
    """With the certificates this machine trusts; a server with any other gets nothing."""
    ours, other = trustme.CA(), trustme.CA()
    store = tmp_path / "ca.pem"
    ours.cert_pem.write_to_path(store)
    with Upstream(lambda reply: reply.send(ANSWER)) as trusted, Upstream(lambda reply: reply.send(ANSWER)) as strange:
        for authority, upstream in ((ours, trusted), (other, strange)):
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            authority.issue_cert("localhost").configure_cert(context)
            upstream.use_tls(context)
        flags = [f"{name}=https://localhost:{one.address.port}" for name, one in (("a", trusted), ("b", strange))]
        gateway = start("--upstream", flags[0], "--upstream", flags[1], SSL_CERT_FILE=str(store))
        assert gateway.post("/a/v1/chat/completions") == (200, ANSWER)
        assert gateway.post("/b/v1/chat/completions")[0] == 503
        wait_for(lambda: "no usage (503)" in gateway.text)
        assert "a gpt-4o  prompt 1200" in gateway.text
