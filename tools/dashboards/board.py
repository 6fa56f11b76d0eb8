"""A board: its rows of panels in their places, its variables and links, as the JSON that Grafana imports.

Owns: the grid, the variables that all boards have, the form of the file. Must not know what panels show.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from grafana_foundation_sdk.builders import dashboard
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import dashboard as models

from tools.dashboards.panels import SOURCE, Panel
from tools.dashboards.promql import SIDECARS

COLUMNS = 24
TAG = "ai-gateway"


@dataclass(frozen=True)
class Row:
    """Panels under a heading."""

    title: str
    panels: Sequence[Panel]


@dataclass(frozen=True)
class Board:
    """All that is shown on one page. `variables` come behind those that every board has."""

    uid: str
    title: str
    description: str
    rows: Sequence[Row]
    variables: Sequence[Builder[Any]] = field(default_factory=tuple)

    def render(self) -> str:
        """Return the file."""
        built = dashboard.Dashboard(self.title).uid(self.uid).description(self.description).tags([TAG]).editable()
        built.time("now-6h", "now").refresh("30s").timezone("browser").tooltip(models.DashboardCursorSync.CROSSHAIR)
        built.variables([*_common_variables(), *self.variables, _place_of_documents()])
        built.links([_to_runbooks(), _to_boards()]).annotation(_firing())
        model = built.build()
        model.panels = list(_place(self.rows))
        return json.dumps(json.loads(JSONEncoder().encode(model)), indent=1, sort_keys=True) + "\n"


def _place(rows: Iterable[Row]) -> Iterator[models.Panel | models.RowPanel]:
    """Yield rows and panels, each with an id, from left to right and from top to bottom."""
    number, y = 1, 0
    for row in rows:
        yield models.RowPanel(id_val=number, title=row.title, grid_pos=models.GridPos(h=1, w=COLUMNS, x=0, y=y))
        number, y, x, height = number + 1, y + 1, 0, 0
        for panel in row.panels:
            if x + panel.width > COLUMNS:
                x, y, height = 0, y + height, 0
            yield panel.build(number, x, y)
            number, x, height = number + 1, x + panel.width, max(height, panel.height)
        y += height


def _common_variables() -> Iterator[Builder[Any]]:
    yield dashboard.DatasourceVariable("datasource").label("Data source").type("prometheus")
    yield choice("cluster", "Cluster", "label_values(extproc_build_info, cluster)", all_value=".*")
    inner = 'cluster=~"$cluster"'
    yield choice("namespace", "Namespace", f"label_values(extproc_build_info{{{inner}}}, namespace)", all_value=".*")
    inner += ',namespace=~"$namespace"'
    yield choice("job", "Job", f"label_values(extproc_build_info{{{inner}}}, job)", all_value=None)


def choice(name: str, label: str, query: str, *, all_value: str | None) -> dashboard.QueryVariable:
    """Return a variable whose values come from Prometheus, any number of which can be chosen.

    With `all_value` all means: also series that have no such label.
    """
    everything = models.VariableOption(text="All", value="$__all", selected=True)
    built = dashboard.QueryVariable(name).label(label).query(query).datasource(SOURCE).current(everything)
    built.multi(True).include_all(True).refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED)
    built.sort(models.VariableSort.ALPHABETICAL_ASC)
    return built if all_value is None else built.all_value(all_value)


def text(name: str, label: str, default: str, description: str) -> dashboard.TextBoxVariable:
    """Return a variable that people type."""
    option = models.VariableOption(text=default, value=default, selected=True)
    built = dashboard.TextBoxVariable(name).label(label).description(description).default_value(default)
    return built.current(option).options([option])


def _place_of_documents() -> Builder[Any]:
    return text(
        "docs", "Docs at", "docs", "Where docs/ of this project can be read: the link to the runbooks begins so."
    )


def _firing() -> Builder[Any]:
    """Mark on all graphs when an alert of k8s/alerts.yaml began to fire, where Prometheus has them."""
    built = dashboard.AnnotationQuery().name("Alerts").datasource(SOURCE).enable(True).icon_color("red")
    return built.expr('ALERTS{alertname=~"(Extproc|Llm).+",alertstate="firing"}')


def _to_runbooks() -> Builder[Any]:
    built = dashboard.DashboardLink("Runbooks").type(models.DashboardLinkType.LINK).url("${docs}/runbooks.md")
    return built.tooltip("What to do about each alert").icon("doc").target_blank(True)


def _to_boards() -> Builder[Any]:
    built = dashboard.DashboardLink("AI gateway boards").type(models.DashboardLinkType.DASHBOARDS).tags([TAG])
    return built.as_dropdown(True).include_vars(True).keep_time(True)


def traffic_variables() -> tuple[Builder[Any], ...]:
    """Return what exchanges are chosen by, beside where they passed."""
    of_team = f"label_values(ai_requests_total{{{SIDECARS}}}, ${{team_label}})"
    return (
        choice("llm", "Provider", f"label_values(ai_requests_total{{{SIDECARS}}}, llm)", all_value=".*"),
        choice("model", "Model", f'label_values(ai_requests_total{{{SIDECARS},llm=~"$llm"}}, model)', all_value=".*"),
        text("team_label", "Team label", "team", "The custom label (telemetry.custom_labels) that tells teams apart."),
        choice("team", "Team", of_team, all_value=".*"),
    )
