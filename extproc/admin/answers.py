"""What each path of the admin port is answered with.

Owns: the paths, and who gets the page: browsers, which say that they want HTML. Whoever looks with curl gets text.
Must not know sockets, or where what is told comes from.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

from extproc.admin.html import build_page
from extproc.admin.scrapes import Turns

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

_INDEX = """\
ai-gateway-extproc {version}

/metrics   token counts and the health of this process, for Prometheus
/livez     is the process alive
/readyz    are new streams welcome
/status    what is running, and what it needs of Envoy, as JSON
/          in a browser: the last minutes, and what is to be mended
"""

_JSON = "application/json"

# What is told is made for one at a time, and may wait for workers: whoever probes needs a place as well.
_MAX_WAITING_PAGES = 63

# What is told is for the page that asks: nothing keeps it, and no other site may read it or have it read.
_FOR_THE_PAGE = (
    ("Cache-Control", "no-store"),
    ("X-Content-Type-Options", "nosniff"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
)


def build_application(
    metrics: WSGIApplication,
    is_ready: Callable[[], bool],
    find_status: Callable[[], Mapping[str, Any]],
    find_recent: Callable[[], Callable[[], bytes] | None],
    version: str,
) -> WSGIApplication:
    """Return what answers; `find_recent` returns what tells the page, or None where there is none."""
    index, page = _INDEX.format(version=version), _answer_page(find_recent, version)

    def answer(  # noqa: PLR0911 - one for each path
        environ: WSGIEnvironment, start_response: StartResponse
    ) -> Iterable[bytes]:
        match environ.get("PATH_INFO"):
            case "/metrics":
                return metrics(environ, start_response)
            case "/livez":
                return plain(start_response, "200 OK", "ok\n")
            case "/readyz" if is_ready():
                return plain(start_response, "200 OK", "ok\n")
            case "/readyz":
                return plain(start_response, "503 Service Unavailable", "not ready\n")
            case "/status":
                return _send(start_response, _JSON, json.dumps(find_status(), indent=1).encode() + b"\n")
            case "/" | "/recent" if (answered := page(environ, start_response)) is not None:
                return answered
            case "/":
                return plain(start_response, "200 OK", index)
            case _:
                return plain(start_response, "404 Not Found", index)

    return answer


def plain(start_response: StartResponse, status: str, text: str) -> Iterable[bytes]:
    """Answer with text."""
    return _send(start_response, "text/plain; charset=utf-8", text.encode(), status=status)


def _answer_page(
    find_recent: Callable[[], Callable[[], bytes] | None], version: str
) -> Callable[[WSGIEnvironment, StartResponse], Iterable[bytes] | None]:
    """Return what answers for the page, or returns None where something else is to be answered."""
    build = cache(lambda: build_page(version))
    turns = Turns(at_a_time=1, waiting=_MAX_WAITING_PAGES)

    def answer(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes] | None:
        tell = find_recent()
        if tell is None:
            return None
        if environ.get("PATH_INFO") == "/recent":
            with turns.next() as is_mine:
                if is_mine:
                    return _send(start_response, _JSON, tell(), _FOR_THE_PAGE)
            return plain(start_response, "503 Service Unavailable", "too many pages at a time\n")
        if "text/html" not in environ.get("HTTP_ACCEPT", ""):
            return None
        page = build()
        if environ.get("HTTP_IF_NONE_MATCH") == page.etag:
            start_response("304 Not Modified", [("ETag", page.etag)])
            return []
        start_response("200 OK", list(page.headers))
        return [page.body]

    return answer


def _send(
    start_response: StartResponse,
    content_type: str,
    body: bytes,
    headers: Iterable[tuple[str, str]] = (),
    *,
    status: str = "200 OK",
) -> Iterable[bytes]:
    start_response(status, [("Content-Type", content_type), ("Content-Length", str(len(body))), *headers])
    return [body]
