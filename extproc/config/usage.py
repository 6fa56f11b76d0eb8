"""What is done about usage that a provider does not report by itself: asking for it, and estimating it.

Owns: the shape, defaults and meaning of `usage` in the settings. Must not know how either is done.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from extproc.config.forms import checked_number
from extproc.config.section import Section


def _said_in_yaml(value: object) -> object:
    """Return what was meant: `off` without quotes is a truth value in YAML."""
    return "off" if value is False else value


class UsageSettings(Section):
    """How usage is had that would not be there."""

    inject_include_usage: Literal["auto"] | bool = Field(
        default="auto",
        description="Ask for usage in the place of clients that stream OpenAI chat or completions without "
        "stream_options.include_usage, and take it out of the answer again. auto: where the provider is known to take "
        "it; true: of every provider; false: of none.",
    )
    override_explicit_false: bool = Field(
        default=False, description="Ask for usage also where a client says include_usage: false."
    )
    estimate: Annotated[Literal["off", "partial", "always"], BeforeValidator(_said_in_yaml)] = Field(
        default="partial",
        description="Count the texts of exchanges whose usage nobody reports: of streams that ended without (partial), "
        "of every answer (always), or of none (off). What is estimated says so.",
    )
    estimate_interval_seconds: Annotated[float, BeforeValidator(checked_number)] = Field(
        default=1.0,
        ge=0,
        le=3600,
        description="How often a running stream without usage has what it used so far estimated and written as "
        "metadata, so that it is there when the client hangs up; 0: with each chunk.",
    )
