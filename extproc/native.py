"""What Envoy itself has found out of an exchange, as values.

Owns: the shape in which it is handed on. Envoy's AI Protocol Manager reads bodies where they pass and tells other
filters what it has read; then no body has to come here. Must not know how that is told, or which provider counts how.
Imports nothing of ours.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


class ExtractionStatus(enum.StrEnum):
    """How far Envoy could read the usage of an answer."""

    COMPLETE = "complete"
    PARTIAL = "partial"  # there are counts, and some of what had usage in it was lost
    FAILED = "failed"  # there was usage, and it could not be read


@dataclass(frozen=True, slots=True)
class NativeRequest:
    """What a request asked for. The model is as the client sent it."""

    model: str | None = None
    streaming: bool = False


@dataclass(frozen=True, slots=True)
class NativeUsage:
    """What an answer used.

    `protocol` is the wire API the answer spoke, by Envoy's name for it, `model` what the answer calls itself, `counts`
    the fields of envoy.data.ai.v3.TokenUsage that are there, by their names in that message, details one level deep.
    """

    protocol: str | None = None
    model: str | None = None
    counts: Mapping[str, Any] | None = None
    status: ExtractionStatus = ExtractionStatus.COMPLETE
