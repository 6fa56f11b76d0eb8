"""The parts that queries of the boards share: selectors, sums, shares, and what is left of the ten largest.

Owns: which labels series are chosen by. A label that a Prometheus does not add (cluster, namespace) and one that there
is not (a team) have the empty value, so that queries hold with and without them.
"""

from __future__ import annotations

# What tells one process, and one deployment, from another. A missing label groups as an empty one.
DEPLOYMENT = "cluster, namespace, job"
PROCESS = f"{DEPLOYMENT}, instance"
# The same, as short as a legend can have it: addresses of pods are used again in other clusters.
SIDECAR = "cluster, instance"

SIDECARS = 'cluster=~"$cluster",namespace=~"$namespace",job=~"$job"'
_TEAMS = '${team_label}=~"$team"'
TRAFFIC = f'{SIDECARS},llm=~"$llm",model=~"$model",{_TEAMS}'
# The same in OpenTelemetry's words; these series are there with `telemetry`.
GEN_AI = f'{SIDECARS},gen_ai_provider_name=~"$llm",gen_ai_request_model=~"$model",{_TEAMS}'

LARGEST = 10

MINUTE, HOUR, DAY = 60, 3600, 86400


def rate(metric: str, by: str = "", where: str = TRAFFIC, per_seconds: int = 1) -> str:
    """Return the sum of a counter's rates, by these labels, for so many seconds."""
    factor = "" if per_seconds == 1 else f" * {per_seconds}"
    return f"{_sum(by)}(rate({metric}{{{where}}}[$__rate_interval])){factor}"


def increase(metric: str, by: str = "", where: str = TRAFFIC) -> str:
    """Return what a counter has grown by in the time that the board shows."""
    return f"{_sum(by)}(increase({metric}{{{where}}}[$__range]))"


def share(part: str, whole: str) -> str:
    """Return a part of a whole; nothing where there is no whole, and 0 where there is no part."""
    return f"(({part}) or 0 * ({whole})) / (({whole}) > 0)"


def quantile(which: float, metric: str, by: str = "", where: str = TRAFFIC) -> str:
    """Return a quantile of a histogram, by these labels; nothing, and no NaN, where nothing was counted."""
    labels = f"{by}, le" if by else "le"
    return f"histogram_quantile({which}, sum by ({labels}) (rate({metric}_bucket{{{where}}}[$__rate_interval]))) >= 0"


def largest(expression: str, metric: str, by: str) -> str:
    """Keep the series of those that were the ten largest over all of the time that the board shows."""
    return f"{expression} and on ({by}) {_top(metric, by)}"


def others(expression: str, metric: str, by: str) -> str:
    """Return the sum of all that `largest` leaves out."""
    return f"sum({expression} unless on ({by}) {_top(metric, by)})"


def _top(metric: str, by: str) -> str:
    return f"topk({LARGEST}, sum by ({by}) (increase({metric}{{{TRAFFIC}}}[$__range] @ end())))"


def by_team(expression: str) -> str:
    """Name what a series of a team is shown as: the value of the label, or that there is no such label."""
    named = f'label_replace({expression}, "shown", "no label ${{team_label}}", "", "")'
    return f'label_replace({named}, "shown", "$1", "${{team_label}}", "(.+)")'


def of_sidecars(expression: str) -> str:
    """Keep the series of processes that are sidecars: jobs of others have metrics of processes as well."""
    return f"{expression} and on ({PROCESS}) extproc_build_info{{{SIDECARS}}}"


def _sum(by: str) -> str:
    return f"sum by ({by}) " if by else "sum"
