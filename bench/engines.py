"""The gRPC engines by the names that the setting `engine` gives them, and which of them are here.

Owns: the table. An engine that the installed code does not have is left out of a run, and said to be.
"""

from __future__ import annotations

import importlib
import importlib.util
from types import MappingProxyType
from typing import Any

from extproc.config.settings import Settings

# The engine a sidecar had before there was a setting.
_ONLY = "aio"

_SERVERS = MappingProxyType(
    {
        "aio": ("extproc.server.aio", "AioServer"),
        "completion_queue": ("extproc.server.completion_queue", "CompletionQueueServer"),
    }
)

ENGINES = tuple(_SERVERS)


def load_engine(name: str) -> Any:
    """Return the server class of an engine."""
    module, server = _SERVERS[name]
    return getattr(importlib.import_module(module), server)


def has_engine(name: str) -> bool:
    """Whether the installed code has this engine."""
    return importlib.util.find_spec(_SERVERS[name][0]) is not None


def engine_settings(name: str) -> dict[str, Any] | None:
    """Return the settings that make `extproc serve` use an engine; None if it can't."""
    if "engine" in Settings.model_fields:
        return {"engine": name} if has_engine(name) else None
    return {} if name == _ONLY else None
