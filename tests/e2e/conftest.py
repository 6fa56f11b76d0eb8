"""What the end-to-end tests share: a gateway in front of the mock providers, and one in front of scripted servers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support.gateway import Gateway
from support.upstream import Upstream

from extproc.demo.mock.server import MockProviders


@pytest.fixture(scope="session", name="providers")
def _providers() -> Iterator[MockProviders]:
    with MockProviders() as providers:
        yield providers


@pytest.fixture(scope="session", name="gateway")
def _gateway(providers: MockProviders) -> Iterator[Gateway]:
    with Gateway(providers.addresses) as gateway:
        yield gateway


@pytest.fixture(name="upstream")
def _upstream() -> Iterator[Upstream]:
    """A server whose answers a test scripts."""
    with Upstream() as upstream:
        yield upstream


@pytest.fixture(name="scripted")
def _scripted(upstream: Upstream) -> Iterator[Gateway]:
    """A gateway whose OpenAI is `upstream`."""
    with Gateway({"openai": upstream.address}) as gateway:
        yield gateway
