"""What the parts of telemetry's schema are made of: their base, and the kinds of values that several of them have.

Owns: that unknown keys are refused, and how a switch and a list of attributes are written. Must not know which parts
there are.
"""

from __future__ import annotations

from typing import Annotated, TypeAlias

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from extproc.config.forms import checked_host, checked_metric_key, checked_number

Port: TypeAlias = Annotated[int, Field(ge=1, le=65535), BeforeValidator(checked_number)]
Rate: TypeAlias = Annotated[float, Field(ge=0, le=1), BeforeValidator(checked_number)]
Host: TypeAlias = Annotated[str, AfterValidator(checked_host)]


class Section(BaseModel):
    """A part of telemetry, which is never changed."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class StaticAttribute(Section):
    """An attribute that is the same on all that a layer reports."""

    key: str = Field(min_length=1, description="The name of the attribute.", examples=["region"])
    value: str = Field(description="Its value.", examples=["eu-west-1"])


def _checked_of_metrics(attribute: StaticAttribute) -> StaticAttribute:
    checked_metric_key(attribute.key)
    return attribute


MetricAttribute: TypeAlias = Annotated[StaticAttribute, AfterValidator(_checked_of_metrics)]
