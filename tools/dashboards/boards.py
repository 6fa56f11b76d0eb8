"""The boards there are, and the files they stand in.

Owns: which rows a board has, in which order.
"""

from __future__ import annotations

from types import MappingProxyType

from tools.dashboards import (
    caches,
    cost,
    envoy,
    errors,
    exports,
    latency,
    limits,
    load,
    now,
    overview,
    tokens,
    trust,
)
from tools.dashboards.board import Board, traffic_variables

_TRAFFIC = Board(
    uid="ai-gateway",
    title="AI gateway",
    description="What LLM traffic through Envoy uses, costs and waits for, as ai-gateway-extproc meters it.",
    rows=(overview.ROW, tokens.ROW, cost.ROW, latency.ROW, errors.ROW, limits.ROW, caches.ROW, trust.ROW),
    variables=traffic_variables(),
)

_SIDECAR = Board(
    uid="ai-gateway-sidecar",
    title="AI gateway sidecar",
    description="How the sidecars fare that meter LLM traffic: ai-gateway-extproc beside Envoy.",
    rows=(now.ROW, load.ROW, envoy.ROW, exports.ROW),
)

BOARDS = MappingProxyType({"ai-gateway.json": _TRAFFIC, "ai-gateway-sidecar.json": _SIDECAR})
