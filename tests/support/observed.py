"""A gateway with all that can be observed switched on, traffic that gives every metric something to count, and boards.

What a board asks is text with variables; here they are replaced as Grafana replaces them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, Self

from support.engine import ENGINE_ENVIRON
from support.gateway import Gateway
from support.pages import free_port
from support.prometheus import Prometheus
from support.tls import ServerFiles
from support.waiting import wait_for

from extproc.config.address import HostPort
from extproc.demo.bootstrap import RATE_LIMIT_CLUSTER, Bootstrap
from extproc.demo.budget import parse_budgets
from extproc.demo.mock.server import MockProviders
from extproc.demo.process import claim_port
from extproc.demo.requests import demo_requests
from extproc.demo.stack import Ports, SidecarCommand

DASHBOARDS = Path(__file__).resolve().parents[2] / "k8s" / "components" / "grafana-dashboard"

# What Grafana puts in the place of its variables with all chosen, in a window that holds all of a test's traffic.
VARIABLES: Mapping[str, str] = MappingProxyType(
    {
        "cluster": ".*",
        "namespace": ".*",
        "job": "extproc",
        "llm": ".*",
        "model": ".*",
        "team_label": "team",
        "team": ".*",
        "__rate_interval": "1m",
        "__range": "1m",
    }
)

_VARIABLE = re.compile(r"\$\{(\w+)\}|\$([a-z_]\w*)")  # and not $1, which is PromQL's

_TLS_CONTEXT = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext"
_PATH = "/openai/v1/chat/completions"
_ASK = b'{"model": "gpt-4o", "messages": [{"role": "user", "content": "Hi"}]}'
_STREAMED = _ASK[:-1] + b', "stream": true}'
_UNREPORTED = _ASK[:-1] + b', "stream": true, "stream_options": {"include_usage": false}}'
# More than a board shows by themselves, all with a price, and one without.
_MODELS = ("gpt-4o", "gpt-4o-mini", "gpt-4.1", "gpt-4.1-mini", "gpt-4.1-nano", "gpt-5", "gpt-5-mini", "o1", "o3",
           "o3-mini", "o4-mini", "nobody-has-a-price-for-it")  # fmt: skip


def boards() -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the name of each file of a board, and what stands in it."""
    for path in sorted(DASHBOARDS.glob("*.json")):
        yield path.stem, json.loads(path.read_text())


def queries(board: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the title of a panel and what it asks, for each query of it."""
    for panel in board["panels"]:
        for target in panel.get("targets", ()):
            yield panel["title"], target["expr"]


def substituted(text: str, variables: Mapping[str, str] = VARIABLES) -> str:
    """Return a query as Prometheus gets it. A variable that there is not is a KeyError."""
    return _VARIABLE.sub(lambda match: variables[match[1] or match[2]], text)


class Observed:
    """A context: two workers with TLS, budgets, a usage log and telemetry with a team; a Prometheus scrapes them."""

    def __init__(self, folder: Path, providers: MockProviders) -> None:
        budgets = parse_budgets(["1000000/minute"], [], "x-tenant")
        assert budgets is not None
        service = claim_port(HostPort("127.0.0.1", 0), "")
        (folder / "settings.json").write_text(json.dumps(_settings(folder)))

        def configure(bootstrap: Bootstrap) -> None:
            bootstrap.ext_proc["forward_rules"]["allowed_headers"]["patterns"].append({"exact": "x-team"})
            bootstrap.use_rate_limits(service, budgets.to_filter(RATE_LIMIT_CLUSTER), budgets.to_rate_limits())
            tls = {"@type": _TLS_CONTEXT, "sni": "localhost"}
            socket = {"name": "envoy.transport_sockets.tls", "typed_config": tls}
            bootstrap._cluster("extproc")["transport_socket"] = socket

        sidecar = SidecarCommand(
            flags=("--config", str(folder / "settings.json")),
            environ={**budgets.to_environ(service), **ENGINE_ENVIRON},
            workers=2,
        )
        # A Prometheus waits five seconds before it scrapes anything: meanwhile the others start.
        metrics = claim_port(HostPort("127.0.0.1", 0), "")
        self._build_prometheus = partial(Prometheus, folder, str(metrics), interval="1s")
        ports = Ports(metrics=metrics.port)
        self.gateway = Gateway(providers.addresses, configure=configure, sidecar=sidecar, ports=ports)
        self._exit = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as undo:
            self.prometheus = undo.enter_context(self._build_prometheus())
            undo.enter_context(self.gateway)
            self._exit = undo.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._exit.close()

    def use(self) -> None:
        """Send one of each kind, with and without what providers and clients do wrong; wait until Prometheus knows."""
        exchanges = [(request.path, json.dumps(request.body).encode()) for request in demo_requests()]
        exchanges += [(_PATH, _ASK.replace(b"gpt-4o", model.encode())) for model in _MODELS]
        exchanges += [(_PATH, body) for body in (_STREAMED, _UNREPORTED, b"{}", _ASK[:-9])]
        expected = self._known() + len(exchanges)
        with ThreadPoolExecutor(8) as clients:
            list(clients.map(self._post, exchanges))
        wait_for(lambda: self._known() == expected)

    def _post(self, exchange: tuple[str, bytes]) -> None:
        headers = {"content-type": "application/json", "x-team": "blue", "x-tenant": "a"}
        with closing(self.gateway.connect()) as connection:
            connection.request("POST", *exchange, headers)
            connection.getresponse().read()

    def _known(self) -> float:
        return sum(self.prometheus.query("sum(ai_requests_total)").values())


def _settings(folder: Path) -> dict[str, Any]:
    collector = {"name": "collector", "host": "127.0.0.1", "port": free_port()}  # where nobody listens
    return {
        "telemetry": {
            "custom_labels": [{"name": "team", "header": "x-team"}],
            "exporters": {"otlp": [collector]},
        },
        "usage_log": str(folder / "usage.jsonl"),
        "max_memory_bytes": 1024**3,
        "listen_tls": ServerFiles(folder / "tls").setting,
        "slow_message_seconds": 0.001,  # which the first messages take
    }
