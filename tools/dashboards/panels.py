"""The kinds of panels that the boards are made of, in the types of Grafana's SDK.

Owns: what every panel of a kind has in common: its data source, its looks, what a legend tells. Must not know what is
shown in them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from grafana_foundation_sdk.builders import common, dashboard, heatmap, prometheus, stat, table, timeseries
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models import common as looks
from grafana_foundation_sdk.models import dashboard as models
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

SOURCE = models.DataSourceRef(type_val="prometheus", uid="${datasource}")

_GREEN, _YELLOW, _RED = "green", "yellow", "red"

Kind: TypeAlias = Literal["lines", "stack", "stat", "heat", "table"]


@dataclass(frozen=True)
class Query:
    """What is asked, and what its series are called. In a table `legend` is the heading of the column of its values."""

    expr: str
    legend: str = ""


@dataclass(frozen=True)
class Panel:
    """A panel before it has a place. `warns_at` and `alarms_at` are where values are yellow and red."""

    title: str
    description: str
    unit: str
    queries: Sequence[Query]
    kind: Kind = "lines"
    width: int = 8
    height: int = 8
    warns_at: float | None = None
    alarms_at: float | None = None
    is_bad_below: bool = False
    decimals: int | None = None
    max_value: float | None = None
    time_from: str | None = None
    no_value: str = "no data"
    units: Mapping[str, str] = field(default_factory=dict)  # of columns, by their headings
    links: Mapping[str, tuple[str, str]] = field(default_factory=dict)  # of columns: title and address
    hidden: Sequence[str] = ()  # columns
    sort_by: str = ""

    def build(self, number: int, x: int, y: int) -> models.Panel:
        """Return it as a panel with an id, at its place."""
        panel = _BUILDERS[self.kind](self)
        panel.id(number).title(self.title).description(self.description).datasource(SOURCE)
        panel.grid_pos(models.GridPos(h=self.height, w=self.width, x=x, y=y))
        for index, query in enumerate(self.queries):
            panel.with_target(_target(self.kind, query, chr(ord("A") + index)))
        panel.unit(self.unit).no_value(self.no_value).thresholds(_thresholds(self))
        if self.decimals is not None:
            panel.decimals(self.decimals)
        if self.time_from is not None:
            panel.time_from(self.time_from)
        built: models.Panel = panel.build()
        return built


def _target(kind: Kind, query: Query, ref_id: str) -> Builder[Any]:
    target = prometheus.Dataquery().expr(query.expr).ref_id(ref_id).datasource(SOURCE)
    if kind == "table":
        return target.instant().format(PromQueryFormat.TABLE)
    target.legend_format(query.legend or "__auto")
    if kind == "stat" and "$__range]" in query.expr:  # a sum over all that is shown is one number, and no line
        return target.instant()
    target.range()
    if kind == "heat":
        target.format(PromQueryFormat.HEATMAP)
    elif kind != "stat":
        target.exemplar("_bucket{" in query.expr)
    return target


def _thresholds(panel: Panel) -> dashboard.ThresholdsConfig:
    """Return where colours change. Grafana's first step has no value: it is what is below all others."""
    first = (
        (_RED if panel.is_bad_below else _GREEN)
        if panel.alarms_at is not None or panel.warns_at is not None
        else _GREEN
    )
    steps = [models.Threshold(value=None, color=first)]
    if panel.is_bad_below:
        steps += [models.Threshold(value=panel.alarms_at, color=_YELLOW)] if panel.alarms_at is not None else []
        steps += [models.Threshold(value=panel.warns_at, color=_GREEN)] if panel.warns_at is not None else []
    else:
        steps += [models.Threshold(value=panel.warns_at, color=_YELLOW)] if panel.warns_at is not None else []
        steps += [models.Threshold(value=panel.alarms_at, color=_RED)] if panel.alarms_at is not None else []
    return dashboard.ThresholdsConfig().mode(models.ThresholdsMode.ABSOLUTE).steps(steps)


def _lines(panel: Panel) -> timeseries.Panel:
    legend = common.VizLegendOptions().display_mode(looks.LegendDisplayMode.TABLE)
    legend.placement(looks.LegendPlacement.BOTTOM).show_legend(True).calcs(["mean", "max", "lastNotNull"])
    legend.sort_by("Mean").sort_desc(True)
    tooltip = common.VizTooltipOptions().mode(looks.TooltipDisplayMode.MULTI).sort(looks.SortOrder.DESCENDING)
    built = timeseries.Panel().legend(legend).tooltip(tooltip).min(0).line_width(1).fill_opacity(8)
    built.show_points(looks.VisibilityMode.NEVER).line_interpolation(looks.LineInterpolation.LINEAR)
    if panel.max_value is not None:
        built.max(panel.max_value)
    if panel.warns_at is not None or panel.alarms_at is not None:
        style = common.GraphThresholdsStyleConfig().mode(looks.GraphTresholdsStyleMode.DASHED)
        built.thresholds_style(style)
    return built


def _stack(panel: Panel) -> timeseries.Panel:
    built = _lines(panel).fill_opacity(40).line_width(0)
    return built.stacking(common.StackingConfig().mode(looks.StackingMode.NORMAL))


def _stat(_: Panel) -> stat.Panel:
    built = stat.Panel().graph_mode(looks.BigValueGraphMode.AREA).color_mode(looks.BigValueColorMode.VALUE)
    return built.reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]).values(False))


def _heat(panel: Panel) -> heatmap.Panel:
    colours = heatmap.HeatmapColorOptions().mode("scheme").scheme("Turbo").steps(64)  # type: ignore[arg-type]
    axis = heatmap.YAxisConfig().unit(panel.unit).axis_placement(looks.AxisPlacement.LEFT)
    linear = common.ScaleDistributionConfig().type(looks.ScaleDistribution.LINEAR)
    built = heatmap.Panel().color(colours).scale_distribution(linear)
    return built.y_axis(axis).show_legend().show_tooltip().cell_gap(1)


def _table(panel: Panel) -> table.Panel:
    """One row for each set of labels, and a column for each query."""
    headings = {f"Value #{chr(ord('A') + index)}": query.legend for index, query in enumerate(panel.queries)}
    columns = {"excludeByName": dict.fromkeys(("Time", *panel.hidden), True), "renameByName": headings}
    built = table.Panel().show_header(True).cell_height(looks.TableCellHeight.SM)
    built.with_transformation(models.DataTransformerConfig(id_val="merge", options={}))
    built.with_transformation(models.DataTransformerConfig(id_val="organize", options=columns))
    for heading, unit in panel.units.items():
        built.override_by_name(heading, [models.DynamicConfigValue(id_val="unit", value=unit)])
    for column, (title, url) in panel.links.items():
        link = [{"title": title, "url": url, "targetBlank": True}]
        built.override_by_name(column, [models.DynamicConfigValue(id_val="links", value=link)])
    if panel.sort_by:
        built.sort_by([common.TableSortByFieldState().display_name(panel.sort_by).desc(True)])
    return built


_BUILDERS: Mapping[Kind, Any] = {"lines": _lines, "stack": _stack, "stat": _stat, "heat": _heat, "table": _table}
