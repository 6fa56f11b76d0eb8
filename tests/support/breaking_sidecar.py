"""`extproc serve` with bugs: where the word for a place is in what passes it, an exception repeats it all.

Started as a launcher: what follows is the command line of a sidecar.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from extproc import exchange
from extproc.admin import scrapes
from extproc.cli import main
from extproc.server import news, processor, session, surroundings, telling
from extproc.sinks import usage_log
from extproc.telemetry import spans

# By the word that breaks it: where it is, and under which name.
PLACES: dict[str, tuple[Any, str]] = {
    "break-session": (processor.Processor, "open_session"),
    "break-decoding": (session, "decode_request"),
    "break-request": (exchange.Exchange, "request_body"),
    "break-answer": (exchange.Exchange, "response_body"),
    "break-survey": (surroundings.Survey, "take"),
    "break-news": (news.MetadataNews, "all_of"),
    "break-telling": (telling.Teller, "_tell"),
    "break-line": (usage_log, "encode_line"),
    "break-span": (spans, "_add_proxy"),
    "break-scrape": (scrapes.PacedRegistry, "restricted_registry"),
}


def breaking(word: str, works: Callable[..., Any]) -> Callable[..., Any]:
    """Return what works, until the word for it comes by."""

    def broken(*arguments: Any, **more: Any) -> Any:
        seen = repr((arguments[1:] or arguments, more))
        if word in seen:
            raise RuntimeError(f"cannot cope with {seen}")
        return works(*arguments, **more)

    return broken


if __name__ == "__main__":
    for word, (owner, name) in PLACES.items():
        setattr(owner, name, breaking(word, getattr(owner, name)))
    sys.argv[1:] = sys.argv[4:]
    main()
