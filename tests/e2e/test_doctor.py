"""`extproc doctor` on a real Envoy: the right finding for each thing that is wrong, and none where nothing is."""

from __future__ import annotations

import copy
import http.client
import json
import signal
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from support.sidecar import Sidecar, run
from support.tls import ServerFiles
from support.waiting import wait_for

from extproc.config.address import HostPort
from extproc.demo.bootstrap import Bootstrap
from extproc.demo.mock.server import MockProviders
from extproc.demo.stack import Ports, Stack, fetch
from extproc.doctor.run import run as run_doctor

pytestmark = pytest.mark.e2e

EXT_PROC = "envoy.filters.http.ext_proc"
ZERO_BODY = "envoy-zero-body.yaml"
TRACING = "envoy-tracing.yaml"
PER_ROUTE = "type.googleapis.com/envoy.extensions.filters.http.ext_proc.v3.ExtProcPerRoute"
FILTERS = "type.googleapis.com/envoy.extensions.filters.http"
CHAT = b'{"model": "gpt-4o", "messages": [{"role": "user", "content": "hi"}]}'

# What a telemetry needs that has some of everything. No metrics are sent to nobody: those would be missed in time.
LABELS = {
    "custom_labels": [
        {"name": "team", "metadataKey": "team"},
        {"name": "tenant", "header": "x-tenant"},
    ],
    "inject_context": True,
    "exporters": {"otlp": [{"name": "nobody", "host": "localhost", "port": 1, "disable_metrics": True}]},
}


class Front(Stack):
    """An Envoy alone, in front of a sidecar that runs already."""

    def __init__(self, bootstrap: Bootstrap, *addresses: Path) -> None:
        super().__init__(bootstrap, Ports(), on_log_line=lambda _: None)
        self._addresses = list(addresses)

    def start_sidecar(self) -> None:
        """It runs already."""

    def _sockets(self) -> list[Path]:
        return getattr(self, "_addresses", [])


@pytest.fixture(scope="module", name="sidecar")
def _sidecar(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sidecar]:
    with Sidecar(tmp_path_factory.mktemp("s")) as sidecar:
        yield sidecar


@pytest.fixture(scope="module", name="labelled")
def _labelled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sidecar]:
    """A sidecar whose telemetry needs more of Envoy."""
    with Sidecar(tmp_path_factory.mktemp("s"), environ={"EXTPROC_TELEMETRY": json.dumps(LABELS)}) as sidecar:
        yield sidecar


def diagnose(
    envoy: Stack, sidecar: str, capsys: pytest.CaptureFixture[str]
) -> tuple[int, dict[str, str], dict[str, Any]]:
    """Return exit code, the severity of each code that was found, and the whole document."""
    code = run_doctor(str(envoy.envoy_admin), sidecar, as_json=True)
    document = json.loads(capsys.readouterr().out)
    assert not any(word in each["mend"] for each in document["findings"] for word in ("ENVOY_ADMIN", "SIDECAR"))
    return code, {each["code"]: each["severity"] for each in document["findings"]}, document


def bootstrap(providers: MockProviders, file: str = "envoy.yaml") -> Bootstrap:
    made = Bootstrap(file)
    for cluster, address in providers.addresses.items():
        made.use_mock(cluster, address)
    return made


def send(envoy: Stack) -> None:
    """Send a request, and wait until all of it is over."""
    with closing(http.client.HTTPConnection(envoy.gateway.host, envoy.gateway.port, timeout=30)) as connection:
        connection.request("POST", "/openai/v1/chat/completions", CHAT, {"content-type": "application/json"})
        connection.getresponse().read()


# How each thing is got wrong.


def filters(b: Bootstrap) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = b._connection_manager["http_filters"]
    return found


def own(b: Bootstrap) -> dict[str, Any]:
    return next(each for each in filters(b) if each["name"] == EXT_PROC)


def route(b: Bootstrap) -> dict[str, Any]:
    found: dict[str, Any] = b.virtual_host["routes"][0]
    return found


def mode(**modes: str) -> Callable[[Bootstrap], None]:
    return lambda b: b.ext_proc["processing_mode"].update(modes)


def ext_proc(**values: Any) -> Callable[[Bootstrap], None]:
    return lambda b: b.ext_proc.update(values)


def without(*keys: str) -> Callable[[Bootstrap], None]:
    def change(b: Bootstrap) -> None:
        for key in keys:
            del b.ext_proc[key]

    return change


def observed(b: Bootstrap) -> None:
    ext_proc(observability_mode=True)(b)
    mode(request_body_mode="STREAMED")(b)


def observed_and(*changes: Callable[[Bootstrap], None]) -> Callable[[Bootstrap], None]:
    def change(b: Bootstrap) -> None:
        for each in (observed, *changes):
            each(b)

    return change


def receiving(*namespaces: str) -> Callable[[Bootstrap], None]:
    return lambda b: b.ext_proc["metadata_options"].update(receiving_namespaces={"untyped": list(namespaces)})


def headers(*lost: str) -> Callable[[Bootstrap], None]:
    def change(b: Bootstrap) -> None:
        patterns = b.ext_proc["forward_rules"]["allowed_headers"]["patterns"]
        patterns[:] = [each for each in patterns if each["exact"] not in lost]

    return change


def overridden(**overrides: Any) -> Callable[[Bootstrap], None]:
    def change(b: Bootstrap) -> None:
        route(b)["typed_per_filter_config"][EXT_PROC]["overrides"].update(overrides)

    return change


def no_filter(b: Bootstrap) -> None:
    filters(b).remove(own(b))


def disabled_on_route(b: Bootstrap) -> None:
    route(b)["typed_per_filter_config"] = {EXT_PROC: {"@type": PER_ROUTE, "disabled": True}}


def disabled_on_host(b: Bootstrap) -> None:
    config = {"@type": "type.googleapis.com/envoy.config.route.v3.FilterConfig", "disabled": True}
    b.virtual_host["typed_per_filter_config"] = {EXT_PROC: config}
    for each in b.virtual_host["routes"]:
        each.pop("typed_per_filter_config", None)


def disabled_filter(b: Bootstrap) -> None:
    own(b)["disabled"] = True
    for each in b.virtual_host["routes"]:
        each.pop("typed_per_filter_config", None)


def misnamed_override(b: Bootstrap) -> None:
    configs = route(b)["typed_per_filter_config"]
    configs["ext_proc"] = configs.pop(EXT_PROC)


def twice(b: Bootstrap) -> None:
    filters(b).insert(0, copy.deepcopy(own(b)) | {"name": "again"})


def second_listener(b: Bootstrap) -> None:
    listener = copy.deepcopy(b.listener) | {"name": "second"}
    manager = listener["filter_chains"][0]["filters"][0]["typed_config"]
    manager["stat_prefix"] = "second"
    manager["http_filters"] = [each for each in manager["http_filters"] if each["name"] != EXT_PROC]
    for each in manager["route_config"]["virtual_hosts"][0]["routes"]:
        each.pop("typed_per_filter_config", None)
    b._document["static_resources"]["listeners"].append(listener)
    b.listen = lambda gateway, admin: _listen_all(b, gateway, admin)  # type: ignore[method-assign]


def _listen_all(b: Bootstrap, gateway: HostPort, admin: HostPort) -> None:
    Bootstrap.listen(b, gateway, admin)
    for listener in b._document["static_resources"]["listeners"]:
        listener["address"] = {"socket_address": {"address": gateway.host, "port_value": 0}}


def access_log(**fields: str) -> Callable[[Bootstrap], None]:
    def change(b: Bootstrap) -> None:
        log = b._connection_manager["access_log"][0]["typed_config"]["log_format"]
        log["json_format"] = {"request_id": "%REQ(X-REQUEST-ID)%"} | fields

    return change


def rate_limited(*entries: dict[str, Any], first: bool = False) -> Callable[[Bootstrap], None]:
    def change(b: Bootstrap) -> None:
        service = {"envoy_grpc": {"cluster_name": "ratelimit"}}
        limiter = {
            "name": "envoy.filters.http.ratelimit",
            "typed_config": {
                "@type": f"{FILTERS}.ratelimit.v3.RateLimit",
                "domain": "llm",
                "rate_limit_service": {"grpc_service": service, "transport_api_version": "V3"},
            },
        }
        filters(b).insert(0 if first else len(filters(b)) - 1, limiter)
        cluster = copy.deepcopy(b._cluster("extproc")) | {"name": "ratelimit"}
        cluster["load_assignment"]["cluster_name"] = "ratelimit"
        b._document["static_resources"]["clusters"].append(cluster)
        limits = [{"actions": [{"generic_key": {"descriptor_value": "x"}}]} | entry for entry in entries]
        per_route = {"@type": f"{FILTERS}.ratelimit.v3.RateLimitPerRoute", "rate_limits": limits}
        for each in b.virtual_host["routes"]:
            each.setdefault("typed_per_filter_config", {})["envoy.filters.http.ratelimit"] = per_route

    return change


ASK = {"hits_addend": {"number": 0}}
ADDEND = {"hits_addend": {"format": "%DYNAMIC_METADATA(envoy.ratelimit:hits_addend)%"}}
BY_MODEL = {
    "actions": [
        {
            "metadata": {
                "descriptor_key": "model",
                "metadata_key": {"key": "ai.gateway", "path": [{"key": "model"}]},
                "source": "DYNAMIC",
            }
        }
    ]
}
DONE = {"apply_on_stream_done": True}


def compressor(library: str, *, first: bool) -> Callable[[Bootstrap], None]:
    def change(b: Bootstrap) -> None:
        config = {
            "@type": f"{FILTERS}.compressor.v3.Compressor",
            "compressor_library": {
                "name": library,
                "typed_config": {
                    "@type": f"type.googleapis.com/envoy.extensions.compression.{library}.compressor.v3."
                    f"{library.capitalize()}"
                },
            },
        }
        filters(b).insert(0 if first else len(filters(b)) - 1, {"name": "squeeze", "typed_config": config})

    return change


def cluster(change: Callable[[dict[str, Any]], object]) -> Callable[[Bootstrap], object]:
    return lambda b: change(b._cluster("extproc"))


def native(change: Callable[[dict[str, Any]], object]) -> Callable[[Bootstrap], object]:
    return lambda b: change(b.http_filter("envoy.filters.http.ai_protocol_manager"))


def manager_first(b: Bootstrap) -> None:
    found = next(each for each in filters(b) if "ai_protocol_manager" in each["name"])
    filters(b).remove(found)
    filters(b).insert(0, found)


def tls(b: Bootstrap) -> None:
    context = {"@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext"}
    b._cluster("extproc")["transport_socket"] = {"name": "envoy.transport_sockets.tls", "typed_config": context}


CASES: dict[str, tuple[str, Callable[[Bootstrap], object], dict[str, str], int]] = {
    "no filter": ("envoy.yaml", no_filter, {"filter-absent": "error"}, 4),
    "disabled on a route": ("envoy.yaml", disabled_on_route, {"filter-disabled": "error"}, 4),
    "disabled on a host": ("envoy.yaml", disabled_on_host, {"filter-disabled": "error"}, 4),
    "disabled": ("envoy.yaml", disabled_filter, {"filter-disabled": "error"}, 4),
    "misnamed override": ("envoy.yaml", misnamed_override, {"override-of-no-filter": "warning"}, 3),
    "two filters": ("envoy.yaml", twice, {"filter-twice": "error"}, 4),
    "a listener without": ("envoy.yaml", second_listener, {"filter-absent": "error"}, 4),
    "no namespace received": ("envoy.yaml", without("metadata_options"), {"namespaces-not-received": "error"}, 4),
    "namespace misspelt": (
        "envoy.yaml",
        receiving("ai.gatway", "envoy.ratelimit"),
        {"namespaces-not-received": "error"},
        4,
    ),
    "one namespace unused": (
        "envoy.yaml",
        receiving("ai.gateway", "envoy.ratelimit"),
        {"namespaces-unused": "note"},
        0,
    ),
    "received but for a route": (
        "envoy.yaml",
        overridden(metadata_options={"receiving_namespaces": {"untyped": ["x"]}}),
        {"namespaces-not-received": "error"},
        4,
    ),
    "path kept back": ("envoy.yaml", headers(":path"), {"headers-not-forwarded": "error"}, 4),
    "errors kept back": ("envoy.yaml", headers("x-amzn-errortype"), {"details-not-forwarded": "warning"}, 3),
    "all headers": ("envoy.yaml", without("forward_rules"), {"all-headers-forwarded": "note"}, 0),
    "default timeout": ("envoy.yaml", without("message_timeout"), {"message-timeout-short": "warning"}, 3),
    "short timeout": ("envoy.yaml", ext_proc(message_timeout="0.5s"), {"message-timeout-short": "warning"}, 3),
    "failure mode": ("envoy.yaml", without("failure_mode_allow"), {"failure-mode-closed": "warning"}, 3),
    "failure mode of a route": (
        "envoy.yaml",
        overridden(failure_mode_allow=False),
        {"failure-mode-closed": "warning"},
        3,
    ),
    "no response body": ("envoy.yaml", mode(response_body_mode="NONE"), {"response-body-hidden": "error"}, 4),
    "no response body on a route": (
        "envoy.yaml",
        overridden(processing_mode={"request_body_mode": "BUFFERED_PARTIAL"}),
        {"response-body-hidden": "error"},
        4,
    ),
    "no request body": ("envoy.yaml", mode(request_body_mode="NONE"), {"request-body-hidden": "warning"}, 3),
    "buffered response": ("envoy.yaml", mode(response_body_mode="BUFFERED"), {"response-body-buffered": "warning"}, 3),
    "buffered request": ("envoy.yaml", mode(request_body_mode="BUFFERED"), {"request-body-buffered": "note"}, 0),
    "no request headers": ("envoy.yaml", mode(request_header_mode="SKIP"), {"request-headers-skipped": "error"}, 4),
    "no response headers": ("envoy.yaml", mode(response_header_mode="SKIP"), {"response-headers-skipped": "error"}, 4),
    "observability": (
        "envoy.yaml",
        observed,
        {"observability-mode": "error"},
        4,
    ),
    "observability, read": (
        "envoy.yaml",
        observed_and(without("metadata_options")),
        {"observability-mode": "error"},
        4,
    ),
    "observability, for metrics": (
        "envoy.yaml",
        observed_and(without("metadata_options"), access_log()),
        {"observability-mode-metrics-only": "note"},
        0,
    ),
    "small buffer": (
        "envoy.yaml",
        lambda b: b.virtual_host.update(request_body_buffer_limit=4096),
        {"buffer-too-small": "warning"},
        3,
    ),
    "log without metadata": ("envoy.yaml", access_log(), {"access-log-without-metadata": "note"}, 0),
    "key misspelt": (
        "envoy.yaml",
        access_log(ai="%DYNAMIC_METADATA(ai.gateway:totl_tokens)%"),
        {"metadata-key-misspelt": "error"},
        4,
    ),
    "namespace misspelt in a log": (
        "envoy.yaml",
        access_log(ai="%DYNAMIC_METADATA(ai.gatewy)%", ok="%DYNAMIC_METADATA(ai.gateway)%"),
        {"metadata-namespace-misspelt": "error"},
        4,
    ),
    "limit at the request": ("envoy.yaml", rate_limited(ADDEND), {"rate-limit-too-early": "error"}, 4),
    "limit without addend": ("envoy.yaml", rate_limited(ASK, DONE), {"rate-limit-without-addend": "error"}, 4),
    "limit before": (
        "envoy.yaml",
        rate_limited(BY_MODEL | ASK, DONE | ADDEND, first=True),
        {"rate-limit-before-ext-proc": "error"},
        4,
    ),
    "limit before, of tokens": ("envoy.yaml", rate_limited(ASK, DONE | ADDEND, first=True), {}, 0),
    "limit never asked": ("envoy.yaml", rate_limited(DONE | ADDEND), {"rate-limit-never-asked": "warning"}, 3),
    "limit of requests": ("envoy.yaml", rate_limited({}), {"rate-limit-counts-requests": "note"}, 0),
    "limit of tokens": ("envoy.yaml", rate_limited(ASK, DONE | ADDEND), {}, 0),
    "limit that adds one": ("envoy.yaml", rate_limited({}, DONE | ADDEND), {"rate-limit-adds-one": "note"}, 0),
    "compressor behind": ("envoy.yaml", compressor("gzip", first=False), {"compressed-before-reading": "note"}, 0),
    "compressor before": ("envoy.yaml", compressor("gzip", first=True), {}, 0),
    "HTTP/1.1": (
        "envoy.yaml",
        cluster(lambda c: c.pop("typed_extension_protocol_options")),
        {"cluster-not-http2": "error"},
        4,
    ),
    "no endpoint": (
        "envoy.yaml",
        lambda b: setattr(b, "use_sidecar", lambda *_: b._cluster("extproc")["load_assignment"].update(endpoints=[])),
        {"cluster-without-endpoints": "error"},
        4,
    ),
    "another address": (
        "envoy.yaml",
        lambda b: setattr(b, "use_sidecar", lambda *_: Bootstrap.use_sidecar(b, Path("/nowhere.sock"))),
        {"address-differs": "warning"},
        3,
    ),
    "default limits": (
        "envoy.yaml",
        cluster(lambda c: c.pop("circuit_breakers")),
        {"circuit-breaker-low": "warning"},
        3,
    ),
    "TLS": ("envoy.yaml", tls, {"tls-mismatch": "error"}, 4),
    "usage not forwarded": (
        ZERO_BODY,
        lambda b: b.ext_proc["metadata_options"]["forwarding_namespaces"].pop("typed"),
        {"usage-not-forwarded": "error"},
        4,
    ),
    "usage without signal": (
        ZERO_BODY,
        native(lambda c: c["response_handling"]["token_usage"].pop("usage_signal")),
        {"usage-without-signal": "error"},
        4,
    ),
    "usage too late": (ZERO_BODY, manager_first, {"usage-read-too-late": "error"}, 4),
    "trailers skipped": (ZERO_BODY, mode(response_trailer_mode="SKIP"), {"trailers-skipped": "error"}, 4),
    "response headers shown": (
        ZERO_BODY,
        mode(response_header_mode="SEND"),
        {"response-headers-shown": "warning", "details-not-forwarded": "warning", "headers-not-forwarded": "error"},
        4,
    ),
    "bodies beside the signal": (
        ZERO_BODY,
        lambda b: b.ext_proc.update(Bootstrap().ext_proc | {"metadata_options": b.ext_proc["metadata_options"]}),
        {"answers-never-end": "error"},
        4,
    ),
    "compressed for nobody": (
        ZERO_BODY,
        lambda b: b.virtual_host.update(request_headers_to_remove=[]),
        {"compressed-unread": "warning"},
        3,
    ),
    "model unknown": (ZERO_BODY, lambda b: filters(b).pop(0), {"model-unknown": "note"}, 0),
}


@pytest.mark.parametrize(("file", "change", "expected", "code"), CASES.values(), ids=CASES)
def test_what_is_wrong_is_found_and_nothing_else(
    file: str,
    change: Callable[[Bootstrap], object],
    expected: dict[str, str],
    code: int,
    sidecar: Sidecar,
    providers: MockProviders,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Each by its own code, so that a pipeline can tell them apart."""
    configured = bootstrap(providers, file)
    change(configured)
    with Front(configured, Path(sidecar.address.removeprefix("unix:"))) as envoy:
        assert diagnose(envoy, sidecar.admin, capsys)[:2] == (code, expected)


@pytest.mark.parametrize("file", ["envoy.yaml", ZERO_BODY, TRACING])
def test_nothing_is_wrong_with_the_files_of_this_project(
    file: str, sidecar: Sidecar, providers: MockProviders, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before and after there is traffic."""
    with Front(bootstrap(providers, file), Path(sidecar.address.removeprefix("unix:"))) as envoy:
        assert diagnose(envoy, sidecar.admin, capsys)[:2] == (0, {})
        send(envoy)
        assert diagnose(envoy, sidecar.admin, capsys)[:2] == (0, {})


def a_namespace(b: Bootstrap) -> None:
    namespaces = {"untyped": ["envoy.filters.http.jwt_authn"]}
    b.ext_proc["metadata_options"]["forwarding_namespaces"] = namespaces


def a_header(b: Bootstrap) -> None:
    b.ext_proc["forward_rules"]["allowed_headers"]["patterns"].append({"prefix": "x-ten"})


def mutation(b: Bootstrap) -> None:
    del b.ext_proc["mutation_rules"]


def no_attributes(b: Bootstrap) -> None:
    del b.ext_proc["request_attributes"]


ALL = (a_namespace, a_header, mutation)
LABELLED: dict[str, tuple[tuple[Callable[[Bootstrap], None], ...], dict[str, str], int]] = {
    "nothing": (
        (),
        {
            "namespaces-not-forwarded": "error",
            "label-headers-not-forwarded": "error",
            "mutation-refused": "warning",
        },
        4,
    ),
    "all but a header": ((a_namespace, mutation), {"label-headers-not-forwarded": "error"}, 4),
    "all but a namespace": ((a_header, mutation), {"namespaces-not-forwarded": "error"}, 4),
    "all but mutation": ((a_header, a_namespace), {"mutation-refused": "warning"}, 3),
    "all but attributes": ((*ALL, no_attributes), {"attributes-not-sent": "note"}, 0),
    "all": (ALL, {}, 0),
}


@pytest.mark.parametrize(("changes", "expected", "code"), LABELLED.values(), ids=LABELLED)
def test_what_telemetry_needs_is_missed(
    changes: tuple[Callable[[Bootstrap], None], ...],
    expected: dict[str, str],
    code: int,
    labelled: Sidecar,
    providers: MockProviders,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The running sidecar says what that is."""
    configured = bootstrap(providers, TRACING)
    for change in changes:
        change(configured)
    with Front(configured, Path(labelled.address.removeprefix("unix:"))) as envoy:
        assert diagnose(envoy, labelled.admin, capsys)[:2] == (code, expected)


def test_streams_that_fail_are_seen(
    sidecar: Sidecar, providers: MockProviders, capsys: pytest.CaptureFixture[str]
) -> None:
    """In Envoy's counters, wherever the cause is."""
    with Front(bootstrap(providers), Path("/nowhere.sock")) as envoy:
        send(envoy)
        code, codes, document = diagnose(envoy, sidecar.admin, capsys)
    assert (code, codes) == (
        4,
        {"streams-failing": "error", "cluster-unreachable": "error", "address-differs": "warning"},
    )
    assert "1 of 1 streams" in json.dumps(document)


def test_messages_without_a_reply_are_seen(
    tmp_path: Path, providers: MockProviders, capsys: pytest.CaptureFixture[str]
) -> None:
    """A sidecar that hangs looks well once it goes on."""
    with Sidecar(tmp_path) as slow:
        configured = bootstrap(providers)
        configured.ext_proc["message_timeout"] = "1s"
        with Front(configured, Path(slow.address.removeprefix("unix:"))) as envoy:
            slow.process.send_signal(signal.SIGSTOP)
            send(envoy)
            slow.process.send_signal(signal.SIGCONT)
            code, codes, _ = diagnose(envoy, slow.admin, capsys)
    assert code == 4
    assert codes.pop("messages-timing-out") == "error"
    assert codes.keys() <= {"streams-without-message", "streams-failing"}


def test_a_full_circuit_breaker_is_seen(
    sidecar: Sidecar, providers: MockProviders, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is why exchanges under load are missing."""
    configured = bootstrap(providers)
    configured._cluster("extproc")["circuit_breakers"]["thresholds"] = [{"max_requests": 0}]
    with Front(configured, Path(sidecar.address.removeprefix("unix:"))) as envoy:
        send(envoy)
        code, codes, _ = diagnose(envoy, sidecar.admin, capsys)
    assert (code, codes) == (4, {"streams-failing": "error", "circuit-breaker-overflow": "error"})


def test_requests_that_the_sidecar_never_sees_are_seen(
    sidecar: Sidecar, providers: MockProviders, capsys: pytest.CaptureFixture[str]
) -> None:
    """Most of all this is what "it does nothing" looks like."""
    configured = bootstrap(providers)
    disabled_on_route(configured)
    with Front(configured, Path(sidecar.address.removeprefix("unix:"))) as envoy:
        send(envoy)
        assert diagnose(envoy, sidecar.admin, capsys)[:2] == (
            4,
            {"filter-disabled": "error", "no-streams": "warning"},
        )


def test_workers_that_are_never_called_are_seen(
    tmp_path: Path, providers: MockProviders, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each has a socket of its own."""
    with Sidecar(tmp_path, "--workers", "2") as several:
        paths = [Path(address.removeprefix("unix:")) for address in several.addresses]
        with Front(bootstrap(providers), paths[0]) as envoy:
            assert diagnose(envoy, several.admin, capsys)[:2] == (3, {"workers-not-listed": "warning"})
        with Front(bootstrap(providers), *paths) as envoy:
            assert diagnose(envoy, several.admin, capsys)[:2] == (0, {})


def resource(folder: Path, name: str, kind: str, content: dict[str, Any]) -> dict[str, Any]:
    """Return a config source that holds a resource; a file stands for a control plane."""
    path = folder / f"{name}.json"
    path.write_text(
        json.dumps({"version_info": "1", "resources": [{"@type": f"type.googleapis.com/{kind}"} | content]})
    )
    return {"path_config_source": {"path": str(path)}, "resource_api_version": "V3"}


class Dynamic(Bootstrap):
    """A bootstrap whose listener, routes, filter and cluster come from a control plane."""

    folder: Path

    def to_json(self) -> str:
        manager = self._connection_manager
        name = f"envoy.config.{'route'}.v3.RouteConfiguration"
        routes = resource(self.folder, "routes", name, manager.pop("route_config"))
        manager["rds"] = {"route_config_name": "gateway", "config_source": routes}
        each = own(self)
        extension = {"name": EXT_PROC, "typed_config": each.pop("typed_config")}
        each["config_discovery"] = {
            "config_source": resource(self.folder, "filter", "envoy.config.core.v3.TypedExtensionConfig", extension),
            "type_urls": [extension["typed_config"]["@type"]],
        }
        clusters = self._document["static_resources"].pop("clusters")
        cluster_path = self.folder / "clusters.json"
        kind = {"@type": "type.googleapis.com/envoy.config.cluster.v3.Cluster"}
        cluster_path.write_text(json.dumps({"version_info": "1", "resources": [kind | each for each in clusters]}))
        [listener] = self._document["static_resources"].pop("listeners")
        self._document["node"] = {"id": "a", "cluster": "b"}
        self._document["dynamic_resources"] = {
            "lds_config": resource(self.folder, "listener", "envoy.config.listener.v3.Listener", listener),
            "cds_config": {"path_config_source": {"path": str(cluster_path)}, "resource_api_version": "V3"},
        }
        return super().to_json()


def test_what_a_control_plane_has_sent_is_seen_as_well(
    sidecar: Sidecar, providers: MockProviders, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Listeners, routes, filters and clusters, each from a discovery service of its own."""
    for change, expected in (
        (lambda _: None, {}),
        (without("message_timeout"), {"message-timeout-short": "warning"}),
        (disabled_on_route, {"filter-disabled": "error"}),
        (cluster(lambda c: c.pop("circuit_breakers")), {"circuit-breaker-low": "warning"}),
    ):
        configured = Dynamic()
        configured.folder = tmp_path
        for name, address in providers.addresses.items():
            configured.use_mock(name, address)
        change(configured)
        with Front(configured, Path(sidecar.address.removeprefix("unix:"))) as envoy:
            dump = fetch(f"http://{envoy.envoy_admin}/config_dump")
            assert "EcdsConfigDump" in dump
            assert "dynamic_route_configs" in dump
            assert diagnose(envoy, sidecar.admin, capsys)[1] == expected


def test_the_command_says_what_to_do(sidecar: Sidecar, providers: MockProviders) -> None:
    """To a person, in a terminal of 80 columns, with the exit code of the gravest."""
    configured = bootstrap(providers)
    without("message_timeout")(configured)
    receiving("ai.gatway")(configured)
    with Front(configured, Path(sidecar.address.removeprefix("unix:"))) as envoy:
        flags = ("--envoy-admin", f"http://{envoy.envoy_admin}", "--sidecar", f"http://{sidecar.admin}")
        ended = run("doctor", *flags)
        assert (ended.returncode, ended.stderr) == (4, "")
        assert (
            "ERROR namespaces-not-received\n  at listener gateway / filter envoy.filters.http.ext_proc\n"
            in ended.stdout
        )
        assert "    message_timeout: 2s\n" in ended.stdout
        assert ended.stdout.endswith("1 error, 1 warning, 0 notes\n")
        assert run("doctor", *flags, "--ignore", "namespaces-not-received").returncode == 3


def test_who_is_not_there_is_named(sidecar: Sidecar, providers: MockProviders) -> None:
    """Envoy's configuration is what most is found in; without it nothing can be said to be well."""
    nobody = "127.0.0.1:1"
    ended = run("doctor", "--envoy-admin", nobody, "--sidecar", sidecar.admin)
    assert ended.returncode == 1
    assert "ERROR envoy-unreachable" in ended.stdout
    with Front(bootstrap(providers), Path(sidecar.address.removeprefix("unix:"))) as envoy:
        ended = run("doctor", "--envoy-admin", str(envoy.envoy_admin), "--sidecar", nobody)
    assert ended.returncode == 4
    assert "ERROR sidecar-unreachable" in ended.stdout


def test_settings_that_are_not_in_use_yet_can_be_checked(
    sidecar: Sidecar, providers: MockProviders, tmp_path: Path
) -> None:
    """Before a reload, say."""
    config = tmp_path / "extproc.yaml"
    config.write_text("metadata_namespaces: [mine]\n")
    with Front(bootstrap(providers), Path(sidecar.address.removeprefix("unix:"))) as envoy:
        flags = ("--envoy-admin", str(envoy.envoy_admin), "--sidecar", sidecar.admin, "--json", "--config", str(config))
        found = json.loads(run("doctor", *flags).stdout)["findings"]
    assert {"namespaces-not-received", "metadata-namespace-misspelt"} <= {each["code"] for each in found}


def secured(config: dict[str, Any]) -> Callable[[Bootstrap], object]:
    context = {"@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext"} | config
    return cluster(
        lambda c: c.update(transport_socket={"name": "envoy.transport_sockets.tls", "typed_config": context})
    )


@pytest.mark.parametrize("demands_clients", [False, True])
def test_tls_has_to_be_spoken_on_both_sides(
    demands_clients: bool, providers: MockProviders, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """With a certificate of Envoy's, where the sidecar asks for one."""
    files = ServerFiles(tmp_path / "tls", demands_clients=demands_clients)
    trusting = {"common_tls_context": {"validation_context": {"trusted_ca": {"filename": str(files.client_ca_file)}}}}
    pair = {"certificate_chain": {"filename": str(files.cert_file)}, "private_key": {"filename": str(files.key_file)}}
    known = {"common_tls_context": trusting["common_tls_context"] | {"tls_certificates": [pair]}}
    with Sidecar(tmp_path, environ=files.environ) as safe:
        for change, expected in (
            (lambda _: None, {"tls-mismatch": "error"}),
            (secured(trusting), {"client-certificate-missing": "error"} if demands_clients else {}),
            (secured(known), {}),
        ):
            configured = bootstrap(providers)
            change(configured)
            with Front(configured, Path(safe.address.removeprefix("unix:"))) as envoy:
                assert diagnose(envoy, safe.admin, capsys)[1] == expected


def test_a_reload_that_failed_is_seen(
    providers: MockProviders, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """The sidecar goes on as before, which is easily missed."""
    config = tmp_path / "extproc.yaml"
    config.write_text("max_label_values: 100\n")
    with (
        Sidecar(tmp_path, "--config", str(config)) as reloading,
        Front(bootstrap(providers), Path(reloading.address.removeprefix("unix:"))) as envoy,
    ):
        assert diagnose(envoy, reloading.admin, capsys)[:2] == (0, {})
        config.write_text("max_label_valeus: 100\n")
        reloading.process.send_signal(signal.SIGHUP)
        wait_for(lambda: diagnose(envoy, reloading.admin, capsys)[:2] == (4, {"reload-failed": "error"}))
