"""What exchanges cost: which prices hold, and those of a deployment's own.

Owns: the shape, defaults and meaning of `prices` in the settings. Must not know how a cost is worked out.
"""

from __future__ import annotations

from pydantic import Field

from extproc.config.section import Section


class PriceSettings(Section):
    """Which prices hold."""

    enabled: bool = Field(default=True, description="Whether exchanges are priced.")
