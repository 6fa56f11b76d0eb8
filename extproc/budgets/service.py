"""Envoy's rate-limit service on a port of its own: questions in, answers out.

Owns: the gRPC server, and that no call ends with more than its status: what clients send is in no message and no log.
Must not know how is decided.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import grpc
import structlog
from prometheus_client import CollectorRegistry

from extproc.budgets.deciding import Decider
from extproc.budgets.ledger import Ledger
from extproc.budgets.metrics import BudgetMetrics
from extproc.budgets.rules import Rule, Rules
from extproc.config.address import HostPort, parse_host_port
from extproc.config.budgets import BudgetSettings
from extproc.errors import DecodeError, SettingsError
from extproc.server import health as health_service
from extproc.server.health import Health
from extproc.server.listen import check_listen
from extproc.wire.ratelimit import METHOD, SERVICE, read_question, write_answer

log = structlog.stdlib.get_logger("extproc")

# A call only computes: more threads would only wait for one another.
_THREADS: Final = 2

# How long calls that have begun may take at the end.
_END_SECONDS: Final = 1.0

# /status is for people.
_MAX_RULES_SHOWN: Final = 1000

_OPTIONS: Final = (
    ("grpc.so_reuseport", 0),  # a port that is taken is an error, not a share of the calls
    ("grpc.max_receive_message_length", 2**20),
    # As for ext_proc: Envoy may be told to ping its connections.
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_ping_interval_without_data_ms", 1000),
    ("grpc.http2.max_ping_strikes", 0),
)


class BudgetServer:
    """The service, with what it knows. `clock` returns seconds since 1970."""

    def __init__(
        self, settings: BudgetSettings, registry: CollectorRegistry, clock: Callable[[], float] = time.time
    ) -> None:
        self._metrics = BudgetMetrics(registry)
        ledger = Ledger(settings.max_windows, self._metrics.forgot)
        self._decider = Decider(Rules(), ledger, self._metrics, clock)
        self._health = Health((SERVICE,))
        self._server = grpc.server(
            ThreadPoolExecutor(_THREADS, thread_name_prefix="budgets"), self._handlers(), options=_OPTIONS
        )
        self.address = parse_host_port(settings.listen)
        self.apply(settings)

    def apply(self, settings: BudgetSettings) -> None:
        """Go by other limits from now on. What was used of those that were there before stays used."""
        rules = Rules(settings.domains)
        self._metrics.show(rules.all)
        self._decider.told_when = settings.response_headers
        self._decider.rules = rules

    def start(self) -> None:
        """Listen; from now on `address` has the port. Raises SettingsError if the address can't be had."""
        try:
            check_listen(self.address)
            port = self._server.add_insecure_port(str(self.address))
        except SettingsError as error:
            raise SettingsError(f"budgets.listen: {error}") from None
        except RuntimeError:
            raise SettingsError(f"budgets.listen: cannot listen on {self.address}") from None
        self.address = HostPort(self.address.host, port)
        self._server.start()
        self._health.set_serving(True)

    def stop(self) -> None:
        """Refuse new calls, and return when those that have begun are done."""
        self._health.set_serving(False)
        self._server.stop(_END_SECONDS).wait()

    def describe(self) -> dict[str, object]:
        """Return what /status says: limits, and nothing of who has used them."""
        rules = self._decider.rules.all
        return {"listen": str(self.address), "rules": [_describe(rule) for rule in rules[:_MAX_RULES_SHOWN]]}

    def _handlers(self) -> list[grpc.GenericRpcHandler]:
        methods = ((SERVICE, METHOD, self._decide), (health_service.SERVICE, "Check", self._check))
        return [
            grpc.method_handlers_generic_handler(service, {name: grpc.unary_unary_rpc_method_handler(method)})
            for service, name, method in methods
        ]

    def _decide(self, request: bytes, context: grpc.ServicerContext) -> bytes:
        begin = time.perf_counter()
        try:
            question = read_question(request)
            if not question.domain or not question.descriptors:
                return self._refuse(context, "a domain and at least one descriptor are expected")
            answer = write_answer(self._decider.decide(question))
        except DecodeError:
            return self._refuse(context, "this is no RateLimitRequest")
        except Exception as error:  # noqa: BLE001 - its text may hold what a client has sent
            log.error("bug in budgets", error=type(error).__name__)  # noqa: TRY400 - as above
            return self._refuse(context, "bug", grpc.StatusCode.INTERNAL)
        self._metrics.seconds.observe(time.perf_counter() - begin)
        return answer

    def _refuse(
        self, context: grpc.ServicerContext, text: str, code: grpc.StatusCode = grpc.StatusCode.INVALID_ARGUMENT
    ) -> bytes:
        self._metrics.failed()
        context.set_code(code)
        context.set_details(text)
        return b""

    def _check(self, request: bytes, context: grpc.ServicerContext) -> bytes:
        response = self._health.check(request)
        if response is None:
            context.set_code(grpc.StatusCode.NOT_FOUND)
            context.set_details("no such service here")
        return response or b""


def _describe(rule: Rule) -> dict[str, object]:
    about: dict[str, object] = {"domain": rule.domain, "rule": rule.path}
    if rule.limit.name:
        about["name"] = rule.limit.name
    if rule.is_unlimited:
        return about | {"unlimited": True}
    about |= {"requests_per_unit": rule.limit.requests_per_unit, "unit": rule.limit.unit.name.lower()}
    return about | ({"shadow_mode": True} if rule.is_shadow else {})
