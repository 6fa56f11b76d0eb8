"""One captured exchange, as far as an observer would see it.

Owns: what is kept of a capture, in the shape in which Envoy would show it, without its query. Must not know where it
was read, how it is played or what is said of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from extproc.errors import ExtprocError
from extproc.usage import TokenUsage

# What there is to expect of the counts of an exchange, by the names of the contract.
TOKEN_FIELDS = (*TokenUsage.__struct_fields__, "total_tokens")


# How pydantic says that something is none; its own words name our classes.
_NO_OBJECT = ("model_type", "dict_type")


class CaptureError(ExtprocError):
    """A capture that can't be read. The message is one line for a person and repeats nothing of the traffic."""


def problem_in(error: ValidationError) -> str:
    """Return the first problem of what was checked: where it is, and what should be there."""
    problem = error.errors(include_input=False, include_context=False, include_url=False)[0]
    what = "input should be an object" if problem["type"] in _NO_OBJECT else problem["msg"]
    where = ".".join(str(part) for part in problem["loc"])
    return f"{where}: {what[:1].lower()}{what[1:]}" if where else f"{what[:1].lower()}{what[1:]}"


@dataclass(frozen=True, slots=True)
class Capture:
    """One HTTP exchange. Header names are in lower case, and only those the sidecar reads are there.

    `status` is None where there was no answer, `response` where the capture does not hold its body, `expected` where
    nobody says what to expect; else it holds some of `TOKEN_FIELDS`, with None for a count that must not be there.
    """

    name: str
    method: str
    authority: str
    path: str
    request: bytes = field(repr=False)
    request_headers: Mapping[str, str] = field(repr=False)
    status: int | None
    response: bytes | None = field(repr=False)
    response_headers: Mapping[str, str] = field(repr=False)
    expected: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Source:
    """Where a capture is, and how to read it; `read` raises CaptureError. So one is in memory at a time."""

    name: str
    read: Callable[[], Capture]


def without_query(path: str) -> str:
    """Return a path without its query, which may hold a key."""
    return path.partition("?")[0].partition("#")[0]


def some(headers: Mapping[str, str | None]) -> dict[str, str]:
    """Return the headers that are there."""
    return {name: value for name, value in headers.items() if value}
