"""One exchange after the other: both of its sides played, and the ledger told."""

from __future__ import annotations

import asyncio

from soak.gateway import SoakGateway
from soak.ledger import Ledger
from soak.plays import ClientFaultError, Play, Truth
from soak.provider import Provider

_PLAY_SECONDS = 60.0


async def exchange(play: Play, ledger: Ledger, gateway: SoakGateway, provider: Provider) -> None:
    """Play one exchange, and tell the ledger."""
    ledger.open(play.request_id, play.kind, is_edited=play.is_edited)
    provider.parts[play.request_id] = play
    fault = None
    try:
        async with asyncio.timeout(_PLAY_SECONDS):
            await play.ask(gateway.stack.gateway)
    except ClientFaultError as error:
        fault = str(error)
    except (TimeoutError, OSError, asyncio.IncompleteReadError, ValueError) as error:
        fault = type(error).__name__
    await provider.done(play.request_id)
    ledger.tell(play.request_id, Truth(play.truth.known, play.truth.completions), fault)
