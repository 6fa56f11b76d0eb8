"""Which metadata goes with which reply.

Owns: that a reply says what those before it have not said, and the last one all of it; and that what many exchanges
say alike is built once. Must not know where a record is from, or what the keys mean.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

from extproc.usage import UsageRecord
from extproc.wire.envoy import Metadata, encode_dynamic_metadata

# What differs before there are counts: provider, model, and how the answer begins.
_MAX_REMEMBERED = 1024


class MetadataNews:
    """Builds the metadata of replies, as bytes to append to them."""

    def __init__(self, build_metadata: Callable[[UsageRecord], Metadata]) -> None:
        self._build_metadata = build_metadata
        self._remembered = lru_cache(_MAX_REMEMBERED)(self._since)

    def since(self, published: UsageRecord | None, record: UsageRecord) -> bytes:
        """Return what a record says that the last published one did not. Envoy merges what it gets key by key."""
        if record.usage is None and record.time_to_first_token_seconds is None:
            return self._remembered(published, record)
        return self._since(published, record)

    def all_of(self, record: UsageRecord) -> bytes:
        """Return everything a record says."""
        metadata = self._build_metadata(record)
        return encode_dynamic_metadata({namespace: fields for namespace, fields in metadata.items() if fields})

    def _since(self, published: UsageRecord | None, record: UsageRecord) -> bytes:
        before = self._build_metadata(published) if published else {}
        news = {}
        for namespace, fields in self._build_metadata(record).items():
            known = before.get(namespace, {})
            changed = {key: value for key, value in fields.items() if known.get(key) != value}
            if changed:
                news[namespace] = changed
        return encode_dynamic_metadata(news) if news else b""
