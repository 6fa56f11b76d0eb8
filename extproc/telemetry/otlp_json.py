"""Any message of OTLP in JSON: protobuf's own mapping, but for ids, which are hex, and enums, which are numbers.

Owns: these differences. It is used for metrics, which are few; spans are written by otlp_spans.py.

https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding
"""

from __future__ import annotations

import base64
from typing import Any, Final

import orjson
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message

_IDS: Final = frozenset(("traceId", "spanId", "parentSpanId"))


def encode_json(message: Message) -> bytes:
    """Return a message as OTLP/JSON."""
    said = MessageToDict(message, use_integers_for_enums=True)
    _write_ids(said)
    return orjson.dumps(said)


def _write_ids(value: Any) -> None:
    if isinstance(value, dict):
        for key, inner in value.items():
            if key in _IDS:
                value[key] = base64.b64decode(inner).hex()
            else:
                _write_ids(inner)
    elif isinstance(value, list):
        for inner in value:
            _write_ids(inner)
