"""Which exchanges' metrics go to which exporters, where an override says that only some are to have them.

Owns: the hidden label that keeps them apart in the families of this package, and what an exporter sees of it. Families
have it only where some override sets `metric_exporters`; no exporter is ever shown it. Must not know the families.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from extproc.config.telemetry import Telemetry

GROUP_LABEL = "extproc_group"

# The group of what goes everywhere.
EVERYWHERE = ""


def groups_of_rules(telemetry: Telemetry) -> Mapping[int | None, str]:
    """Return the group of each override that sets `metric_exporters`, by its index; empty where none does.

    A group goes by its exporters: other settings may have other overrides, and it means the same there.
    """
    return {
        index: _group_of(override.exporters_override.metric_exporters)
        for index, override in enumerate(telemetry.overrides)
        if override.exporters_override.metric_exporters is not None
    }


def groups_of_exporter(telemetry: Telemetry, exporter: str | None) -> frozenset[str] | None:
    """Return the groups that an exporter sees; None: all of them, as the admin port does, which has no name."""
    if exporter is None:
        return None
    wanted = [override.exporters_override.metric_exporters for override in telemetry.overrides]
    return frozenset({EVERYWHERE, *(_group_of(names) for names in wanted if names is not None and exporter in names)})


def _group_of(exporters: Iterable[str]) -> str:
    return f"={','.join(sorted(exporters))}"
