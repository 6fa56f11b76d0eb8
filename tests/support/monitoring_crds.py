"""What the published schemas of the Prometheus operator's objects allow, as far as we use them; as support.crds does.

Read from github.com/prometheus-operator/prometheus-operator: pkg/apis/monitoring/v1, podmonitor_types.go,
servicemonitor_types.go, prometheusrule_types.go and types.go, at pkg/apis/monitoring v0.95.1
"""

from __future__ import annotations

from support.crds import FLAG, NAME, TEXT, TEXTS, Schema, items, one_of, record

# Prometheus' own, not Go's: units from the largest to the smallest, each once.
_DURATION: Schema = {
    "type": "string",
    "pattern": r"^(0|(([0-9]+)y)?(([0-9]+)w)?(([0-9]+)d)?(([0-9]+)h)?(([0-9]+)m)?(([0-9]+)s)?(([0-9]+)ms)?)$",
    "minLength": 1,
}
_EXPRESSION = record("key", "operator", key=TEXT, operator=one_of("In", "NotIn", "Exists", "DoesNotExist"),
                     values=items(TEXT))  # fmt: skip
_SELECTOR = record(matchLabels=TEXTS, matchExpressions=items(_EXPRESSION))
_RELABELING = record(
    sourceLabels=items(TEXT),
    separator={"type": "string"},
    targetLabel=TEXT,
    regex={"type": "string"},
    replacement={"type": "string"},
    action={"type": "string", "pattern": "^(?i:replace|keep|drop|hashmod|labelmap|labeldrop|labelkeep)$"},
)
_ENDPOINT = {
    "port": TEXT,
    "path": TEXT,
    "scheme": one_of("http", "https", "HTTP", "HTTPS"),
    "interval": _DURATION,
    "scrapeTimeout": _DURATION,
    "honorLabels": FLAG,
    "relabelings": items(_RELABELING),
    "metricRelabelings": items(_RELABELING),
}
_MONITOR = {
    "selector": _SELECTOR,
    "jobLabel": TEXT,
    "podTargetLabels": items(TEXT),
    "namespaceSelector": record(any=FLAG, matchNames=items(NAME)),
}
_RULE: Schema = record(
    "expr",
    record=TEXT,
    alert=TEXT,
    expr={"type": ["string", "integer"]},
    **{"for": _DURATION},
    keep_firing_for=_DURATION,
    labels=TEXTS,
    annotations=TEXTS,
) | {"oneOf": [{"required": ["alert"]}, {"required": ["record"]}]}
_GROUP = record(
    "name", name=TEXT, interval=_DURATION, query_offset=_DURATION, labels=TEXTS, limit={"type": "integer"},
    rules=items(_RULE),
)  # fmt: skip

_API = "monitoring.coreos.com/v1"

SPECS: dict[tuple[str, str], Schema] = {
    (_API, "PodMonitor"): record("selector", podMetricsEndpoints=items(record(**_ENDPOINT), minItems=1), **_MONITOR),
    (_API, "ServiceMonitor"): record(
        "selector", "endpoints", endpoints=items(record(**_ENDPOINT), minItems=1), targetLabels=items(TEXT), **_MONITOR
    ),
    (_API, "PrometheusRule"): record(groups=items(_GROUP)),
}
