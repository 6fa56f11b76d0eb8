"""`extproc doctor` on a real Envoy: the right finding for each thing that is wrong, and none where nothing is."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from support.gateway import Gateway
from support.sidecar import Sidecar, run
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

# What a telemetry needs that has some of everything.
LABELS = {
    "custom_labels": [
        {"name": "team", "metadataKey": "team"},
        {"name": "tenant", "header": "x-tenant"},
    ],
    "inject_context": True,
    "exporters": {"otlp": [{"name": "nobody", "host": "localhost", "port": 1}]},
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
    return code, {each["code"]: each["severity"] for each in document["findings"]}, document


def bootstrap(providers: MockProviders, file: str = "envoy.yaml") -> Bootstrap:
    made = Bootstrap(file)
    for cluster, address in providers.addresses.items():
        made.use_mock(cluster, address)
    return made


def send(envoy: Stack, path: str = "/openai/v1/chat/completions") -> None:
    """Send a request, and wait until all of it is over."""
    import http.client

    with closing(http.client.HTTPConnection(envoy.gateway.host, envoy.gateway.port, timeout=30)) as connection:
        connection.request("POST", path, CHAT, {"content-type": "application/json"})
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
    b._document["bootstrap_extensions"] = []


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


ADDEND = {"hits_addend": {"format": "%DYNAMIC_METADATA(envoy.ratelimit:hits_addend)%"}}
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


def cluster(change: Callable[[dict[str, Any]], object]) -> Callable[[Bootstrap], None]:
    return lambda b: change(b._cluster("extproc")) and None


def native(change: Callable[[dict[str, Any]], object]) -> Callable[[Bootstrap], None]:
    return lambda b: change(b.http_filter("envoy.filters.http.ai_protocol_manager")) and None


def manager_first(b: Bootstrap) -> None:
    found = next(each for each in filters(b) if "ai_protocol_manager" in each["name"])
    filters(b).remove(found)
    filters(b).insert(0, found)


def tls(b: Bootstrap) -> None:
    context = {"@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext"}
    b._cluster("extproc")["transport_socket"] = {"name": "envoy.transport_sockets.tls", "typed_config": context}


def by_rds(b: Bootstrap) -> None:
    """Have routes come from a control plane, which is a file here."""


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
        lambda b: (ext_proc(observability_mode=True)(b), mode(request_body_mode="STREAMED")(b)),
        {"observability-mode": "error"},
        4,
    ),
    "small buffer": (
        "envoy.yaml",
        lambda b: b.listener.update(per_connection_buffer_limit_bytes=4096),
        {"buffer-too-small": "error"},
        4,
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
    "limit without addend": ("envoy.yaml", rate_limited(DONE), {"rate-limit-without-addend": "error"}, 4),
    "limit before": (
        "envoy.yaml",
        rate_limited(DONE | ADDEND, first=True),
        {"rate-limit-before-ext-proc": "warning"},
        3,
    ),
    "limit of requests": ("envoy.yaml", rate_limited({}), {"rate-limit-counts-requests": "note"}, 0),
    "limit of tokens": ("envoy.yaml", rate_limited({}, DONE | ADDEND), {}, 0),
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
