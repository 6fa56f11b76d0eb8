"""What only shows where settings of ports meet: an address that others reach, files that are not there.

Owns: these checks, on values as they were given: what is of the wrong type is passed over here, and said by the schema.
Whom a name stands for is not asked here, where nothing is served: see server/listen.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from extproc.config.address import (
    HostPort,
    UnixSocket,
    budgets_refusal,
    is_loopback,
    parse_address,
    plaintext_refusal,
)
from extproc.config.forms import is_true
from extproc.config.lines import Loc
from extproc.config.problems import why_unreadable
from extproc.config.settings import Settings
from extproc.config.sources import Remark, Tree
from extproc.errors import SettingsError

_FILES = ("cert_file", "key_file", "client_ca_file")


def check(tree: Tree, *, reads_certificates: bool) -> list[Remark]:
    """Return a remark for each thing that cannot work together, or is not there."""
    found = list(_check(tree.values))
    if reads_certificates:
        found += _check_files(tree.values.get("listen_tls"))
    return [Remark(tree.where(loc), text) for loc, text in found]


def _check(values: dict[str, Any]) -> Iterator[tuple[Loc, str]]:
    tls, listen = values.get("listen_tls"), _address(values.get("listen"))
    may_be_reached = tls is not None or is_true(values.get("allow_plaintext"))
    if isinstance(listen, HostPort) and not may_be_reached and is_loopback(listen.host) is False:
        yield ("listen",), plaintext_refusal(listen)
    has_file = isinstance(listen, UnixSocket) and not listen.is_abstract
    if values.get("socket_mode") is not None and listen is not None and not has_file:
        yield ("socket_mode",), f"it is for the file of a Unix socket, and {listen} has none"
    budgets = values.get("budgets")
    place = _address(budgets.get("listen", "")) if isinstance(budgets, dict) else None
    if isinstance(place, HostPort) and is_loopback(place.host) is False and not is_true(values.get("allow_plaintext")):
        yield ("budgets", "listen"), budgets_refusal(place)


def _check_files(tls: Any) -> Iterator[tuple[Loc, str]]:
    for name in _FILES:
        path = tls.get(name) if isinstance(tls, dict) else None
        if isinstance(path, str) and path and (problem := why_unreadable(path)):
            yield ("listen_tls", name), problem


def _address(listen: Any) -> HostPort | UnixSocket | None:
    """Return the address, or the default one; None where the schema has something to say."""
    given = Settings.model_fields["listen"].default if listen is None else listen
    try:
        return parse_address(given) if isinstance(given, str) else None
    except SettingsError:
        return None
