"""The pod of k8s/base on this machine: its two containers as the manifest says, and kubelet's part by tests/support.

What a user's own kustomization would change is changed by one: where providers are, how long the parts of the end take,
and that usage is logged. That the numbers of the base add up is tests/k8s/test_shutdown.py.
"""

from __future__ import annotations

import http.client
import json
import os
import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import yaml
from support.container import need_containers
from support.manifests import K8S, Object, container_named, kustomize
from support.network_namespace import NetworkNamespace
from support.pod import Pod
from support.series import series_of
from support.streams import END, USAGE, Streams
from support.upstream import Reply, Upstream
from support.waiting import wait_for

from extproc.config.address import HostPort
from extproc.demo.bootstrap import Bootstrap
from extproc.demo.mock.server import MockProviders
from extproc.demo.stack import fetch

pytestmark = pytest.mark.e2e

COUNT = 20
QUESTION = {"model": "claude-3-5-haiku-latest", "max_tokens": 64, "messages": [{"role": "user", "content": "hi"}]}
HEADERS = {"content-type": "application/json"}
PATH = "/anthropic/v1/messages"
START = {"model": QUESTION["model"], "usage": {"input_tokens": 11, "output_tokens": 1}}
# What is known of it: by its counts, which may not be the last ones.
TOLD = {"usage_source": "partial", "prompt_tokens": 11, "completion_tokens": 1, "total_tokens": 12}
FIRST = f"event: message_start\ndata: {json.dumps({'type': 'message_start', 'message': START})}\n\n".encode()


@pytest.fixture(autouse=True)
def _containers(tmp_path: Path) -> None:
    need_containers(tmp_path)


def render(folder: Path, providers: Mapping[str, HostPort], *, grace_seconds: int, **environ: int) -> list[Object]:
    """Return the objects of a kustomization over the base, as somebody has it who has other providers and times."""
    bootstrap = Bootstrap(str(K8S / "base" / "envoy.yaml"))
    for name, address in providers.items():
        bootstrap.use_mock(name, address)
    folder.mkdir()
    (folder / "envoy.yaml").write_text(bootstrap.to_json())
    settings = (K8S / "base" / "extproc.yaml").read_text()
    (folder / "extproc.yaml").write_text(f"{settings}\nusage_log: stdout\n")
    variables = [{"name": name.upper(), "value": str(value)} for name, value in environ.items()]
    spec = {"terminationGracePeriodSeconds": grace_seconds, "containers": [{"name": "envoy", "env": variables}]}
    patch = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "ai-gateway"}}
    document = {
        "resources": [os.path.relpath(K8S / "base", folder.resolve())],
        "configMapGenerator": [
            {"name": f"ai-gateway-{name}", "behavior": "merge", "files": [f"{name}.yaml"]}
            for name in ("envoy", "extproc")
        ],
        "patches": [{"patch": yaml.safe_dump(patch | {"spec": {"template": {"spec": spec}}})}],
    }
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(document))
    return list(yaml.safe_load_all(kustomize(folder)))


def ask(pod: Pod, request_id: str, **members: bool) -> tuple[int, bytes]:
    """Return status and body of a question to Anthropic."""
    connection = pod.connect()
    try:
        connection.request("POST", PATH, json.dumps(QUESTION | members), HEADERS | {"x-request-id": request_id})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def sums_of(pod: Object) -> tuple[float, float]:
    """Return how long the hook waits at least, and how long all of it may take, in seconds, by the manifest."""
    environ = {each["name"]: float(each["value"]) for each in container_named(pod, "envoy")["env"]}
    accept_seconds, drain_seconds = environ["ACCEPT_SECONDS"], environ["DRAIN_SECONDS"]
    return accept_seconds, accept_seconds + drain_seconds


def test_nothing_that_is_under_way_when_a_pod_ends_is_lost(tmp_path: Path) -> None:
    """Streams finish, who comes before all know is served, and client, access log, usage log and counters agree."""
    scraped: list[str] = []
    with NetworkNamespace(), Upstream() as upstream, MockProviders(names=("anthropic",)) as mocks:
        providers = {"openai": upstream.address, **mocks.addresses}
        objects = render(tmp_path / "k8s", providers, grace_seconds=60, accept_seconds=1, drain_seconds=30)
        with Pod(tmp_path, objects, "ai-gateway") as pod, ThreadPoolExecutor(1) as kubelet:
            accept_seconds, drained_seconds = sums_of(pod.spec)
            answers = [ask(pod, "plain"), ask(pod, "streamed", stream=True)]
            with Streams(pod, upstream, COUNT) as streams:
                began = time.monotonic()
                ending = kubelet.submit(pod.end, lambda: scraped.append(fetch(f"{pod.url('metrics')}/metrics")))
                wait_for(lambda: not pod.is_good(pod.container("envoy"), "readinessProbe"))
                answers.append(ask(pod, "late"))
                # Longer than new ones are taken.
                wait_for(lambda: time.monotonic() > began + accept_seconds + 0.5)
                assert [key for key, is_good in pod.probes().items() if not is_good] == [("envoy", "readinessProbe")]
                assert set(streams.finish()) == {USAGE + END}
            ended = ending.result()
    assert {name: each.code for name, each in ended.items()} == {"extproc": 0, "envoy": 0}
    assert accept_seconds < ended["envoy"].seconds < ended["extproc"].seconds < drained_seconds
    assert any("no request is under way" in line for line in pod.container("envoy").lines)
    assert {status for status, _ in answers} == {200}
    reported = [reply.reported for reply in mocks.ledger.values()]
    claude = [(each.prompt_tokens, each.completion_tokens) for each in reported if each is not None]
    assert len(claude) == len(answers)
    assert_counted(pod, {"claude-3-5-haiku-latest": claude, "gpt-4o": [(30, 2)] * COUNT}, scraped)


def assert_counted(pod: Pod, expected: Mapping[str, list[tuple[int, int]]], scraped: list[str]) -> None:
    """Hold usage log, access log and counters to prompt and completion tokens of each exchange, by model."""
    used = [line for line in pod.said_by("extproc") if "completion" in line]
    logged = [line["ai"] for line in pod.said_by("envoy") if "ai" in line]
    assert {line["completion"] for line in used} == {"complete"}
    for model, tokens in expected.items():
        for lines in (used, logged):
            seen = [(line["prompt_tokens"], line["completion_tokens"]) for line in lines if line["model"] == model]
            assert sorted(seen) == sorted(tokens)
    (text,) = scraped
    counted = {(name, dict(labels).get("model")): value for (name, labels), value in series_of(text).items()}
    for model, tokens in expected.items():
        assert counted["ai_requests_total", model] == len(tokens)
        assert counted["ai_prompt_tokens_total", model] == sum(prompt for prompt, _ in tokens)
        assert counted["ai_completion_tokens_total", model] == sum(completion for _, completion in tokens)


def test_what_never_ends_is_cut_when_the_time_of_the_pod_is_over(tmp_path: Path) -> None:
    """The hook is cut short, Envoy ends at SIGTERM, and what had been reported of the stream is counted as partial."""
    never = threading.Event()

    def answer(reply: Reply) -> None:
        reply.stream()
        reply.chunk(FIRST)
        never.wait(60)

    with NetworkNamespace(), Upstream(answer) as upstream:
        objects = render(tmp_path / "k8s", {"anthropic": upstream.address}, grace_seconds=2)
        with Pod(tmp_path, objects, "ai-gateway") as pod:
            connection = pod.connect()
            connection.request("POST", PATH, json.dumps(QUESTION | {"stream": True}), HEADERS)
            stream = connection.getresponse()
            assert b"".join(stream.readline() for _ in range(3)) == FIRST
            ended = pod.end()
            with pytest.raises(http.client.IncompleteRead):
                stream.read()
            connection.close()
        never.set()
    assert {name: each.code for name, each in ended.items()} == {"extproc": 0, "envoy": 0}
    # Neither was killed, which would have been two seconds after the pod's time.
    assert all(2 <= each.seconds < 4 for each in ended.values())
    (used,) = [line for line in pod.said_by("extproc") if "completion" in line]
    (logged,) = [line for line in pod.said_by("envoy") if "ai" in line]
    assert used["completion"] == "cancelled"
    assert {key: used[key] for key in TOLD} == {key: logged["ai"][key] for key in TOLD} == TOLD
