"""The page for browsers: its sources put together into one document that needs nothing else.

Owns: which files of page/ there are and in what order, and what a browser is allowed to do with them. Style and script
are written into the document and named to the browser by their hashes, so nothing else that might get into it runs.
Must not know what the page shows, or who serves it.
"""

from __future__ import annotations

import hashlib
import html
import re
from base64 import b64encode
from dataclasses import dataclass
from importlib.resources import files

_DOCUMENT = "page.html"

# Each may change, or use, what stands in those before it.
_STYLES = ("page.css", "charts.css", "tables.css", "narrow.css")
_SCRIPTS = (
    "format.js",
    "nodes.js",
    "scale.js",
    "chart.js",
    "charts.js",
    "tables.js",
    "findings.js",
    "poll.js",
    "page.js",
)

_PLACE = re.compile(r"\{\{(\w+)\}\}")


@dataclass(frozen=True, slots=True)
class Page:
    """A document, what it is told by, and the headers that go with it."""

    body: bytes
    etag: str
    headers: tuple[tuple[str, str], ...]


def build_page(version: str) -> Page:
    """Put the page together for a sidecar of this version."""
    style, script = ("\n".join(map(_read, names)) for names in (_STYLES, _SCRIPTS))
    parts = {"version": html.escape(version), "style": style, "script": script}
    body = _PLACE.sub(lambda place: parts[place[1]], _read(_DOCUMENT)).encode()
    etag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    headers = (
        ("Content-Type", "text/html; charset=utf-8"),
        ("Content-Length", str(len(body))),
        ("ETag", etag),
        ("Vary", "Accept"),
        ("Cache-Control", "no-cache"),
        ("Content-Security-Policy", _policy(style, script)),
        ("X-Content-Type-Options", "nosniff"),
        ("Referrer-Policy", "no-referrer"),
        ("Cross-Origin-Opener-Policy", "same-origin"),
        ("Cross-Origin-Resource-Policy", "same-origin"),
    )
    return Page(body, etag, headers)


def _policy(style: str, script: str) -> str:
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src {_hash_source(script)}",
            f"style-src {_hash_source(style)}",
            "connect-src 'self'",
            "img-src data:",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
            "require-trusted-types-for 'script'",
            "trusted-types 'none'",
        )
    )


def _hash_source(text: str) -> str:
    return f"'sha256-{b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _read(name: str) -> str:
    return files("extproc.admin").joinpath("page", name).read_text(encoding="utf-8")
