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
    asked = news.since(None, ASKED)
    first = metadata_of(asked.news)
    assert first["ai.gateway"]["provider"] == "openai"
    assert first["envoy.ratelimit"] == {"hits_addend": 0}
    named = news.since(asked, NAMED)
    assert metadata_of(named.news) == {
        "ai.gateway": {"model": "gpt-4o"},
        "ai.gateway.kgateway.dev": {"model": "gpt-4o"},
    }
    counted = news.since(named, COUNTED)
    assert metadata_of(counted.news)["envoy.ratelimit"] == {"hits_addend": 7}
    assert news.since(counted, COUNTED).news == b""


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
    asked = news.since(None, ASKED)
    named = news.since(asked, NAMED)
    built = counting.built
    assert news.since(asked, NAMED) is named
    assert counting.built == built
    for _ in range(2):
        news.since(named, COUNTED)
        news.since(named, replace(NAMED, time_to_first_token_seconds=0.5))
    assert counting.built == built + 4
