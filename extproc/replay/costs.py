"""How the cost of an exchange came about, or why it has none: in words a person can act on.

Owns: the sentences. Must not know how a capture is played or printed.
"""

from __future__ import annotations

from extproc.pricing.arithmetic import arithmetic
from extproc.pricing.book import PriceBook
from extproc.usage import UsageRecord

_UNKNOWN = "of unknown name"


def tell_cost(record: UsageRecord, book: PriceBook | None) -> str | None:
    """Return the arithmetic of a cost and whose prices these are; None where nothing is priced, or was used."""
    if book is None or record.usage is None or not record.is_llm:
        return None
    found = book.tariff(record)
    if record.cost is None or found is None:
        models = dict.fromkeys(model for model in (record.request_model, record.response_model) if model)
        named = " or ".join(models) or f"a model {_UNKNOWN}"
        return f"no price is known for {named} at {record.provider or f'a provider {_UNKNOWN}'}: see prices.models"
    source, tariff = found
    return f"{arithmetic(tariff, record.usage)} ({source})"
