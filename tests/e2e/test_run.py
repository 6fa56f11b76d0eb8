"""`extproc run`: the embedded Envoy in front of providers of the user's, here ones of the test's."""

from __future__ import annotations

import http.client
import os
import re
import signal
import ssl
from contextlib import closing
from pathlib import Path

import pytest
import trustme
from support.embedded import Embedded, descendants_alive
from support.upstream import Reply, Upstream
from support.waiting import wait_for

pytestmark = pytest.mark.e2e

QUESTION = b'{"model": "gpt-4o", "messages": []}'
ANSWER = b'{"choices": [], "usage": {"prompt_tokens": 1200, "completion_tokens": 34, "total_tokens": 1234}}'


def run(folder: Path, *urls: str, **environ: str) -> Embedded:
    """Run a gateway to these upstreams."""
    flags = [flag for url in urls for flag in ("--upstream", url)]
    return Embedded(folder, "run", *flags, until="Ctrl-C ends it all.", environ=environ)


def post(gateway: Embedded, path: str) -> tuple[int, bytes]:
    """Send the question to the gateway."""
    match = re.search(r"http://127\.0\.0\.1:(\d+)", gateway.text)
    assert match is not None, gateway.text
    with closing(http.client.HTTPConnection("127.0.0.1", int(match[1]), timeout=20)) as connection:
        connection.request("POST", path, QUESTION, {"content-type": "application/json"})
        answer = connection.getresponse()
        return answer.status, answer.read()


def test_upstreams_are_reached_by_their_prefixes_and_metered(tmp_path: Path) -> None:
    """Paths arrive as the provider knows them; each exchange is told as it ends, and the sum at the end."""
    paths: list[tuple[str, str]] = []

    def script(reply: Reply) -> None:
        paths.append((reply.path, reply.headers["host"]))
        reply.send(ANSWER)

    with Upstream(script) as upstream:
        port = upstream.address.port
        urls = (f"http://127.0.0.1:{port}", f"vllm=http://localhost:{port}/llm/")
        with run(tmp_path, *urls) as gateway:
            assert post(gateway, "/v1/chat/completions") == (200, ANSWER)
            assert post(gateway, "/vllm/v1/chat/completions") == (200, ANSWER)
            wait_for(lambda: "vllm gpt-4o  prompt 1200  completion 34  total 1234" in gateway.text)
            assert "openai gpt-4o  prompt 1200  completion 34  total 1234" in gateway.text
            assert gateway.press_ctrl_c() == 0
        assert paths == [
            ("/v1/chat/completions", f"127.0.0.1:{port}"),
            ("/llm/v1/chat/completions", f"localhost:{port}"),
        ]
    assert "Traceback" not in gateway.text
    assert re.search(r"vllm +gpt-4o +1 +1,200 +34 +1,234", gateway.text)
    assert list(tmp_path.iterdir()) == []


def test_a_provider_is_reached_by_tls_and_only_if_it_is_who_it_says(tmp_path: Path) -> None:
    """With the certificates this machine trusts; a server with any other gets nothing."""
    ours, other = trustme.CA(), trustme.CA()
    store = tmp_path / "ca.pem"
    ours.cert_pem.write_to_path(store)
    with Upstream(lambda reply: reply.send(ANSWER)) as trusted, Upstream(lambda reply: reply.send(ANSWER)) as strange:
        for authority, upstream in ((ours, trusted), (other, strange)):
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            authority.issue_cert("localhost").configure_cert(context)
            upstream.use_tls(context)
        urls = [f"{name}=https://localhost:{one.address.port}" for name, one in (("a", trusted), ("b", strange))]
        with run(tmp_path, *urls, SSL_CERT_FILE=str(store)) as gateway:
            assert post(gateway, "/a/v1/chat/completions") == (200, ANSWER)
            assert post(gateway, "/b/v1/chat/completions")[0] == 503
            wait_for(lambda: "no usage (503)" in gateway.text)
            assert "a gpt-4o  prompt 1200" in gateway.text


@pytest.mark.parametrize(("part", "name"), [("--config-path", "Envoy"), ("extproc serve", "the sidecar")])
def test_a_part_that_dies_is_named_and_ends_the_rest(tmp_path: Path, part: str, name: str) -> None:
    """In one line, with exit code 1."""
    with run(tmp_path, "http://127.0.0.1:1") as gateway:
        (victim,) = (number for number, line in descendants_alive(tmp_path).items() if part in line)
        os.kill(victim, signal.SIGKILL)
        assert gateway.wait() == 1
        assert gateway.text.splitlines()[-1].startswith(f"extproc: {name} ended")
        assert "Traceback" not in gateway.text
    assert list(tmp_path.iterdir()) == []
