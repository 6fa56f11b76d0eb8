from __future__ import annotations

from msgspec.structs import replace
from support.messages import metadata_of

from extproc.server.news import MetadataNews
from extproc.sinks.metadata import DynamicMetadata
from extproc.usage import Completion, TokenUsage, UsageRecord, UsageSource
from extproc.wire.envoy import Metadata

ASKED = UsageRecord(
    is_llm=True, completion=Completion.CANCELLED, duration_seconds=0.0, provider="openai", operation="chat"
)
NAMED = replace(ASKED, request_model="gpt-4o")
COUNTED = replace(NAMED, usage=TokenUsage(3, 4), usage_source=UsageSource.PARTIAL)


class Counting:
    """Builds metadata, and counts how often."""

    def __init__(self) -> None:
        self.built = 0

    def build(self, record: UsageRecord) -> Metadata:
        self.built += 1
        return DynamicMetadata().build(record)


def test_only_what_is_new_is_said() -> None:
    """Namespace by namespace; nothing at all where nothing is."""
    news = MetadataNews(DynamicMetadata().build)
    first = metadata_of(news.since(None, ASKED))
    assert first["ai.gateway"]["provider"] == "openai"
    assert first["envoy.ratelimit"] == {"hits_addend": 0}
    assert metadata_of(news.since(ASKED, NAMED)) == {
        "ai.gateway": {"model": "gpt-4o"},
        "ai.gateway.kgateway.dev": {"model": "gpt-4o"},
    }
    assert metadata_of(news.since(NAMED, COUNTED))["envoy.ratelimit"] == {"hits_addend": 7}
    assert news.since(COUNTED, COUNTED) == b""


def test_in_the_end_all_is_said() -> None:
    """Also what was said before; a namespace without anything to say is left out."""
    news = MetadataNews(DynamicMetadata().build)
    assert metadata_of(news.all_of(COUNTED))["ai.gateway"]["model"] == "gpt-4o"
    foreign = replace(COUNTED, is_llm=False)
    assert metadata_of(news.all_of(foreign)) == {"envoy.ratelimit": {"hits_addend": 7}}


def test_what_many_exchanges_say_alike_is_built_once() -> None:
    """Before there are counts or times, which are an exchange's own."""
    counting = Counting()
    news = MetadataNews(counting.build)
    assert news.since(ASKED, NAMED) == news.since(ASKED, NAMED)
    assert counting.built == 2
    for _ in range(2):
        news.since(NAMED, COUNTED)
        news.since(NAMED, replace(NAMED, time_to_first_token_seconds=0.5))
    assert counting.built == 2 + 8
