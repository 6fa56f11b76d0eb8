"""What was logged, as events and values."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any, TypeAlias

# Of each line what structlog was told of it; `log_level` is its level.
Logged: TypeAlias = list[MutableMapping[str, Any]]
