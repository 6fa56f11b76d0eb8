"""The headers of an exchange, as far as they are read.

Owns: which headers these are, and what their values say. The code that takes them out of a message takes no others, so
that no credential can get in. Must not know phases or documents.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from extproc.codec.framing import media_type
from extproc.credentials import holds_secret
from extproc.providers.base import is_word
from extproc.providers.bedrock_invoke import HEADERS as BEDROCK_HEADERS

# AWS has its word for an error here, and only a sentence in the document.
# https://smithy.io/2.0/aws/protocols/aws-restjson1-protocol.html#operation-error-serialization
_ERROR_TYPE = "x-amzn-errortype"

# A body that is signed must not change: https://www.rfc-editor.org/rfc/rfc9530, what came before it, and AWS.
SIGNATURE_HEADERS: Final = frozenset({"content-digest", "digest", "content-md5", "x-amz-content-sha256"})

REQUEST_HEADERS: Final = SIGNATURE_HEADERS | frozenset(
    {":method", ":authority", ":path", "content-type", "content-encoding", "content-length"}
)
RESPONSE_HEADERS: Final = BEDROCK_HEADERS | frozenset(
    {":status", "content-type", "content-encoding", "content-length", _ERROR_TYPE}
)

# Envoy names each request by it. A client may be free to choose it, so only what looks like an id is taken for one.
REQUEST_ID_HEADER: Final = "x-request-id"
_REQUEST_ID = re.compile(r"[\w.:/+=@-]{1,128}", re.ASCII)

# More than any length or status has.
_MAX_DIGITS = 18


def number_at(headers: Mapping[str, str], name: str) -> int | None:
    """Return the whole number in a header's value, if it is one."""
    value = headers.get(name)
    return int(value) if value and len(value) <= _MAX_DIGITS and value.isascii() and value.isdecimal() else None


def error_word(headers: Mapping[str, str]) -> str | None:
    """Return the word for an error in the response headers, if there is one."""
    word = headers.get(_ERROR_TYPE, "").partition(":")[0]
    return word if is_word(word) else None


def request_id_of(headers: Mapping[str, str]) -> str | None:
    """Return the id of a request, if it has one that can be told."""
    value = headers.get(REQUEST_ID_HEADER, "")
    return value if _REQUEST_ID.fullmatch(value) and not holds_secret(value) else None


def is_grpc(headers: Mapping[str, str]) -> bool:
    """Say whether a request is of gRPC, whose streams would stand still while their bodies are buffered."""
    return media_type(headers.get("content-type", "")).startswith("application/grpc")
