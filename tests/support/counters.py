"""The counters of one provider's model, and by how much an exchange moved them."""

from __future__ import annotations

from support.gateway import Gateway
from support.waiting import wait_for

from extproc.demo.check import REQUEST_COUNTER, TOKEN_COUNTERS
from extproc.demo.mock.reply import Reply


class Counters:
    """The counters as they stand when this is made, of one `llm` and `model`."""

    def __init__(self, gateway: Gateway, llm: str, model: str) -> None:
        self._gateway = gateway
        self._labels = frozenset({("llm", llm), ("model", model)})
        self._before = self._read()

    def _read(self) -> dict[str, float]:
        metrics = self._gateway.metrics()
        return {name: metrics.get((name, self._labels), 0) for name in (REQUEST_COUNTER, *TOKEN_COUNTERS)}

    def assert_moved_once_by(self, reply: Reply) -> None:
        """Wait until an exchange is counted; fail if they moved by other than what the provider reported."""
        wait_for(lambda: self._read()[REQUEST_COUNTER] > self._before[REQUEST_COUNTER])
        moved = {name: value - self._before[name] for name, value in self._read().items()}
        counts = {name: getattr(reply.reported, field, 0) for name, field in TOKEN_COUNTERS.items()}
        assert moved == counts | {REQUEST_COUNTER: 1}
