"""The gRPC engines by the names that the setting `engine` gives them, and which of them can be had here."""

from __future__ import annotations

import importlib
from typing import Final, Literal, TypeAlias

EngineName: TypeAlias = Literal["aio", "completion_queue"]

ENGINES: Final[tuple[EngineName, ...]] = ("aio", "completion_queue")


def has_engine(name: EngineName) -> bool:
    """Whether the installed grpcio has what this engine relies on."""
    try:
        importlib.import_module(f"extproc.server.{name}")
    except ImportError:
        return False
    return True
