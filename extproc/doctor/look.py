"""The admin interfaces of Envoy and of the sidecar, over HTTP.

Owns: which paths are asked for, and that a wrong answer is as good as none. It only ever reads. Must not know what is
in the answers.
"""

from __future__ import annotations

import http.client
import json
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit

from extproc.errors import SettingsError

# A configuration of thousands of routes is as large as that; nobody's is larger than this.
_MAX_BYTES = 512 * 1024 * 1024

_TIMEOUT_SECONDS = 10.0

# Of the statistics of a large Envoy these are a small part.
_STATS = r"^(http\..*\.(ext_proc\..*|downstream_rq_total)|cluster\..*\.upstream_(rq|cx)_.*)$"

# What is asked for by its address is not asked of a proxy.
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass(frozen=True, slots=True)
class EnvoyDocuments:
    """What Envoy's admin interface answered; None for what it did not."""

    config_dump: Any
    clusters: Any
    stats: Any
    server_info: Any


@dataclass(frozen=True, slots=True)
class SidecarDocuments:
    """What the sidecar's admin port answered. `is_ready` is None where it did not."""

    status: Any
    metrics: str
    is_ready: bool | None


def base_url(text: str, flag: str) -> str:
    """Return the address of an admin interface as a URL without a path: http://host:port. Raises SettingsError."""
    url = text if "://" in text else f"http://{text}"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username is not None:
        raise SettingsError(f"{flag}: an admin interface is given as http://host:port, without a user")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{host}" + ("" if port is None else f":{port}")


def look_at_envoy(base: str) -> EnvoyDocuments:
    """Return what Envoy says. Without a configuration, `config_dump` is None."""
    dump = _fetch_json(f"{base}/config_dump?include_eds")
    if dump is None:
        return EnvoyDocuments(None, None, None, None)
    return EnvoyDocuments(
        dump,
        _fetch_json(f"{base}/clusters?format=json"),
        _fetch_json(f"{base}/stats?format=json&filter={quote(_STATS)}"),
        _fetch_json(f"{base}/server_info"),
    )


def look_at_sidecar(base: str) -> SidecarDocuments:
    """Return what the sidecar says."""
    code, _ = _fetch(f"{base}/readyz")
    is_ready = {200: True, 503: False}.get(code)
    if is_ready is None:
        return SidecarDocuments(None, "", None)
    code, metrics = _fetch(f"{base}/metrics")
    return SidecarDocuments(_fetch_json(f"{base}/status"), metrics if code == http.HTTPStatus.OK else "", is_ready)


def _fetch_json(url: str) -> Any:
    code, text = _fetch(url)
    if code != http.HTTPStatus.OK:
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _fetch(url: str) -> tuple[int, str]:
    """Return status and text of an answer; status 0 where there was none."""
    try:
        with _DIRECT.open(url, timeout=_TIMEOUT_SECONDS) as answer:
            return answer.status, answer.read(_MAX_BYTES).decode(errors="replace")
    except urllib.error.HTTPError as error:
        with error:
            return error.code, ""
    except (OSError, http.client.HTTPException):
        return 0, ""
