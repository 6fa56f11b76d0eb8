"""What `extproc envoy-config` prints, with the real Envoy: taken as it is, and metering as the files of envoy/ do."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import trustme
import yaml
from support.gateway import Gateway
from support.otlp import Certificates, GrpcReceiver
from support.printed import Printed, print_config
from support.ratelimit import RateLimitService
from support.upstream import Reply, Upstream
from support.waiting import wait_for

from extproc.demo.check import check_counters, check_entry
from extproc.demo.mock.server import PROVIDERS, MockProviders
from extproc.demo.requests import demo_requests
from extproc.demo.stack import SidecarCommand, find_envoy

pytestmark = pytest.mark.e2e

MODES = ("inspect", "zero-body", "observe", "full-duplex")
PATH = "/openai/v1/chat/completions"
ASK = b'{"model": "gpt-4o", "messages": []}'
ANSWER = (
    b'{"object": "chat.completion", "model": "m", "choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 4}}'
)
WAIT_SECONDS = 20

# What differs from one run to the next.
TIMES = {"time_to_first_token_ms"}


def validate(config: str) -> None:
    """Fail if Envoy would not start with this."""
    command = [find_envoy(), "--mode", "validate", "--config-yaml", config]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stdout.strip()) == (0, "configuration '' OK"), ended.stderr


@pytest.fixture(scope="module", name="certificates")
def _certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ca.pem, cert.pem and key.pem."""
    folder = tmp_path_factory.mktemp("certificates")
    authority = trustme.CA()
    issued = authority.issue_cert("sidecar.test")
    authority.cert_pem.write_to_path(folder / "ca.pem")
    issued.private_key_pem.write_to_path(folder / "key.pem")
    issued.cert_chain_pems[0].write_to_path(folder / "cert.pem")
    return folder


WAYS: dict[str, tuple[str, ...]] = {
    "tcp": (),
    "name": ("--sidecar", "sidecar.test:18080", "--message-timeout", "0.25", "--fail-closed"),
    "unix": ("--listen", "unix:/run/extproc.sock"),
    "abstract": ("--listen", "unix-abstract:extproc"),
    "workers": ("--listen", "unix:/run/extproc.sock", "--workers", "3"),
    "upstreams": (
        "--upstream",
        "http://127.0.0.1:1/v1",
        "--upstream",
        "vllm=http://[::1]:2",
        "--upstream",
        "x=https://x",
    ),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("mode", MODES)
def test_envoy_takes_what_is_printed(mode: str, way: str) -> None:
    """However the sidecar is reached, and whoever is behind."""
    validate(print_config("--mode", mode, *WAYS[way]))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("mutual", [False, True], ids=["tls", "mtls"])
def test_envoy_takes_tls_to_the_sidecar(mode: str, mutual: bool, certificates: Path) -> None:
    """With its own certificate where the sidecar asks for one; Envoy reads the files."""
    cert, key, authority = (str(certificates / name) for name in ("cert.pem", "key.pem", "ca.pem"))
    listen_tls = {"cert_file": cert, "key_file": key} | ({"client_ca_file": authority} if mutual else {})
    own = ("--tls-cert", cert, "--tls-key", key) if mutual else ()
    flags = ("--mode", mode, "--tls-ca", authority, "--tls-name", "sidecar.test", *own)
    validate(print_config(*flags, environ={"EXTPROC_LISTEN_TLS": json.dumps(listen_tls)}))


TELEMETRY = {
    "inject_context": True,
    "propagators": ["tracecontext", "b3"],
    "custom_labels": [
        {"name": "tenant", "header": "x-tenant"},
        {"name": "team", "metadataKey": "principal:team"},
    ],
    "exporters": {"otlp": [{"name": "a", "host": "127.0.0.1"}]},
}


@pytest.mark.parametrize("report", [False, True], ids=["listed", "all"])
@pytest.mark.parametrize("mode", MODES)
def test_envoy_takes_what_telemetry_needs(mode: str, report: bool) -> None:
    """Headers, namespaces, attributes and what may be injected."""
    layers = {"layers": {"global": {"report_headers": report, "skip_headers": ["x-skipped"]}}}
    environ = {"EXTPROC_TELEMETRY": json.dumps(TELEMETRY | layers)}
    validate(print_config("--mode", mode, environ=environ))


@pytest.mark.parametrize("mode", [mode for mode in MODES if mode != "observe"])
@pytest.mark.parametrize("by", [(), ("--rate-limit-by", "x-tenant")], ids=["shared", "by-header"])
def test_envoy_takes_rate_limits(mode: str, by: tuple[str, ...]) -> None:
    """By a header or all together."""
    validate(print_config("--mode", mode, "--rate-limit", "ratelimit.test:8081", *by))


def into_bootstrap(parts: Mapping[str, Any]) -> str:
    """Return a bootstrap of an Envoy that was there before, with parts put where their names say."""
    bootstrap: dict[str, Any] = json.loads(print_config("--format", "json"))
    (listener,) = bootstrap["static_resources"]["listeners"]
    manager = listener["filter_chains"][0]["filters"][0]["typed_config"]
    (host,) = manager["route_config"]["virtual_hosts"]
    router = manager["http_filters"][-1]
    manager["http_filters"] = [*parts.get("http_filters", ()), router]
    manager["access_log"] = parts.get("access_log", [])
    host |= {name: parts[name] for name in parts if name not in ("http_filters", "access_log", "clusters")}
    clusters = bootstrap["static_resources"]["clusters"]
    clusters[:] = [*parts.get("clusters", ()), *(each for each in clusters if each["name"] != "extproc")]
    return json.dumps(bootstrap)


@pytest.mark.parametrize("mode", MODES)
def test_the_parts_fit_into_an_envoy_that_is_there(mode: str) -> None:
    """Each where its comment says it belongs."""
    limited = () if mode == "observe" else ("--rate-limit", "127.0.0.1:8081")
    printed = print_config("--mode", mode, "--part", "all", *limited)
    validate(into_bootstrap(yaml.safe_load(printed)))


@pytest.mark.parametrize("mode", MODES)
def test_envoy_takes_what_istio_would_patch_into_it(mode: str) -> None:
    """Each patch by hand, in its order, where Istio puts it."""
    limited = () if mode == "observe" else ("--rate-limit", "127.0.0.1:8081")
    document = yaml.safe_load(print_config("--target", "istio", "--mode", mode, *limited))
    parts: dict[str, Any] = {"http_filters": [], "clusters": []}
    for patch in document["spec"]["configPatches"]:
        value = patch["patch"]["value"]
        if patch["applyTo"] == "CLUSTER":
            parts["clusters"].append(value)
        elif patch["applyTo"] == "HTTP_FILTER":
            parts["http_filters"].append(value)
        elif patch["applyTo"] == "VIRTUAL_HOST":
            parts |= value
        else:
            parts["access_log"] = value["typed_config"]["access_log"]
    validate(into_bootstrap(parts))


def known(providers: MockProviders) -> dict[str, Any]:
    return {name: providers.addresses[name] for name in PROVIDERS}


def drive(gateway: Gateway, providers: MockProviders) -> list[dict[str, Any]]:
    """Send what the demo sends; return the lines of the access log."""
    entries = []
    for request in demo_requests():
        status, body = request.send(gateway.stack.gateway)
        entries.append(gateway.entry(request.request_id))
        reply = providers.ledger[request.request_id]
        assert (status, body) == (reply.status, reply.body)
    return entries


def assert_counted(gateway: Gateway, providers: MockProviders, entries: list[dict[str, Any]]) -> None:
    """Wait until every counter is right: the last ones move when streams close, or copies arrive."""
    exchanges = [
        (str(request.names["provider"]), str(request.names["model"]), providers.ledger[entry["request_id"]])
        for request, entry in zip(demo_requests(), entries, strict=True)
    ]
    wait_for(lambda: check_counters(gateway.stack.scrape(), exchanges) == [], WAIT_SECONDS)


def told(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return what two runs have in common."""
    ai = entry["ai"] and {key: value for key, value in entry["ai"].items() if key not in TIMES}
    same = {key: entry[key] for key in ("method", "path", "route", "status", "flags", "hits_addend")}
    return same | {"ai": ai, "keys": sorted(entry), "ai_keys": sorted(entry["ai"] or ())}


@pytest.fixture(scope="module", name="shipped")
def _shipped(providers: MockProviders) -> dict[str, list[dict[str, Any]]]:
    """What the access log says with the files of envoy/."""
    said = {}
    for file in ("envoy.yaml", "envoy-zero-body.yaml"):
        with Gateway(known(providers), file=file) as gateway:
            said[file] = drive(gateway, providers)
    return said


@pytest.mark.parametrize(
    ("mode", "file", "workers"),
    [
        ("inspect", "envoy.yaml", 1),
        ("inspect", "envoy.yaml", 2),
        ("full-duplex", "envoy.yaml", 1),
        ("zero-body", "envoy-zero-body.yaml", 1),
    ],
)
def test_the_demo_says_the_same(
    mode: str, file: str, workers: int, providers: MockProviders, shipped: dict[str, list[dict[str, Any]]]
) -> None:
    """Key by key what it says with the file of envoy/ that a person reads; with bodies every number is right."""
    bootstrap = Printed(known(providers), "--mode", mode)
    with Gateway({}, bootstrap=bootstrap, sidecar=SidecarCommand(workers=workers)) as gateway:
        entries = drive(gateway, providers)
        if mode != "zero-body":
            assert_counted(gateway, providers, entries)
    assert [told(entry) for entry in entries] == [told(entry) for entry in shipped[file]]
    if mode != "zero-body":
        for entry, request in zip(entries, demo_requests(), strict=True):
            reply = providers.ledger[entry["request_id"]]
            assert [str(each) for each in check_entry(entry, reply, request.names)] == []


def test_where_envoy_only_observes_there_are_counters(providers: MockProviders) -> None:
    """All of them right, and nothing of tokens in the access log."""
    with Gateway({}, bootstrap=Printed(known(providers), "--mode", "observe")) as gateway:
        entries = drive(gateway, providers)
        assert_counted(gateway, providers, entries)
    assert {key for entry in entries for key in entry} & {"ai", "hits_addend"} == set()


@pytest.fixture(name="answering")
def _answering(upstream: Upstream) -> tuple[Upstream, list[dict[str, str]]]:
    """A server that answers, and the headers of what it was asked."""
    received: list[dict[str, str]] = []

    def script(reply: Reply) -> None:
        received.append({name.lower(): value for name, value in reply.headers.items()})
        reply.send(ANSWER)

    upstream.script = script
    return upstream, received


@pytest.mark.parametrize(
    ("name", "wants", "shows", "total"),
    [("localhost", False, False, 7), ("localhost", True, True, 7), ("another.test", False, False, None)],
    ids=["tls", "mtls", "wrong-name"],
)
@pytest.mark.parametrize("workers", [1, 2])
def test_traffic_is_metered_over_tls(
    name: str,
    wants: bool,
    shows: bool,
    total: int | None,
    workers: int,
    answering: tuple[Upstream, list[dict[str, str]]],
    tmp_path: Path,
) -> None:
    """With a certificate of Envoy's where the sidecar wants one; a sidecar of another name is told nothing."""
    upstream, _ = answering
    files = Certificates(tmp_path)
    flags = ["--tls-ca", files.ca_file, "--tls-name", name]
    flags += ["--tls-cert", files.client_cert_file, "--tls-key", files.client_key_file] if shows else []
    listen_tls = {"cert_file": files.server_cert_file, "key_file": files.server_key_file}
    listen_tls |= {"client_ca_file": files.ca_file} if wants else {}
    environ = {"EXTPROC_LISTEN_TLS": json.dumps(listen_tls)}
    bootstrap = Printed({"openai": upstream.address}, *flags, environ=environ)
    with Gateway({}, bootstrap=bootstrap, sidecar=SidecarCommand(workers=workers, environ=environ)) as gateway:
        answer, _, entry = gateway.post(PATH, ASK)
    assert answer.status == 200
    assert (entry["ai"] or {}).get("total_tokens") == total


def test_what_telemetry_reads_and_sets_passes(answering: tuple[Upstream, list[dict[str, str]]]) -> None:
    """A label from a header, the trace for the provider, reported headers without credentials, route and upstream."""
    upstream, received = answering
    with GrpcReceiver() as collector:
        exporter = {"name": "a", "host": "localhost", "port": collector.port}
        telemetry = TELEMETRY | {
            "exporters": {"otlp": [exporter]},
            "layers": {"global": {"report_headers": True, "skip_headers": ["x-skipped"]}},
            "queue": {"delay_seconds": 0.05},
        }
        environ = {"EXTPROC_TELEMETRY": json.dumps(telemetry)}
        bootstrap = Printed({"openai": upstream.address}, environ=environ)
        with Gateway({}, bootstrap=bootstrap, sidecar=SidecarCommand(environ=environ)) as gateway:
            sent = {"x-tenant": "acme", "authorization": "Bearer sk-secret", "x-skipped": "1", "x-other": "told"}
            gateway.post(PATH, ASK, sent)
            wait_for(lambda: len(collector.spans) >= 1, WAIT_SECONDS)
            assert (
                gateway.value("ai_requests_total", llm="openai", model="gpt-4o", tenant="acme", team="<unknown>") == 1
            )
    names = {attribute.key for span in collector.spans for attribute in span.attributes}
    assert "http.request.header.x-other" in names
    assert not {name for name in names if "authorization" in name or "skipped" in name}
    assert {"http.route", "network.peer.address"} <= names
    (headers,) = received
    assert headers["traceparent"].startswith("00-")
    assert "b3" in headers


@pytest.mark.parametrize("mode", [mode for mode in MODES if mode != "observe"])
def test_a_rate_limit_is_charged_the_tokens(mode: str, answering: tuple[Upstream, list[dict[str, str]]]) -> None:
    """Nothing when a request comes, all it used when it is over, by the header that it says."""
    upstream, _ = answering
    with RateLimitService() as service:
        flags = ("--rate-limit", str(service.address), "--rate-limit-by", "x-tenant", "--rate-limit-domain", "ai")
        bootstrap = Printed({"openai": upstream.address}, "--mode", mode, *flags)
        with Gateway({}, bootstrap=bootstrap) as gateway:
            gateway.post(PATH, ASK, {"x-tenant": "acme"})
            wait_for(lambda: len(service.charges) == 2, WAIT_SECONDS)
    assert service.charges == [("ai", {"x-tenant": "acme"}, 0), ("ai", {"x-tenant": "acme"}, 7)]
