"""What settings of budgets become in a process: a rate-limit service, or nothing.

Owns: that there is one ledger, in the process that is alone or in the supervisor of several, and that whoever has no
budgets loads nothing of them. Must not know how is decided.
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry

from extproc.config.address import budgets_refusal
from extproc.config.settings import Settings
from extproc.errors import SettingsError
from extproc.server.listen import is_reached_by_others


class Budgeting:
    """The rate-limit service of a process, if it has one."""

    def __init__(self, settings: Settings, registry: CollectorRegistry) -> None:
        self._server = None
        if settings.budgets is not None:
            from extproc.budgets.service import BudgetServer  # noqa: PLC0415 - only who has budgets pays for it

            self._server = BudgetServer(settings.budgets, registry)

    def start(self, settings: Settings) -> None:
        """Listen. Raises SettingsError if the address can't be had, or others reach it who must not."""
        if self._server is None:
            return
        if not settings.allow_plaintext and is_reached_by_others(self._server.address):
            raise SettingsError(f"budgets.listen: {budgets_refusal(self._server.address)}")
        self._server.start()

    def apply(self, settings: Settings) -> None:
        """Go by other limits. Whether there are budgets at all is for the next start."""
        if self._server is not None and settings.budgets is not None:
            self._server.apply(settings.budgets)

    def stop(self) -> None:
        """End it, when nothing is left that Envoy could charge."""
        if self._server is not None:
            self._server.stop()

    def describe(self) -> dict[str, object]:
        """Return what /status says of it."""
        return {} if self._server is None else {"budgets": self._server.describe()}

    def place(self) -> dict[str, str]:
        """Return where it is, for the log."""
        return {} if self._server is None else {"budgets": str(self._server.address)}
