"""Which exchanges' metrics go to which exporters, where an override says that only some are to have them.

Owns: the hidden label that keeps them apart in the families of this package, and what an exporter sees of it. Families
have it only where some override sets `metric_exporters`; no exporter is ever shown it. Must not know the families.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from functools import lru_cache

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


@lru_cache
def is_seen_by(group: str, exporter: str | None) -> bool:
    """Say whether an exporter sees a group; None stands for the admin port, which sees all and has no name.

    What was counted for it stays so: overrides may change, and what an exporter has been told must not go back.
    """
    return exporter is None or group == EVERYWHERE or exporter in json.loads(group)


def _group_of(exporters: Iterable[str]) -> str:
    return json.dumps(sorted(exporters))
