#!/usr/bin/env python3
"""Write the configurations of Envoy under k8s/, from envoy/ and from `extproc envoy-config`; part of `make docs`.

Owns: what in a pod is different from Envoy and the sidecar on one machine. kustomize reads no file outside its folder,
so what is in envoy/ has to be written there again. A test fails where a file is not what this writes.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from extproc.config.loading import load_settings
from extproc.envoyconfig.choices import Part, Target, Wish
from extproc.envoyconfig.printing import print_configuration

ROOT = Path(__file__).resolve().parents[1]
ENVOY = ROOT / "envoy"
K8S = ROOT / "k8s"

# Where the overlays for gateways are.
NAMESPACE = "ai-gateway"

# Where extproc.yaml has it.
SOCKET = "/run/extproc/extproc.sock"

HEADER = """\
# {title}
#
# Written by `make docs` from envoy/{source}: change that, or tools/generate_manifests.py. What is
# different here: the sidecar is reached on the socket that both containers mount, and kubelet and Prometheus reach a
# few lines of the admin interface on a port of their own.{more}

"""

# The gateway is what is drained; the port of probes and metrics answers until the end.
LISTENER = """\
    - name: gateway
      address:
        socket_address: {address: 0.0.0.0, port_value: 8080}
"""
LISTENER_IN_A_POD = """\
    - name: gateway
      # For `drain_listeners?inboundonly` in drain.sh: this port is drained, and that of probes and metrics is not.
      traffic_direction: INBOUND
      address:
        socket_address: {address: 0.0.0.0, port_value: 8080}
"""

OVERLOAD = """\
overload_manager:
  resource_monitors:
"""
OVERLOAD_IN_A_POD = """\
overload_manager:
  # Above nine tenths of 900 MiB new requests are answered with 503: below the container's limit of 1 GiB, at which
  # Envoy would be killed with all that is under way. What is under way may still grow.
  refresh_interval: 0.1s
  actions:
    - name: envoy.overload_actions.shrink_heap
      triggers: &nearly_full
        - {name: envoy.resource_monitors.fixed_heap, threshold: {value: 0.9}}
    - name: envoy.overload_actions.stop_accepting_requests
      triggers: *nearly_full
  resource_monitors:
    - name: envoy.resource_monitors.fixed_heap
      typed_config:
        "@type": type.googleapis.com/envoy.extensions.resource_monitors.fixed_heap.v3.FixedHeapConfig
        max_heap_size_bytes: 943718400
"""

PROBES = """\
    # What kubelet and Prometheus may see of the admin interface, which itself stays on 127.0.0.1: there one can also
    # change levels of logs, look at the configuration, and end Envoy.
    - name: probes
      address:
        socket_address: {address: 0.0.0.0, port_value: 9902}
      # Envoy that has as many clients or as much in memory as it may have is alive.
      bypass_overload_manager: true
      ignore_global_conn_limit: true
      filter_chains:
        - filters:
            - name: envoy.filters.network.http_connection_manager
              typed_config:
                "@type": type.googleapis.com/envoy.extensions.filters.network.\
http_connection_manager.v3.HttpConnectionManager
                stat_prefix: probes
                request_headers_timeout: 10s
                http_filters:
                  - name: envoy.filters.http.router
                    typed_config:
                      "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router
                route_config:
                  name: probes
                  virtual_hosts:
                    - name: probes
                      domains: ["*"]
                      routes:
                        # That Envoy is alive: it answers. /ready says no while it drains.
                        - match: {path: /live}
                          direct_response: {status: 200}
                        - match: {path: /ready, headers: &get [{name: ":method", string_match: {exact: GET}}]}
                          route: {cluster: admin}
                        - match: {path: /stats/prometheus, headers: *get}
                          route: {cluster: admin}

"""
CLUSTERS = "  clusters:\n"

ADMIN_CLUSTER = """\

    - name: admin
      type: STATIC
      connect_timeout: 1s
      load_assignment:
        cluster_name: admin
        endpoints:
          - lb_endpoints:
              - endpoint:
                  address:
                    socket_address: {address: 127.0.0.1, port_value: 9901}
"""

SIDECAR_ADDRESS = "                    socket_address: {address: 127.0.0.1, port_value: 18080}\n"
SIDECAR_SOCKET = f"                    pipe: {{path: {SOCKET}}}\n"
SIDECAR_COMMENT = """\
    # The sidecar. In one pod or on one host a Unix socket saves a little: \
`extproc serve --listen unix:/run/extproc.sock`
    # and `pipe: {path: /run/extproc.sock}` in the place of socket_address. With `--workers 2` there are two endpoints,
    # /run/extproc-0.sock and /run/extproc-1.sock.
"""
SIDECAR_COMMENT_IN_A_POD = """\
    # The sidecar. With `workers: 2` there are two endpoints, /run/extproc/extproc-0.sock and extproc-1.sock.
"""

LIMITER_COMMENT = "    # A rate limit service: `extproc serve` with `budgets`, or the reference service with Redis.\n"
LIMITER_COMMENT_IN_A_POD = (
    "    # The reference service. Its Service has no address of its own: each pod of it is an endpoint.\n"
)
LIMITER = "    - name: ratelimit\n      type: STATIC\n"
LIMITER_IN_A_POD = "    - name: ratelimit\n      type: STRICT_DNS\n"
LIMITER_ADDRESS = "                    socket_address: {address: 127.0.0.1, port_value: 8081}\n"
LIMITER_SERVICE = "                    socket_address: {address: ratelimit, port_value: 8081}\n"


def replace_once(text: str, old: str, new: str) -> str:
    """Return the text with one part replaced; fail where it is not there exactly once."""
    if text.count(old) != 1:
        raise ValueError(f"it is there {text.count(old)} times, not once:\n{old}")
    return text.replace(old, new)


def put_into_a_pod(text: str) -> str:
    """Return a bootstrap of envoy/ as a pod needs it, without what stands above it."""
    text = text[text.index("\nadmin:\n") + 1 :]
    text = replace_once(text, LISTENER, LISTENER_IN_A_POD)
    text = replace_once(text, OVERLOAD, OVERLOAD_IN_A_POD)
    text = replace_once(text, CLUSTERS, PROBES + CLUSTERS)
    return replace_once(text, SIDECAR_ADDRESS, SIDECAR_SOCKET).rstrip() + "\n" + ADMIN_CLUSTER


def render_base() -> str:
    """Return k8s/base/envoy.yaml."""
    text = put_into_a_pod((ENVOY / "envoy.yaml").read_text(encoding="utf-8"))
    title = "Envoy as an AI gateway, in one pod with the sidecar."
    return HEADER.format(title=title, source="envoy.yaml", more="") + replace_once(
        text, SIDECAR_COMMENT, SIDECAR_COMMENT_IN_A_POD
    )


def render_rate_limited() -> str:
    """Return k8s/components/rate-limit/envoy.yaml."""
    text = put_into_a_pod((ENVOY / "envoy-ratelimit.yaml").read_text(encoding="utf-8"))
    text = replace_once(text, LIMITER_COMMENT, LIMITER_COMMENT_IN_A_POD)
    text = replace_once(text, LIMITER, LIMITER_IN_A_POD)
    text = replace_once(text, LIMITER_ADDRESS, LIMITER_SERVICE)
    title = "Envoy as in ../../base, with limits by tokens and by money for each tenant."
    more = " The rate limit service is the one of this folder."
    return HEADER.format(title=title, source="envoy-ratelimit.yaml", more=more) + text


def render_gateway(target: Target) -> str:
    """Return what points a gateway to the sidecar in k8s/standalone."""
    settings = load_settings({}, {}, [K8S / "standalone" / "extproc.yaml"], None).settings
    printed = print_configuration(settings, Wish(target=target, namespace=NAMESPACE))
    command = f"extproc envoy-config --target {target} --namespace {NAMESPACE} --config k8s/standalone/extproc.yaml"
    return f"# Written by `make docs` with\n#   {command}\n#\n{printed}"


def render_parts() -> str:
    """Return what an Envoy needs that has been there before."""
    folder = "k8s/overlays/existing-deployment"
    settings = load_settings({}, {}, [ROOT / folder / "extproc.yaml"], None).settings
    parts = frozenset({Part.FILTER, Part.CLUSTER, Part.ACCESS_LOG})
    flags = " ".join(f"--part {part}" for part in Part if part in parts)
    printed = print_configuration(settings, Wish(parts=parts))
    command = f"extproc envoy-config --config {folder}/extproc.yaml"
    return f"# Written by `make docs` with\n#   {command} \\\n#     {flags}\n#\n{printed}"


def render_all() -> Iterator[tuple[Path, str]]:
    """Yield each file, and what it has to be."""
    yield K8S / "base" / "envoy.yaml", render_base()
    yield K8S / "components" / "rate-limit" / "envoy.yaml", render_rate_limited()
    for target in (Target.ENVOY_GATEWAY, Target.ISTIO, Target.KGATEWAY):
        yield K8S / "overlays" / target / "configuration.yaml", render_gateway(target)
    yield K8S / "overlays" / "existing-deployment" / "envoy-parts.yaml", render_parts()


if __name__ == "__main__":
    for file, content in render_all():
        file.write_text(content, encoding="utf-8")
        print(f"wrote {file.relative_to(ROOT)}")
