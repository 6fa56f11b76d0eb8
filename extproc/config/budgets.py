"""Budgets that the sidecar itself holds clients to.

Owns: the shape, defaults and meaning of `budgets` in the settings. Must not know how they are held.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from extproc.config.address import parse_host_port
from extproc.config.section import Section


def _checked_host_port(text: str) -> str:
    return str(parse_host_port(text))


class BudgetSettings(Section):
    """Where Envoy asks whether a client has anything left, and how much each has."""

    listen: Annotated[str, AfterValidator(_checked_host_port)] = Field(
        default="127.0.0.1:8081",
        description="Where Envoy's rate-limit service is served: host:port.",
        examples=["127.0.0.1:8081"],
    )
