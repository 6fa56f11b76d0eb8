"""`extproc version`: what is installed here, for a report or to compare two machines.

Owns: which parts are named, and how.
"""

from __future__ import annotations

from typing import Annotated

import typer


def version(
    json: Annotated[bool, typer.Option("--json", help="Write one JSON object instead of lines.")] = False,
) -> None:
    """Print the versions of what serves, and its engine."""
    from json import dumps

    parts = _parts()
    if json:
        print(dumps(parts))
        return
    reason = parts.pop("engine_reason", None)
    for name, value in parts.items():
        print(f"{name} {value}" + (f" ({reason})" if name == "engine" and reason else ""))


def _parts() -> dict[str, str]:
    """Return what each part is, by its name."""
    import os
    import platform
    from contextlib import suppress

    import google.protobuf
    import grpc
    from google.protobuf.internal import api_implementation

    from extproc import __version__
    from extproc.config.loading import load_settings
    from extproc.errors import SettingsError
    from extproc.pricing.catalog import PACKAGE, package_version
    from extproc.server.engine import EngineChoice, predict_engine

    choice: EngineChoice = "auto"
    with suppress(SettingsError):  # `extproc serve` says what is wrong, and this is what one looks at then
        choice = load_settings({}, os.environ).settings.engine
    engine, reason = predict_engine(choice)
    parts = {
        "ai-gateway-extproc": __version__,
        "python": f"{platform.python_version()} {platform.python_implementation()}",
        "grpcio": grpc.__version__,
        "protobuf": f"{google.protobuf.__version__} {api_implementation.Type()}",
        PACKAGE: package_version(),
        "engine": engine,
        "platform": platform.platform(),
    }
    return parts | ({"engine_reason": reason} if reason else {})
