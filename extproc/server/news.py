"""Which metadata goes with which reply.

Owns: that a reply says what those before it have not said, and the last one all of it; and that what many exchanges
say alike is built once. Must not know where a record is from, or what the keys mean.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

from extproc.usage import UsageRecord
from extproc.wire.envoy import Fields, Metadata, encode_dynamic_metadata

# What differs before there are counts: provider, model, and how the answer begins; but for what is reserved, which each
# exchange has of its own.
_MAX_REMEMBERED = 1024

_NOTHING: Fields = {}


class Published(NamedTuple):
    """What a reply has said: the record, its metadata, and what of that was new, as bytes to append to the reply."""

    record: UsageRecord
    metadata: Metadata
    news: bytes


class MetadataNews:
    """Builds the metadata of replies."""

    def __init__(self, build_metadata: Callable[[UsageRecord], Metadata]) -> None:
        self._build_metadata = build_metadata
        self._remembered = lru_cache(_MAX_REMEMBERED)(self._build)

    def since(self, published: Published | None, record: UsageRecord) -> Published:
        """Return what a record says that the last published one did not. Envoy merges what it gets key by key."""
        if record.usage is None and record.time_to_first_token_seconds is None and not record.reserved:
            return self._remembered(published.record if published else None, record)
        return self._compare(published.metadata if published else {}, record, self._build_metadata(record))

    def all_of(self, record: UsageRecord) -> bytes:
        """Return everything a record says, as bytes to append to a reply."""
        metadata = self._build_metadata(record)
        return encode_dynamic_metadata({namespace: fields for namespace, fields in metadata.items() if fields})

    def _build(self, published: UsageRecord | None, record: UsageRecord) -> Published:
        before = self._build_metadata(published) if published else {}
        return self._compare(before, record, self._build_metadata(record))

    def _compare(self, before: Metadata, record: UsageRecord, metadata: Metadata) -> Published:
        changes: dict[int, Fields] = {}  # of each object of fields: several namespaces have the same
        news = {}
        for namespace, fields in metadata.items():
            changed = changes.get(id(fields))
            if changed is None:
                known = before.get(namespace, _NOTHING)
                changed = changes[id(fields)] = {key: value for key, value in fields.items() if known.get(key) != value}
            if changed:
                news[namespace] = changed
        return Published(record, metadata, encode_dynamic_metadata(news) if news else b"")
