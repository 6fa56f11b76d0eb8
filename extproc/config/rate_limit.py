"""What rate limits are charged with.

Owns: the shape, defaults and meaning of `rate_limit` in the settings. Must not know how it is worked out.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from extproc.config.section import Section


class RateLimitSettings(Section):
    """What rate limits are charged with, and when."""

    when: Literal["end", "request"] = Field(
        default="end",
        description="When limits are charged: at the end of an exchange; or an estimate with the request, and at the "
        "end the difference.",
    )
