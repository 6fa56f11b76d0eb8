"""Captures in folders: case.json, request.json or request.bin, response.body.

Owns: the layout of such a folder, and the members of case.json in both of their spellings. Must not know how a capture
is played.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import AliasChoices, BaseModel, Field, ValidationError

from extproc.headers import RESPONSE_HEADERS
from extproc.providers.base import clean_name
from extproc.replay.capture import TOKEN_FIELDS, Capture, CaptureError, Source, problem_in, some, without_query

CASE = "case.json"
REQUESTS = ("request.json", "request.bin")
RESPONSE = "response.body"

_JSON = "application/json"

# No exchange with a model is near it, and a body stands in memory as a whole.
MAX_FILE_BYTES = 256 * 1024 * 1024

# Where `usage` is null there was none: these are the counts that must not be there.
_NO_USAGE: Mapping[str, Any] = dict.fromkeys(("prompt_tokens", "completion_tokens", "total_tokens"))


class Case(BaseModel):
    """What case.json says of an exchange; anything else in it is passed over."""

    path: str
    method: str = "POST"
    host: str | None = Field(default=None, validation_alias=AliasChoices("host", "authority"))
    status: int = 200
    request_content_type: str | None = None
    request_content_encoding: str | None = None
    response_content_type: str | None = Field(
        default=_JSON, validation_alias=AliasChoices("response_content_type", "content_type")
    )
    response_content_encoding: str | None = Field(
        default=None, validation_alias=AliasChoices("response_content_encoding", "content_encoding")
    )
    response_headers: dict[str, str] | None = None
    usage: dict[str, Any] | None = None
    expected: dict[str, Any] | None = None

    @property
    def expected_counts(self) -> Mapping[str, Any] | None:
        """The token counts to expect; None where nothing is said of them."""
        if "usage" in self.model_fields_set:
            named = _NO_USAGE if self.usage is None else self.usage
        else:
            named = self.expected or {}
        return {key: named[key] for key in TOKEN_FIELDS if key in named} or None


def find_folders(root: Path) -> Iterator[Source]:
    """Yield the captures in and under a folder, in the order of their names.

    A folder that has a part of a capture is one: what it lacks is said when it is read. Raises OSError if `root` itself
    can't be listed.
    """
    os.scandir(root).close()
    closed: list[OSError] = []
    for folder, subfolders, files in os.walk(root, onerror=closed.append):
        subfolders.sort()
        if CASE in files or RESPONSE in files:
            yield _source(root, Path(folder))
    for error in closed:
        yield _source(root, Path(error.filename))


def _source(root: Path, folder: Path) -> Source:
    name = str(folder.relative_to(root)) if folder != root else folder.resolve().name
    return Source(clean_name(name) or "-", partial(read_folder, folder, clean_name(name) or "-"))


def read_folder(folder: Path, name: str) -> Capture:
    """Return the capture in a folder. Raises CaptureError if a part of it is missing or is not what it should be."""
    case = _read_case(folder)
    request = next((folder / file for file in REQUESTS if (folder / file).exists()), None)
    return Capture(
        name=name,
        method=case.method,
        authority=case.host or "",
        path=without_query(case.path),
        request=_read(request) if request else b"",
        request_headers=some(
            {
                "content-type": case.request_content_type or _JSON,
                "content-encoding": case.request_content_encoding,
            }
        ),
        status=case.status,
        response=_read(folder / RESPONSE),
        response_headers=_response_headers(case),
        expected=case.expected_counts,
    )


def _response_headers(case: Case) -> dict[str, str]:
    others = {name.lower(): value for name, value in (case.response_headers or {}).items()}
    wanted: dict[str, str | None] = {name: value for name, value in others.items() if name in RESPONSE_HEADERS}
    named = {"content-type": case.response_content_type, "content-encoding": case.response_content_encoding}
    # The length is that of the body on the wire, which need not be the one that was kept.
    return some(wanted | named | {":status": None, "content-length": None})


def _read_case(folder: Path) -> Case:
    try:
        return Case.model_validate_json(_read(folder / CASE))
    except ValidationError as error:
        raise CaptureError(f"{CASE}: {problem_in(error)}") from None


def _read(path: Path) -> bytes:
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise CaptureError(f"{path.name} is larger than {MAX_FILE_BYTES} bytes")
        return path.read_bytes()
    except OSError as error:
        raise CaptureError(f"cannot read {path.name}: {error.strerror}") from None
