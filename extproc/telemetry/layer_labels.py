"""The labels of a layer: what differs by exchange, what a rule says once for all, and where it is to be seen.

Owns: in which order they stand, and that each family has the labels of all rules. Must not know what is counted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from extproc.config.telemetry import StaticAttribute
from extproc.telemetry.groups import GROUP_LABEL
from extproc.telemetry.instruments import label_of
from extproc.telemetry.series import LabelValues


@dataclass(frozen=True, slots=True)
class Facts:
    """What labels say of an exchange, by attribute; one that is not known is empty."""

    values: Mapping[str, str]

    def labels(self, attributes: Iterable[str]) -> LabelValues:
        """Return the values of these attributes."""
        return tuple(self.values.get(attribute, "") for attribute in attributes)


class LayerLabels:
    """The labels of a layer's families: what differs by exchange, what a rule says once for all, and its group."""

    def __init__(
        self, attributes: Sequence[str], static: Iterable[Iterable[StaticAttribute]], *, grouped: bool
    ) -> None:
        self._attributes = tuple(attributes)
        own = {label_of(attribute) for attribute in attributes}
        keys = dict.fromkeys(label_of(each.key) for attributes_ in static for each in attributes_)
        self._static = tuple(key for key in keys if key not in own)
        self._grouped = grouped
        self.names = (*map(label_of, attributes), *self._static, *([GROUP_LABEL] if grouped else []))

    def values(self, static: Iterable[StaticAttribute], group: str) -> Callable[[Facts], LabelValues]:
        """Return what gives the label values of an exchange under a rule with these attributes."""
        said = {label_of(each.key): each.value for each in static}
        fixed = tuple(said.get(key, "") for key in self._static) + ((group,) if self._grouped else ())
        return lambda facts: facts.labels(self._attributes) + fixed
