"""The rules of k8s/alerts.yaml as the object that Prometheus's operator takes; part of `make docs`.

Owns: the object around them. What the rules are stands in k8s/alerts.yaml alone, which a Prometheus reads as it is.
"""

from __future__ import annotations

from pathlib import Path

import yaml

_K8S = Path(__file__).resolve().parents[1] / "k8s"
RULES = _K8S / "alerts.yaml"
OBJECT = _K8S / "components" / "prometheus-rule" / "prometheus-rule.yaml"

_COMMENT = "# Written by `make docs` from k8s/alerts.yaml. Change the rules there.\n"


class _Dumper(yaml.SafeDumper):
    """Writes texts of several lines as such."""


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)


_Dumper.add_representer(str, _text)


def render_object() -> str:
    """Return the file."""
    metadata = {"name": "ai-gateway", "labels": {"app.kubernetes.io/name": "ai-gateway"}}
    rules = yaml.safe_load(RULES.read_text(encoding="utf-8"))
    document = {"apiVersion": "monitoring.coreos.com/v1", "kind": "PrometheusRule", "metadata": metadata, "spec": rules}
    return _COMMENT + yaml.dump(document, Dumper=_Dumper, sort_keys=False, width=120, allow_unicode=True)
