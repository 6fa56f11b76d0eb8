"""The shape of the house: who may import whom, and that every room has its tests. CONTRIBUTING.md tells why."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "extproc"
MODULES = sorted(
    path for path in PACKAGE.rglob("*.py") if not path.name.endswith("_pb2.py") and "__pycache__" not in path.parts
)
NAMES = [path.relative_to(ROOT).with_suffix("").as_posix().replace("/", ".") for path in MODULES]

# Each room, and the rooms below it that it may know. What is not named here may know everything.
VOCABULARY = {
    "extproc.errors",
    "extproc.usage",
    "extproc.semconv",
    "extproc.native",
    "extproc.surroundings",
    "extproc.credentials",
}
CODEC = VOCABULARY | {"extproc.codec"}
PROVIDERS = VOCABULARY | {"extproc.providers"}
READERS = CODEC | PROVIDERS | {"extproc.readers", "extproc.request_reader", "extproc.response_reader",
                               "extproc.stopwatch", "extproc.policy", "extproc.runs", "extproc.transcript"}  # fmt: skip
HEADERS = CODEC | PROVIDERS | {"extproc.headers"}
EXCHANGE = READERS | HEADERS | {"extproc.exchange", "extproc.question", "extproc.details", "extproc.policy",
                                "extproc.response", "extproc.injection", "extproc.include_usage",
                                "extproc.known"}  # fmt: skip
TELEMETRY_SCHEMA = {"extproc.config.forms", "extproc.config.section", "extproc.config.exporters",
                    "extproc.config.layers"}  # fmt: skip
ROOMS = {
    "extproc.credentials": set(),
    "extproc.errors": set(),
    "extproc.native": set(),
    "extproc.certificates": set(),
    "extproc.semconv": set(),
    "extproc.surroundings": set(),
    # What a label shows of a value is tried with the settings.
    "extproc.label_rules": {"extproc.errors"},
    "extproc.trace_context": VOCABULARY,
    "extproc.pace": set(),
    "extproc.memory": set(),
    "extproc.policy": EXCHANGE,
    "extproc.charging": VOCABULARY | {"extproc.charging"},
    "extproc.include_usage": CODEC,
    "extproc.injection": CODEC | PROVIDERS | {"extproc.headers", "extproc.include_usage", "extproc.question"},
    "extproc.usage": {"extproc.errors", "extproc.surroundings"},
    "extproc.codec": CODEC,
    "extproc.providers": PROVIDERS,
    "extproc.headers": HEADERS,
    "extproc.question": PROVIDERS,
    "extproc.details": VOCABULARY | {"extproc.known"},
    "extproc.readers": READERS,
    "extproc.request_reader": READERS,
    "extproc.response_reader": READERS,
    "extproc.response": READERS | HEADERS,
    "extproc.runs": CODEC | PROVIDERS | {"extproc.policy"},
    "extproc.transcript": CODEC | PROVIDERS | {"extproc.readers", "extproc.policy", "extproc.runs"},
    # Tokenizers: everybody else knows them as what counts texts.
    "extproc.estimates": {"extproc.policy", "extproc.estimates"},
    "extproc.estimates.preparation": {"extproc.estimates", "extproc.config.settings"},
    "extproc.stopwatch": VOCABULARY,
    "extproc.exchange": EXCHANGE,
    "extproc.wire": VOCABULARY | {"extproc.wire"},
    # Sessions name the protocol of a sink; which sinks there are is the composition root's business.
    "extproc.server": EXCHANGE
    | {
        "extproc.wire",
        "extproc.server",
        "extproc.sinks.base",
        "extproc.config.address",
        "extproc.trace_context",
        "extproc.certificates",
        "extproc.pace",
    },
    # Whoever supervises workers knows processes; and the parts of a supervisor do without gRPC.
    "extproc.server.workers": {
        "extproc.errors",
        "extproc.server.leash",
        "extproc.server.signals",
        "extproc.server.worker_process",
    },
    "extproc.server.worker_process": {"extproc.server.leash"},
    "extproc.server.leash": {"extproc.server.signals"},
    "extproc.server.signals": set(),
    "extproc.server.listen": {"extproc.errors", "extproc.config.address"},
    "extproc.server.unix_socket": {"extproc.errors", "extproc.config.address", "extproc.server.listen"},
    "extproc.sinks": VOCABULARY
    | {"extproc.sinks.base", "extproc.sinks.exemplars", "extproc.sinks.labels", "extproc.label_rules"},
    "extproc.sinks.tokens": VOCABULARY
    | {
        "extproc.sinks.exemplars",
        "extproc.sinks.labels",
        "extproc.sinks.prometheus",
        "extproc.sinks.token_families",
    },
    "extproc.sinks.unpriced": VOCABULARY | {"extproc.sinks.labels", "extproc.sinks.prometheus"},
    "extproc.sinks.usage_log": VOCABULARY | {"extproc.sinks.metadata", "extproc.sinks.line_output", "extproc.pace"},
    "extproc.sinks.line_output": {"extproc.errors"},
    "extproc.sinks.shared": set(),
    "extproc.sinks.recent": VOCABULARY | {"extproc.sinks.labels"},
    "extproc.sinks.recent_files": {"extproc.sinks.recent"},
    "extproc.sinks.processes": set(),
    # Traces and metrics for other systems: sinks, and what carries them off. The schema says what is wanted of them.
    "extproc.telemetry": VOCABULARY
    | {"extproc.telemetry", "extproc.sinks", "extproc.config.telemetry", "extproc.pace", "extproc.certificates"},
    # Prices: where they come from, and the arithmetic. Its schema says which are a deployment's own.
    "extproc.pricing": VOCABULARY | {"extproc.pricing", "extproc.config.prices"},
    "extproc.pricing.arithmetic": VOCABULARY | {"extproc.pricing.tariff"},
    "extproc.pricing.tariff": VOCABULARY,
    "extproc.pricing.names": VOCABULARY,
    "extproc.config": VOCABULARY | {"extproc.config"},
    "extproc.config.labels": VOCABULARY | {"extproc.config", "extproc.label_rules"},
    # Which flavours a rule may name.
    "extproc.config.settings": VOCABULARY | {"extproc.config", "extproc.providers.detect"},
    "extproc.config.telemetry": TELEMETRY_SCHEMA,
    "extproc.config.exporters": TELEMETRY_SCHEMA,
    "extproc.config.layers": TELEMETRY_SCHEMA,
    "extproc.config.section": {"extproc.config.forms"},
    "extproc.config.bounds": set(),
    # Which expressions are taken is told with the settings.
    "extproc.config.rate_limit": {"extproc.errors", "extproc.semconv", "extproc.charging", "extproc.config.section"},
    "extproc.config.lines": set(),
    "extproc.config.parsing": {"extproc.config.lines", "extproc.config.yaml_documents"},
    "extproc.config.yaml_documents": {"extproc.config.lines", "extproc.config.parsing"},
    "extproc.config.forms": {"extproc.errors", "extproc.credentials"},
    "extproc.config.address": {"extproc.errors"},
    # What the settings need of Envoy: to know it, it has to know what is read of messages.
    "extproc.config.needs": VOCABULARY
    | {"extproc.config", "extproc.headers", "extproc.trace_context", "extproc.telemetry.rules"},
    # Which limit is meant is known to who knows nothing else; the service knows what serves.
    "extproc.budgets": VOCABULARY
    | {
        "extproc.budgets",
        "extproc.wire.ratelimit",
        "extproc.config.budgets",
        "extproc.config.address",
        "extproc.server.health",
        "extproc.server.listen",
    },
    "extproc.budgets.rules": VOCABULARY | {"extproc.wire.ratelimit", "extproc.config.budgets"},
    "extproc.budgets.ledger": VOCABULARY | {"extproc.budgets.rules", "extproc.wire.ratelimit"},
    "extproc.status": VOCABULARY | {"extproc.config", "extproc.codec"},
    "extproc.admin": {"extproc.admin", "extproc.errors", "extproc.config.address", "extproc.pace"},
    "extproc.admin.recent": {"extproc.sinks.recent", "extproc.pace"},
    # Prints configuration for Envoy, and looks at that of a running one: from settings, without a sidecar.
    "extproc.envoyconfig": VOCABULARY
    | {"extproc.envoyconfig", "extproc.config", "extproc.upstreams", "extproc.charging.charges"},
    "extproc.doctor": VOCABULARY
    | {
        "extproc.doctor",
        "extproc.config",
        "extproc.headers",
        "extproc.status",
        "extproc.providers.vendors",
        "extproc.charging.charges",
    },
    # What people say of providers, for whoever puts an Envoy before them.
    "extproc.upstreams": PROVIDERS,
    # What the sidecar is made of, but for what carries bytes to it.
    "extproc.replay": EXCHANGE
    | {"extproc.replay", "extproc.sinks", "extproc.config", "extproc.pricing", "extproc.labelling"},
    "extproc.labelling": VOCABULARY | {"extproc.config", "extproc.label_rules", "extproc.sinks.labels"},
}

# The rooms that only compute know no way to do anything else.
PURE = ("extproc.credentials", "extproc.errors", "extproc.usage", "extproc.semconv", "extproc.native",
        "extproc.surroundings", "extproc.policy", "extproc.charging", "extproc.include_usage", "extproc.injection",
        "extproc.trace_context", "extproc.codec", "extproc.providers", "extproc.label_rules",
        "extproc.headers", "extproc.question", "extproc.readers", "extproc.request_reader",
        "extproc.pricing.tariff", "extproc.pricing.names", "extproc.pricing.arithmetic",
        "extproc.response", "extproc.response_reader", "extproc.stopwatch", "extproc.details",
        "extproc.runs", "extproc.transcript", "extproc.known", "extproc.exchange", "extproc.estimates.families",
        "extproc.estimates.counter", "extproc.budgets.rules")  # fmt: skip
IMPURE = {"grpc", "google", "prometheus_client", "opentelemetry", "asyncio", "os", "time", "socket", "logging",
          "threading", "random", "pathlib", "datetime", "envoy_data_plane", "structlog"}  # fmt: skip

# Who alone knows the package of prices: it takes long to load.
PRICE_PACKAGE = "extproc.pricing.catalog"

# Files that are tested under another name: what they are is only seen from there.
TESTED_ELSEWHERE = {
    "extproc.__main__": "tests/test_cli.py",
    "extproc.commands.config": "tests/test_config_commands.py",
    "extproc.commands.demo": "tests/test_cli.py",
    "extproc.commands.envoy_config": "tests/test_cli.py",
    "extproc.commands.doctor": "tests/e2e/test_doctor.py",
    "extproc.commands.options": "tests/test_cli.py",
    "extproc.commands.replay": "tests/test_cli.py",
    "extproc.commands.run": "tests/test_cli.py",
    "extproc.commands.serve": "tests/test_cli.py",
    "extproc.admin.answers": "tests/admin/test_server.py",
    "extproc.assignment": "tests/test_worker.py",
    "extproc.codec.payload": "tests/codec/test_framing.py",
    "extproc.config.bounds": "tests/config/test_settings.py",
    "extproc.config.exporters": "tests/config/test_telemetry.py",
    "extproc.config.layers": "tests/config/test_telemetry.py",
    "extproc.config.section": "tests/config/test_telemetry.py",
    "extproc.details": "tests/test_exchange_details.py",
    "extproc.doctor.codes": "tests/doctor/test_documented.py",
    "extproc.demo.access_log": "tests/e2e/test_sdks.py",
    "extproc.demo.course": "tests/e2e/test_demo.py",
    "extproc.demo.leash": "tests/demo/test_process.py",
    "extproc.demo.mock.anthropic": "tests/e2e/test_sdks.py",
    "extproc.demo.mock.bedrock": "tests/e2e/test_more_sdks.py",
    "extproc.demo.mock.cohere": "tests/e2e/test_more_sdks.py",
    "extproc.demo.mock.eventstream": "tests/e2e/test_more_sdks.py",
    "extproc.demo.mock.gemini": "tests/e2e/test_sdks.py",
    "extproc.demo.mock.language": "tests/e2e/test_sdks.py",
    "extproc.demo.mock.mistral": "tests/e2e/test_more_sdks.py",
    "extproc.demo.mock.ollama": "tests/e2e/test_more_sdks.py",
    "extproc.demo.mock.openai": "tests/e2e/test_sdks.py",
    "extproc.demo.mock.reply": "tests/e2e/test_sdks.py",
    "extproc.demo.mock.server": "tests/e2e/test_sdks.py",
    "extproc.demo.requests": "tests/e2e/test_demo.py",
    "extproc.demo.run": "tests/e2e/test_run.py",
    "extproc.demo.show": "tests/e2e/test_demo.py",
    "extproc.demo.stack": "tests/e2e/test_faults.py",
    "extproc.envoyconfig.access_log": "tests/envoyconfig/test_bootstrap.py",
    "extproc.envoyconfig.choices": "tests/test_cli.py",
    "extproc.envoyconfig.messages": "tests/envoyconfig/test_bootstrap.py",
    "extproc.envoyconfig.modes": "tests/envoyconfig/test_ext_proc.py",
    "extproc.envoyconfig.native": "tests/envoyconfig/test_bootstrap.py",
    "extproc.doctor.modes": "tests/e2e/test_doctor.py",
    "extproc.doctor.run": "tests/e2e/test_doctor.py",
    "extproc.doctor.traffic": "tests/e2e/test_doctor.py",
    "extproc.doctor.zero_body": "tests/e2e/test_doctor.py",
    "extproc.errors": "tests/test_exchange.py",
    "extproc.lifecycle": "tests/test_app.py",
    "extproc.reading": "tests/test_app.py",
    "extproc.reporting": "tests/test_observability.py",
    "extproc.listening": "tests/e2e/test_transport.py",
    "extproc.native": "tests/wire/test_ai.py",
    "extproc.policy": "tests/test_exchange.py",
    "extproc.request_reader": "tests/test_readers.py",
    "extproc.known": "tests/test_exchange.py",
    "extproc.runs": "tests/test_transcript.py",
    "extproc.response": "tests/test_exchange.py",
    "extproc.response_reader": "tests/test_readers.py",
    "extproc.server.aio": "tests/server/test_engine.py",
    "extproc.server.batches": "tests/server/test_completion_queue.py",
    "extproc.server.feeding": "tests/server/test_session.py",
    "extproc.server.observer": "tests/server/test_session.py",
    "extproc.server.processor": "tests/server/test_session.py",
    "extproc.server.queue_health": "tests/server/test_engine.py",
    "extproc.server.worker_process": "tests/server/test_workers.py",
    "extproc.sinks.base": "tests/server/test_session.py",
    "extproc.sinks.token_families": "tests/sinks/test_tokens.py",
    "extproc.surroundings": "tests/server/test_surroundings.py",
    "extproc.telemetry.sender": "tests/telemetry/test_delivery.py",
    "extproc.telemetry.series": "tests/telemetry/test_store.py",
    "extproc.telemetry.span": "tests/telemetry/test_spans.py",
}

MAX_FILE_LINES = 300
MAX_FUNCTION_LINES = 60


def tree_of(name: str) -> ast.Module:
    return ast.parse(MODULES[NAMES.index(name)].read_text())


def imports_of(name: str) -> Iterator[str]:
    for node in ast.walk(tree_of(name)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports say where they are from"
            module = node.module or ""
            for alias in node.names:
                inner = f"{module}.{alias.name}"
                yield inner if inner in NAMES else module


def is_in(name: str, rooms: set[str]) -> bool:
    return any(name == room or name.startswith(f"{room}.") for room in rooms)


@pytest.mark.parametrize("name", NAMES)
def test_a_room_knows_only_the_rooms_below_it(name: str) -> None:
    """So that each can be read, tested and replaced without those above it."""
    rooms = [room for room in ROOMS if is_in(name, {room})]
    if not rooms:
        return
    allowed = ROOMS[max(rooms, key=len)]
    known = {imported for imported in imports_of(name) if imported.startswith("extproc.")}
    assert {imported for imported in known if not is_in(imported, allowed)} == set()


@pytest.mark.parametrize("name", [name for name in NAMES if is_in(name, set(PURE))])
def test_a_pure_room_can_only_compute(name: str) -> None:
    """No clock, no socket, no log, no protobuf: what it does depends on what it is given."""
    assert {imported for imported in imports_of(name) if imported.partition(".")[0] in IMPURE} == set()


@pytest.mark.parametrize("name", [name for name in NAMES if not is_in(name, {"extproc.envoyconfig"})])
def test_nobody_needs_envoys_configuration_api_to_run(name: str) -> None:
    """It is large: for whoever prints configuration, and an oracle for tests."""
    assert not [imported for imported in imports_of(name) if imported.startswith("envoy_data_plane")]


@pytest.mark.parametrize("name", [name for name in NAMES if name != PRICE_PACKAGE])
def test_nobody_else_knows_the_package_of_prices(name: str) -> None:
    """It takes longer to load than a sidecar to be ready, and can be another one some day."""
    assert not [imported for imported in imports_of(name) if imported.startswith("genai_prices")]


@pytest.mark.parametrize("name", NAMES)
def test_a_file_says_what_it_is_for(name: str) -> None:
    """In its first lines."""
    assert ast.get_docstring(tree_of(name))


@pytest.mark.parametrize("name", NAMES)
def test_files_and_functions_stay_small(name: str) -> None:
    """What grows beyond wants to be two."""
    assert len(MODULES[NAMES.index(name)].read_text().splitlines()) <= MAX_FILE_LINES
    for node in ast.walk(tree_of(name)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            assert (node.end_lineno or 0) - node.lineno < MAX_FUNCTION_LINES, node.name


@pytest.mark.parametrize("name", NAMES)
def test_no_group_is_repeated_possessively(name: str) -> None:
    """Such expressions are wrong before Python 3.11.5: https://github.com/python/cpython/issues/106052."""
    assert not re.search(r"\)(?:[*+?]|\{[\d,]+\})\+[^+]", MODULES[NAMES.index(name)].read_text())


@pytest.mark.parametrize("name", [name for name in NAMES if not name.endswith("__init__")])
def test_a_file_has_its_tests(name: str) -> None:
    """At the same place under tests/, or where the table says."""
    parts = name.split(".")[1:]
    mirrored = ROOT.joinpath("tests", *parts[:-1], f"test_{parts[-1]}.py")
    elsewhere = TESTED_ELSEWHERE.get(name)
    assert mirrored.is_file() != (elsewhere is not None)
    assert elsewhere is None or (ROOT / elsewhere).is_file()


def test_the_table_of_exceptions_is_true() -> None:
    """Nothing stands in it that is no longer there."""
    assert set(TESTED_ELSEWHERE) <= set(NAMES)
    assert set(ROOMS) <= {".".join(name.split(".")[:depth]) for name in NAMES for depth in range(1, 5)}
