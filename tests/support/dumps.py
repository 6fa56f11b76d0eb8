"""What Envoy's admin interface would say of a configuration, without an Envoy."""

from __future__ import annotations

from typing import Any

from extproc.config.settings import Settings
from extproc.demo.bootstrap import Bootstrap
from extproc.doctor.attached import Attached, find_attached
from extproc.doctor.envoy import Envoy, read_envoy
from extproc.doctor.findings import Finding
from extproc.doctor.sidecar import Expected, read_sidecar

_ADMIN = "type.googleapis.com/envoy.admin.v3."
EXT_PROC = "envoy.filters.http.ext_proc"
WHERE = f"listener gateway / filter {EXT_PROC}"


def dump_of(configured: Bootstrap) -> dict[str, Any]:
    """Return /config_dump of an Envoy that runs with a bootstrap."""
    resources = configured._document["static_resources"]
    listeners = [{"listener": each} for each in resources["listeners"]]
    clusters = [{"cluster": each} for each in resources["clusters"]]
    return {
        "configs": [
            {"@type": f"{_ADMIN}BootstrapConfigDump", "bootstrap": {}},
            {"@type": f"{_ADMIN}ClustersConfigDump", "static_clusters": clusters},
            {"@type": f"{_ADMIN}ListenersConfigDump", "static_listeners": listeners},
        ]
    }


def clusters_of(**hosts: list[dict[str, Any]]) -> dict[str, Any]:
    """Return /clusters with these hosts."""
    return {"cluster_statuses": [{"name": name, "host_statuses": each} for name, each in hosts.items()]}


def stats_of(values: dict[str, float]) -> dict[str, Any]:
    """Return /stats."""
    return {"stats": [{"name": name, "value": value} for name, value in values.items()] + [{"histograms": {}}]}


def view_of(
    configured: Bootstrap | None = None, *, stats: dict[str, float] | None = None, version: str = "1.40.0", **more: Any
) -> Envoy:
    """Return an Envoy with a bootstrap, envoy.yaml if none is given."""
    info = {"version": f"9e5580933739775e8bce696a57a2e1bc99368f23/{version}/Clean/RELEASE/BoringSSL"}
    return read_envoy(
        dump_of(configured or Bootstrap()), stats=stats_of(stats or {}), server_info=info, clusters=more.get("clusters")
    )


def expected_of(**settings: Any) -> Expected:
    """Return what a sidecar with these settings expects."""
    return read_sidecar({}, "", is_ready=True, settings=Settings.model_validate(settings)).expected


def attached_of(configured: Bootstrap | None = None, **settings: Any) -> list[Attached]:
    """Return where the sidecar is attached."""
    return find_attached(view_of(configured), expected_of(**settings))


def codes(findings: Any) -> list[str]:
    """Return the codes of findings."""
    found: list[Finding] = list(findings)
    assert all(each.meaning.endswith((".", "?")) or "there are" in each.meaning for each in found)
    assert all(each.mend and each.where for each in found)
    return [each.code for each in found]
