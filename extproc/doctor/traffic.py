"""How have exchanges fared so far, by Envoy's own counters?

Owns: what is found in the statistics of the ext_proc filter. They count since Envoy started. Must not know
configuration.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from extproc.doctor.attached import Attached
from extproc.doctor.documents import text
from extproc.doctor.envoy import Envoy
from extproc.doctor.findings import Finding, error, warning
from extproc.doctor.forwarding import mutation_mend

# Below this share failures are those of a restart.
_GRAVE_SHARE = 0.01


def check_streams(envoy: Envoy, attached: Sequence[Attached]) -> Iterator[Finding]:
    """Find exchanges that were not metered."""
    for each in attached:
        prefix = f"http.{each.chain.stat_prefix}.ext_proc."
        own = text(each.filter.config, "stat_prefix")
        prefix += f"{own}." if own else ""

        def stat(name: str, prefix: str = prefix) -> float:
            return envoy.stats.get(prefix + name, 0.0)

        started = stat("streams_started")
        passed = f", of which {stat('failure_mode_allowed'):.0f} were let pass" if stat("failure_mode_allowed") else ""
        if failed := stat("streams_failed"):
            some = error if failed >= started * _GRAVE_SHARE else warning
            yield some(
                "streams-failing",
                each.where,
                f"{failed:.0f} of {started:.0f} streams to the sidecar have failed "
                f"since Envoy started{passed}: their exchanges are not metered.",
                "# is it running, and do cluster and TLS fit?\ncurl SIDECAR/readyz; curl ENVOY_ADMIN/clusters",
            )
        if late := stat("message_timeouts"):
            some = error if late >= started * _GRAVE_SHARE else warning
            yield some(
                "messages-timing-out",
                each.where,
                f"{late:.0f} messages had no reply in time, of {started:.0f} "
                f"streams{passed}: these exchanges are not metered.",
                "message_timeout: 5s      # and more CPU, or more workers, for the sidecar",
            )
        if spurious := stat("spurious_msgs_received"):
            yield warning(
                "spurious-messages",
                each.where,
                f"Envoy got {spurious:.0f} replies that it did not expect, and gave up these streams.",
                "# report it, with `extproc doctor --json`",
            )
        if rejected := stat("rejected_header_mutations"):
            yield warning(
                "mutations-rejected",
                each.where,
                f"Envoy has refused {rejected:.0f} header mutations: its mutation_rules do not allow them.",
                mutation_mend(["traceparent", "b3"]) + "\n# or inject_context: false in the sidecar",
            )
        requests = envoy.stats.get(f"http.{each.chain.stat_prefix}.downstream_rq_total", 0.0)
        if requests and not started and each.effective:
            yield warning(
                "no-streams",
                each.where,
                f"{requests:.0f} requests have come, and none to the sidecar.",
                "# are their routes among those the filter is on for?\ncurl ENVOY_ADMIN/config_dump",
            )
