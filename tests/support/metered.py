"""What it is that an official client is served and metered."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

from support.counters import Counters
from support.gateway import Gateway
from support.recorder import Recorder

from extproc.demo.check import check_entry
from extproc.demo.mock.server import MockProviders


class OneExchange(Protocol):
    """Clients whose next request has this id, and whose answer is recorded as it came."""

    request_id: str
    recorder: Recorder


C = TypeVar("C", bound=OneExchange)


def assert_metered(
    call: Callable[[C], int], names: dict[str, object], clients: C, gateway: Gateway, providers: MockProviders
) -> None:
    """Call a provider, and fail if anything is not as it reported: bytes, metadata, counters.

    `call` returns the total of tokens as the client sees it, `names` is what the metadata says beside counts.
    """
    counters = Counters(gateway, str(names["provider"]), str(names["model"]))
    total = call(clients)
    entry = gateway.entry(clients.request_id)
    reply = providers.ledger[clients.request_id]
    assert bytes(clients.recorder.body) == reply.body
    assert reply.reported is not None
    assert [str(difference) for difference in check_entry(entry, reply, names)] == []
    # A client that knows the last event of its API may hang up behind it, before the end of the stream is through.
    assert entry["flags"] in (("-", "DC") if names["streaming"] else ("-",))
    ai = entry["ai"]
    assert total == reply.reported.total_tokens == ai["total_tokens"] == entry["hits_addend"]
    assert ("time_to_first_token_ms" in ai) is names["streaming"]
    counters.assert_moved_once_by(reply)
