"""Where log lines go, and what they look like.

One line a thing that happened: `timestamp` (RFC 3339, UTC), `level`, `event`, and then what varies, by its name. An
event is one of few phrases, by which lines can be found and counted. For a person at a terminal a line is text, for
anything else an object of JSON. Nothing in a value can begin another line, or speak to the terminal.

Owns: the format. What is logged is the business of whoever does it.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import traceback
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias


@contextmanager
def _without_rich() -> Iterator[None]:
    """Have structlog find no rich, if nobody has: it takes 80 ms of a start, for tracebacks that we don't print."""
    if "rich" in sys.modules:
        yield
        return
    sys.modules["rich"] = None  # type: ignore[assignment]  # what Python looks for where a module may not be imported
    try:
        yield
    finally:
        del sys.modules["rich"]


with _without_rich():
    import structlog
    from structlog.dev import Column, ConsoleRenderer, KeyValueColumnFormatter, LogLevelColumnFormatter
    from structlog.stdlib import ProcessorFormatter

LogFormat: TypeAlias = Literal["auto", "text", "json"]
_Line: TypeAlias = MutableMapping[str, Any]

# gRPC logs metadata that is not UTF-8, value and all, and the text of exceptions; both may repeat what a client sent.
# The others log addresses and attributes when telemetry can't be exported, which is told elsewhere.
_SILENT: Final = ("grpc", "opentelemetry", "urllib3")

_MAX_LIBRARY_CHARACTERS: Final = 500

# What has a meaning where values follow each other.
_QUOTED: Final = frozenset(" \"'=")


def write_logs(level: str, log_format: LogFormat = "auto", *, worker: int | None = None) -> None:
    """Write log lines of that level and above to standard error; `worker` is the index of the worker that we are."""
    is_terminal = sys.stderr.isatty()
    is_text = log_format == "text" or (log_format == "auto" and is_terminal)

    def begin(_logger: object, _method: str, line: _Line) -> _Line:
        head = {"timestamp": _now(), "level": line.pop("level"), "event": line.pop("event")}
        return head | ({} if worker is None else {"worker": worker}) | dict(line)

    renderer = _build_text_renderer(colors=is_terminal and not os.environ.get("NO_COLOR")) if is_text else _render_json
    formatter = ProcessorFormatter(
        processors=[_place_exception, ProcessorFormatter.remove_processors_meta, begin, renderer],
        foreign_pre_chain=[structlog.stdlib.add_log_level, _shorten_foreign],
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)  # that is the level of the libraries
    for library in _SILENT:
        logging.getLogger(library).setLevel(logging.CRITICAL)
    set_level(level)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.stdlib.add_log_level,
            ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )


def set_level(level: str) -> None:
    """Have lines of that level and above written from now on."""
    logging.getLogger("extproc").setLevel(level.upper())


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _shorten_foreign(_logger: object, _method: str, line: _Line) -> _Line:
    """Name the library that speaks, and keep the first line of what it says: the others repeat what it works on."""
    first = (str(line["event"]).splitlines() or [""])[0]
    line["event"], line["logger"] = first[:_MAX_LIBRARY_CHARACTERS], line["_record"].name
    return line


def _place_exception(_logger: object, _method: str, line: _Line) -> _Line:
    """Say of an exception what it was and where. Its text may repeat traffic, so it is left out."""
    line.pop("stack_info", None)
    error = line.pop("exc_info", None)
    if isinstance(error, tuple) or error is True:
        error = (error if isinstance(error, tuple) else sys.exc_info())[1]
    if isinstance(error, BaseException):
        line["exception"], line["at"] = type(error).__name__, place_of(error)
    return line


def place_of(error: BaseException) -> str:
    """Return where an exception was raised: `file:line in function`."""
    frames = traceback.extract_tb(error.__traceback__)
    return f"{Path(frames[-1].filename).name}:{frames[-1].lineno} in {frames[-1].name}" if frames else "nowhere"


def _render_json(_logger: object, _method: str, line: _Line) -> str:
    return json.dumps(line, default=str)


def _build_text_renderer(*, colors: bool) -> ConsoleRenderer:
    styles = ConsoleRenderer.get_default_column_styles(colors)
    levels = ConsoleRenderer.get_default_level_styles(colors)

    def value(style: str, *, key_style: str | None = None, width: int = 0) -> KeyValueColumnFormatter:
        show = _shown_event if width else _shown
        return KeyValueColumnFormatter(key_style, style, styles.reset, value_repr=show, width=width)

    return ConsoleRenderer(
        columns=[
            Column("", value(styles.kv_value, key_style=styles.kv_key)),
            Column("timestamp", value(styles.timestamp)),
            Column("level", LogLevelColumnFormatter(levels, styles.reset)),
            Column("event", value(styles.bright, width=30)),
        ],
        sort_keys=False,
    )


def _shown(value: object) -> str:
    """Return a value as it may stand on a terminal and between others."""
    text = str(value)
    return text if text and text.isprintable() and _QUOTED.isdisjoint(text) else repr(text)


def _shown_event(value: object) -> str:
    text = str(value)
    return text if text.isprintable() else repr(text)[1:-1]
