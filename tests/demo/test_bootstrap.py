from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from extproc.config.address import HostPort
from extproc.demo.bootstrap import RATE_LIMIT, RATE_LIMIT_CLUSTER, Bootstrap
from extproc.upstreams import Upstream

OPENAI = Upstream("", "api.openai.com", 443, is_tls=True, base_path="", provider="openai")
LOCAL = Upstream("vllm", "10.0.0.5", 8000, is_tls=False, base_path="/llm", provider=None)


def document(bootstrap: Bootstrap) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(bootstrap.to_json())
    return loaded


def routes(bootstrap: Bootstrap) -> list[dict[str, Any]]:
    manager = document(bootstrap)["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]
    loaded: list[dict[str, Any]] = manager["route_config"]["virtual_hosts"][0]["routes"]
    return loaded


def cluster(bootstrap: Bootstrap, name: str) -> dict[str, Any]:
    clusters = document(bootstrap)["static_resources"]["clusters"]
    found: dict[str, Any] = next(cluster for cluster in clusters if cluster["name"] == name)
    return found


def endpoint(cluster: dict[str, Any]) -> dict[str, Any]:
    address: dict[str, Any] = cluster["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"]["address"]
    return address


def test_addresses_are_put_in_their_places() -> None:
    """Gateway, admin interface, sidecar; nothing else about the traffic changes."""
    before, bootstrap = Bootstrap(), Bootstrap()
    bootstrap.listen(HostPort("127.0.0.1", 1), HostPort("127.0.0.1", 2))
    bootstrap.use_sidecar(Path("/run/x.sock"))
    loaded = document(bootstrap)
    assert loaded["static_resources"]["listeners"][0]["address"]["socket_address"]["port_value"] == 1
    assert loaded["admin"]["address"]["socket_address"]["port_value"] == 2
    assert endpoint(cluster(bootstrap, "extproc")) == {"pipe": {"path": "/run/x.sock"}}
    assert bootstrap.ext_proc == before.ext_proc
    assert routes(bootstrap) == routes(before)


def test_several_workers_are_reached_in_turn() -> None:
    """Each is an endpoint of its own."""
    bootstrap = Bootstrap()
    bootstrap.use_sidecar(Path("/run/x-0.sock"), Path("/run/x-1.sock"))
    (locality,) = cluster(bootstrap, "extproc")["load_assignment"]["endpoints"]
    paths = [each["endpoint"]["address"]["pipe"]["path"] for each in locality["lb_endpoints"]]
    assert paths == ["/run/x-0.sock", "/run/x-1.sock"]


def test_a_mock_takes_the_place_of_one_provider() -> None:
    """Without TLS, and without what is agreed on in its handshake; the other providers stay."""
    before, bootstrap = Bootstrap(), Bootstrap()
    bootstrap.use_mock("openai", HostPort("127.0.0.1", 7))
    changed = cluster(bootstrap, "openai")
    assert endpoint(changed) == {"socket_address": {"address": "127.0.0.1", "port_value": 7}}
    assert "transport_socket" not in changed
    assert "auto_config" not in json.dumps(changed)
    assert cluster(bootstrap, "anthropic") == cluster(before, "anthropic")


def test_upstreams_take_the_place_of_all_providers() -> None:
    """Each behind its own prefix, the root last, each with the name its provider goes by."""
    bootstrap = Bootstrap()
    bootstrap.use_upstreams([OPENAI, LOCAL], "/trusted.pem")
    named, root = routes(bootstrap)
    assert (named["match"], named["route"]["prefix_rewrite"]) == ({"prefix": "/vllm/"}, "/llm/")
    assert named["route"]["host_rewrite_literal"] == "10.0.0.5:8000"
    assert "typed_per_filter_config" not in named
    assert (root["match"], root["route"]["prefix_rewrite"]) == ({"prefix": "/"}, "/")
    assert root["route"]["host_rewrite_literal"] == "api.openai.com"
    assert '{"key": "x-llm-provider", "value": "openai"}' in json.dumps(root["typed_per_filter_config"])
    assert "/trusted.pem" in json.dumps(cluster(bootstrap, "upstream-root")["transport_socket"])
    assert "transport_socket" not in cluster(bootstrap, "upstream-vllm")
    names = [cluster["name"] for cluster in document(bootstrap)["static_resources"]["clusters"]]
    assert names == ["extproc", "upstream-root", "upstream-vllm"]


def test_an_authority_names_its_port_where_it_is_not_the_usual_one() -> None:
    """As the host header does."""
    usual = [Upstream("", "h", 443, True, "", None), Upstream("", "h", 80, False, "", None)]
    unusual = [Upstream("", "h", 80, True, "", None), Upstream("", "::1", 8000, False, "", None)]
    assert [upstream.authority for upstream in usual] == ["h", "h"]
    assert [upstream.authority for upstream in unusual] == ["h:80", "[::1]:8000"]


def test_a_rate_limit_service_is_asked_of_all_routes() -> None:
    """Behind ext_proc, whose metadata say what is charged; and where it listens, over HTTP/2."""
    bootstrap = Bootstrap()
    bootstrap.use_rate_limits(HostPort("127.0.0.1", 8), {"domain": "d"}, [{"apply_on_stream_done": True}])
    manager = document(bootstrap)["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]
    names = [each["name"] for each in manager["http_filters"]]
    assert names[names.index("envoy.filters.http.ext_proc") + 1] == RATE_LIMIT
    assert bootstrap.http_filter(RATE_LIMIT)["domain"] == "d"
    assert bootstrap.virtual_host["typed_per_filter_config"][RATE_LIMIT]["rate_limits"] == [
        {"apply_on_stream_done": True}
    ]
    service = cluster(bootstrap, RATE_LIMIT_CLUSTER)
    assert endpoint(service) == {"socket_address": {"address": "127.0.0.1", "port_value": 8}}
    assert "http2_protocol_options" in json.dumps(service)
    assert endpoint(cluster(bootstrap, "extproc")) == endpoint(cluster(Bootstrap(), "extproc"))
