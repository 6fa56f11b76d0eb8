"""Recorded exchanges with real providers: they cost what genai-prices itself says, or it is written here why not.

Its arithmetic is decimal and of many units, ours is of whole numbers and of the counts that the token contract has; so
each is the other's check. Once it is given our counts, and once it reads the answer itself, where that is a document.
"""

from __future__ import annotations

import gzip
import json
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path

import pytest
from genai_prices import Usage
from genai_prices.data import providers
from genai_prices.data_snapshot import DataSnapshot
from genai_prices.types import Provider
from support.exchanges import DETECTOR, LIMITS

from extproc.config.prices import PriceSettings
from extproc.pricing.book import PriceBook
from extproc.pricing.names import models_in_order, provider_of
from extproc.replay.folders import read_folder
from extproc.replay.play import Observer, Split, play
from extproc.usage import TokenUsage, UsageRecord

pytestmark = pytest.mark.recordings

# Some prices change by the hour.
NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
MICROS = 10**6
PACKAGE = DataSnapshot(providers=providers, from_auto_update=False)
PROVIDERS: Mapping[str, Provider] = {provider.id: provider for provider in providers}

# Field of TokenUsage -> genai-prices' own word.
UNITS = {
    "prompt_tokens": "input_tokens",
    "completion_tokens": "output_tokens",
    "cached_tokens": "cache_read_tokens",
    "cache_creation_tokens": "cache_write_tokens",
    "reasoning_tokens": "output_reasoning_tokens",
    "audio_prompt_tokens": "input_audio_tokens",
    "audio_completion_tokens": "output_audio_tokens",
}

BILLED = "Cohere says which units it charges for, and those are priced; the counts beside them are larger"
AS_ASKED = "it does not know the name in the answer; here the one that was asked for stands in"
NO_PRICE = "it has an empty list of prices for the model and takes that for 0; here it is no price"
THOUGHTS = "the thoughts are only in the total, and are charged as output here"
CACHED = "the answer tells of more cached tokens than of prompt tokens, which it refuses; here they are bounded"

INPUT_ONLY = "it reads answers of Cohere's first version as those of embeddings, which have no output"

WITH_OUR_COUNTS = {
    "azure-foundry-models-chat-stream": CACHED,
    "cohere-v1chat-plain": BILLED,
    "cohere-v1chat-stream-ndjson": BILLED,
    "cohere-v2chat-plain": BILLED,
    "cohere-v2chat-stream": BILLED,
    "cohere-v2chat-tools": BILLED,
    "copilot-chat-scrubbed": NO_PRICE,
    "gemini-openai-compat": THOUGHTS,
    "openai-completions-batch": AS_ASKED,
    "openai-completions-plain": AS_ASKED,
    "openai-completions-stream-usage": AS_ASKED,
    "openai-completions-token-batch": AS_ASKED,
}
WITH_ITS_OWN = {
    "cohere-generate": INPUT_ONLY,
    "cohere-v1chat-plain": INPUT_ONLY,
    "copilot-chat-scrubbed": NO_PRICE,
    "gemini-openai-compat": THOUGHTS,
    "openai-completions-batch": AS_ASKED,
    "openai-completions-plain": AS_ASKED,
    "openai-completions-token-batch": AS_ASKED,
}


@pytest.fixture(scope="module", name="records")
def _records(recordings: Path) -> dict[str, tuple[Path, UsageRecord]]:
    """Every recording with usage, by its name."""
    folders = [path for path in sorted(recordings.iterdir()) if path.is_dir()]
    observer = Observer(LIMITS, DETECTOR)
    played = {each.name: (each, play(read_folder(each, each.name), observer, Split())) for each in folders}
    return {name: (folder, record) for name, (folder, record) in played.items() if record.usage is not None}


def our_micros(record: UsageRecord) -> int | None:
    cost, is_unpriced = PriceBook(PriceSettings(), clock=lambda: NOW).price(record)
    assert is_unpriced == (cost is None)
    return None if cost is None else cost.usd_micros


def its_micros(record: UsageRecord, usage: Usage, model: str | None = None) -> int | str | None:
    """Return what genai-prices says; None where it knows no price, and its word where it refuses."""
    provider, models = (
        record.provider or "",
        models_in_order(record.provider, record.request_model, record.response_model),
    )
    name = model or (models[0] if models else "")
    try:
        calculated = PACKAGE.calc(usage, name, provider_of(provider, name), None, NOW)
    except LookupError:
        return None
    except ValueError:
        return "refused"
    return int((calculated.total_price * MICROS).quantize(Decimal(1), ROUND_HALF_UP))


def compare(seen: Mapping[str, tuple[int | None, int | str | None]], explained: Mapping[str, str]) -> Counter[str]:
    """Check that what differs is what is explained; return how many are what."""
    differing = {name: pair for name, pair in seen.items() if pair[0] != pair[1]}
    assert differing.keys() == explained.keys() & seen.keys(), str(differing)
    return Counter(
        "explained" if ours != its else "unpriced" if ours is None else "equal" for ours, its in seen.values()
    )


def test_costs_are_what_the_package_says_of_our_counts(records: Mapping[str, tuple[Path, UsageRecord]]) -> None:
    """To the micro-dollar."""
    seen = {}
    for name, (_, record) in records.items():
        assert record.usage is not None
        counts = {unit: getattr(record.usage, field) for field, unit in UNITS.items()}
        usage = Usage(**{unit: count for unit, count in counts.items() if count is not None})
        seen[name] = (our_micros(record), its_micros(record, usage))
    table = compare(seen, WITH_OUR_COUNTS)
    assert table["equal"] > 130


def test_costs_are_what_the_package_reads_in_the_answers(records: Mapping[str, tuple[Path, UsageRecord]]) -> None:
    """To the micro-dollar: nothing of ours is in its figure but who answered."""
    seen = {}
    for name, (folder, record) in records.items():
        extracted = extract(folder, PROVIDERS.get(provider_of(record.provider or "", record.model or "")))
        if extracted is not None:
            seen[name] = (our_micros(record), its_micros(record, *extracted))
    table = compare(seen, WITH_ITS_OWN)
    assert table["equal"] > 60


def extract(folder: Path, provider: Provider | None) -> tuple[Usage, str | None] | None:
    """Return what genai-prices reads in an answer that is a document, and the model it finds there.

    It has to be told what kind of answer it is, and does not refuse what it knows in part: the kind that finds most is
    the one. With Cohere it is its usual one; the other is of what is not charged for.
    """
    case = json.loads((folder / "case.json").read_text())
    body = (folder / "response.body").read_bytes()
    try:
        document = json.loads(gzip.decompress(body) if case["response_content_encoding"] == "gzip" else body)
    except ValueError:
        return None
    found: dict[str, tuple[str | None, Usage]] = {}
    for extractor in (provider.extractors if provider else None) or ():
        try:
            found[extractor.api_flavor] = extractor.extract(document)
        except (ValueError, TypeError, AttributeError):  # its own, where a model is a number
            continue
    if provider is not None and provider.id == "cohere" and "default" in found:
        found = {"default": found["default"]}
    model, usage = max(found.values(), key=lambda each: sum(vars(each[1]).values()), default=(None, None))
    return None if usage is None else (usage, model)


def test_what_is_compared_is_all_that_is_priced() -> None:
    """A count that the contract gets one day has to be compared as well."""
    others = {"provider_total_tokens", "tool_use_prompt_tokens", "billed_input_tokens", "billed_output_tokens"}
    assert {*UNITS} | others == {*TokenUsage.__struct_fields__}
