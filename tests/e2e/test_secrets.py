"""Secrets in every input of a sidecar that says all it can, looked for in everything that leaves it.

They are planted once, all of them, and each test looks into one place. To have what was looked for and where as a page:
`EXTPROC_LEAK_TABLE=leaks.md pytest tests/e2e/test_secrets.py`.
"""

from __future__ import annotations

import http.client
import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import grpc
import pytest
from support import breaking_sidecar
from support.client import ExtProcClient
from support.dumps import dump_of
from support.here import run_here
from support.leak_traffic import Traffic, answer, controls, exchange, question, traffic
from support.otlp import GrpcReceiver, HttpReceiver
from support.planted import Planted, spelled, write_table
from support.sidecar import Sidecar, children_of
from support.upstream import Reply, Upstream
from support.waiting import wait_for

from extproc.demo.bootstrap import Bootstrap
from extproc.wire.ext_proc_pb2 import ProcessingResponse

pytestmark = pytest.mark.e2e

# Any header is reported where that is asked for, but for those that may hold a credential.
REPORTED = ("content type", "answer content type", "answer header x-amzn-errortype", "header baggage")
RECORD = frozenset({"log", "metrics", "usage log", "metadata", "OTLP spans", "OTLP metrics"})
# What somebody has asked for, and where it then is.
ASKED_FOR = {
    "asked for: model name": RECORD,
    "asked for: label of a header": RECORD - {"metadata", "log"},
    "asked for: reported header": frozenset({"OTLP spans"}),
    # What a label says is in what was still made; not in the log, where the bug is told.
    "told before a bug in line": RECORD - {"metadata", "log", "usage log"},
    "told before a bug in span": RECORD - {"metadata", "log", "OTLP spans"},
    **dict.fromkeys(REPORTED, frozenset({"OTLP spans"})),
}
PLACES = ("log", "metrics", "usage log", "metadata", "gRPC status", "admin pages", "arguments", "OTLP spans",
          "OTLP metrics", "commands")  # fmt: skip


class Leaks:
    """A context: what was planted, and what is in each place once all of it has passed."""

    def __init__(self, folder: Path) -> None:
        self.plant = Planted()
        self.places: dict[str, bytes] = dict.fromkeys(PLACES, b"")
        self._folder = folder

    def run(self) -> None:
        """Let everything pass, and gather what it leaves."""
        with GrpcReceiver() as over_grpc, HttpReceiver() as over_http:
            config, environ = self._config(over_grpc.port, over_http.port)
            launcher = (sys.executable, "-X", "dev", breaking_sidecar.__file__)
            with Sidecar(self._folder, "--config", str(config), environ=environ, launcher=launcher) as sidecar:
                with ExtProcClient(sidecar.address) as client:
                    for each in (*traffic(self.plant), *controls(self.plant)):
                        self._send(client, each)
                self._ask_admin(sidecar)
                self.places["arguments"] += _arguments_of(sidecar.process.pid)
                assert sidecar.stop() == 0
                self.places["log"] += sidecar.log.encode()
            for receiver in (over_grpc, over_http):
                for request in receiver.requests:
                    kind = "OTLP spans" if "Trace" in type(request.message).__name__ else "OTLP metrics"
                    self.places[kind] += request.body + str(request.message).encode()
        self.places["usage log"] += (self._folder / "usage.jsonl").read_bytes()
        self._kill_workers()
        self._run_commands()

    def _config(self, grpc_port: int, http_port: int) -> tuple[Path, dict[str, str]]:
        plant, path = self.plant, self._folder / "extproc.json"
        reports = {"report_headers": True}
        secret = {
            "authorization": f"Bearer {plant.plain('setting: header')}",
            "x-plain": plant.plain("setting: other header"),
        }
        both = [
            {"name": "grpc", "host": "localhost", "port": grpc_port, "headers": secret},
            {"name": "http", "host": "localhost", "port": http_port, "use_http": True, "encoding": "json"},
        ]
        telemetry = {
            "exporters": {"otlp": both},
            "queue": {"delay_seconds": 0.05},
            "metric_reporting_period": 1,
            "layers": {"global": reports, "backend": {"traces": reports | {"report_stop_sequences": False}}},
            "custom_labels": [
                {"name": "tenant", "header": "x-tenant"},
                {"name": "team", "metadataKey": "payload:team"},
            ],
        }
        settings = {"log_level": "debug", "usage_log": str(self._folder / "usage.jsonl"), "telemetry": telemetry,
                    "usage": {"estimate": "partial"}}  # fmt: skip
        path.write_text(json.dumps(settings))
        return path, {
            "OTEL_EXPORTER_OTLP_HEADERS": f"api-key={plant.plain('variable: header')}",
            "OPENAI_API_KEY": plant.plain("variable: of somebody else"),
            "EXTPROC_TOKEN": plant.key("variable: no such setting"),
        }

    def _send(self, client: ExtProcClient, what: Traffic) -> None:
        call = client.process(what.messages, what.metadata)
        with suppress(grpc.RpcError):
            for reply in call:
                self.places["metadata"] += _said(reply)
        status = (call.code(), call.details(), call.initial_metadata(), call.trailing_metadata())
        self.places["gRPC status"] += repr(status).encode()

    def _ask_admin(self, sidecar: Sidecar) -> None:
        for path in (
            "/metrics",
            "/status",
            "/",
            "/livez",
            f"/{self.plant.plain('admin path')}?key={self.plant.plain('admin query')}",
            f"/metrics?name[]=break-scrape-{self.plant.plain('bug in a scrape')}",
        ):
            kind = "metrics" if path == "/metrics" else "admin pages"
            for accept in ("*/*", "application/openmetrics-text"):
                headers = {
                    "authorization": f"Bearer {self.plant.plain(f'admin header {path} {accept}')}",
                    "accept": accept,
                }
                self.places[kind] += _answered(sidecar.admin, "GET", path, headers)
        for method in ("POST", "TRACE", self.plant.plain("admin method").upper()):
            self.places["admin pages"] += _answered(
                sidecar.admin, method, "/status", {"cookie": self.plant.plain(f"admin {method}")}
            )
        host = {"host": f"{self.plant.plain('admin host')}.example"}
        self.places["admin pages"] += _answered(sidecar.admin, "GET", "/nothing", host)

    def _kill_workers(self) -> None:
        """Have a worker that has seen secrets killed, and one that is told to dump what it does."""
        folder = self._folder / "workers"
        folder.mkdir()
        environ = {"EXTPROC_LOG_LEVEL": "debug", "PYTHONFAULTHANDLER": "1"}
        with Sidecar(folder, "--workers", "2", environ=environ) as sidecar:
            secret = question(user=self.plant.text("prompt of a killed worker"))
            for address in sidecar.addresses:
                with ExtProcClient(address) as client:
                    self._send(client, exchange(secret, answer()))
            victims = sidecar.workers
            for number, victim in zip((signal.SIGKILL, signal.SIGSEGV), victims, strict=True):
                self.places["arguments"] += _arguments_of(victim)
                os.kill(victim, number)
            wait_for(lambda: len(set(sidecar.workers) - set(victims)) == len(victims))
            self.places["metrics"] += sidecar.get("/metrics")[1].encode()
            assert sidecar.stop() == 0
            self.places["log"] += sidecar.log.encode()

    def _run_commands(self) -> None:
        for arguments, environ in (*_wrong_settings(self.plant, self._folder), *self._good_settings()):
            done = run_here(*arguments, environ=environ)
            self.places["commands"] += done.printed.encode()
        with Upstream(_envoy_with_secrets(self.plant)) as envoy:
            done = run_here("doctor", "--envoy-admin", f"http://{envoy.address}", "--json")
            assert "1 HTTP filter chain" in done.printed
            self.places["commands"] += done.printed.encode()

    def _good_settings(self) -> Iterator[tuple[list[str], dict[str, str]]]:
        environ = {"OTEL_EXPORTER_OTLP_HEADERS": f"api-key={self.plant.plain('config show: variable')}"}
        for flags in (["show"], ["show", "--json"], ["schema"]):
            config = [] if flags == ["schema"] else ["--config", str(self._folder / "extproc.json")]
            yield ["config", *flags, *config], environ


def _said(reply: bytes) -> bytes:
    """Return what a reply says, but for a body that goes on as it came."""
    response = ProcessingResponse.FromString(reply)
    for part in (response.request_body, response.response_body):
        part.response.ClearField("body_mutation")
    return response.SerializeToString() + str(response).encode()


def _answered(admin: str, method: str, path: str, headers: dict[str, str]) -> bytes:
    connection = http.client.HTTPConnection(admin, timeout=10)
    try:
        connection.request(method, path, headers=headers)
        response = connection.getresponse()
        return f"{response.status} {response.reason} {response.headers}".encode() + response.read()
    finally:
        connection.close()


def _arguments_of(pid: int) -> bytes:
    files = [Path(f"/proc/{each}/{name}") for each in (pid, *children_of(pid)) for name in ("cmdline", "comm")]
    return b"\n".join(file.read_bytes() for file in files)


def _wrong_settings(plant: Planted, folder: Path) -> Iterator[tuple[list[str], dict[str, str]]]:
    """Yield commands that refuse settings with secrets in them."""
    for name, write in _WRONG_FILES.items():
        path = folder / "wrong.yaml"
        path.write_text(write(plant.plain(f"wrong file: {name}")))
        yield ["config", "check", str(path)], {}
    for name, (variable, write) in _WRONG_VARIABLES.items():
        yield ["config", "show"], {variable: write(plant.plain(f"wrong variable: {name}"))}
    yield ["config", "show", "--listen", f"Bearer {plant.plain('wrong flag')}"], {}


_OTLP = "telemetry: {{exporters: {{otlp: [{{name: a, host: localhost, {}}}]}}}}\n"
_WRONG_FILES: dict[str, Callable[[str], str]] = {
    "syntax": lambda secret: f"telemetry:\n  exporters: [\n  password: {secret}\n",
    "tag": lambda secret: f"listen: !{secret} x\n",
    "anchor": lambda secret: f"listen: *{secret}\n",
    "control character": lambda secret: f"listen: {secret}\x01\n",
    "no mapping": lambda secret: f"{secret}\n",
    "JSON": lambda secret: f'{{"listen": "sk-proj-{secret}", }}',
    "unknown key": lambda secret: f"api_key: {secret}\ntelemetry: {{token: {secret}}}\n",
    "headers": lambda secret: _OTLP.format(f"headers: {{authorization: [{secret}]}}"),
    "headers as text": lambda secret: _OTLP.format(f"headers: 'authorization={secret}'"),
    "header with a line break": lambda secret: _OTLP.format(f'headers: {{x: "{secret}\\n"}}'),
    "name of a header": lambda secret: _OTLP.format(f"headers: {{'authorization {secret}': x}}"),
    "endpoint": lambda secret: _OTLP.format(f"traces: {{endpoint: 'https://user:{secret}@x.example/'}}"),
    "query": lambda secret: _OTLP.format(f"traces: {{endpoint: 'https://x.example/?key={secret}'}}"),
    "host": lambda secret: f"telemetry: {{exporters: {{otlp: [{{name: a, host: 'user:{secret}@x'}}]}}}}\n",
    "key as a file": lambda secret: f"listen_tls: {{cert_file: x, key_file: '-----BEGIN PRIVATE KEY----- {secret}'}}\n",
    "attribute": lambda secret: f"telemetry: {{resource_attributes: {{api_key: [{secret}]}}}}\n",
    "level": lambda secret: f"log_level: sk-proj-{secret}\n",
    "number": lambda secret: f"max_body_bytes: 'Bearer {secret}'\n",
    "address": lambda secret: f"listen: 'sk-proj-{secret}'\n",
    "redis": lambda secret: f"budgets: {{store: 'redis://:{secret}@x'}}\n",
}
_WRONG_VARIABLES: dict[str, tuple[str, Callable[[str], str]]] = {
    "telemetry": ("EXTPROC_TELEMETRY", lambda secret: f'{{"exporters": "{secret}'),
    "rules": ("EXTPROC_DETECTION_RULES", lambda secret: f"sk-proj-{secret}"),
    "listen": ("EXTPROC_LISTEN", lambda secret: f"Bearer {secret}"),
    "headers": ("OTEL_EXPORTER_OTLP_HEADERS", lambda secret: f"{secret}"),
    "more headers": ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", lambda secret: f"authorization=Bearer {secret},=x"),
    "endpoint": ("OTEL_EXPORTER_OTLP_ENDPOINT", lambda secret: f"http://user:{secret}@x.example"),
    "attributes": ("OTEL_RESOURCE_ATTRIBUTES", lambda secret: f"api_key={secret},x"),
    "kgateway": ("LOG_LEVEL", lambda secret: f"sk-proj-{secret}"),
}


def _envoy_with_secrets(plant: Planted) -> Callable[[Reply], None]:
    """Return what answers as an Envoy whose configuration has secrets in it."""
    bootstrap = Bootstrap("envoy.yaml")
    bootstrap.ext_proc["grpc_service"]["initial_metadata"] = [
        {"key": "authorization", "value": plant.key("Envoy: metadata")}
    ]
    bootstrap.virtual_host["request_headers_to_add"] = [
        {"header": {"key": "api-key", "value": plant.plain("Envoy: header")}}
    ]
    dump = dump_of(bootstrap)
    dump["configs"].append({"@type": "x", "secret": {"private_key": {"inline_string": plant.plain("Envoy: secret")}}})

    def reply(asked: Reply) -> None:
        asked.send(json.dumps(dump if asked.path.startswith("/config_dump") else {"stats": []}).encode())

    return reply


@pytest.fixture(scope="module", name="leaks")
def _leaks(tmp_path_factory: pytest.TempPathFactory) -> Leaks:
    leaks = Leaks(tmp_path_factory.mktemp("leaks"))
    leaks.run()
    if path := os.environ.get("EXTPROC_LEAK_TABLE"):
        found = {place: leaks.plant.found_in(text) for place, text in leaks.places.items()}
        table = {place: {name: name in names for name in leaks.plant.cores} for place, names in found.items()}
        write_table(Path(path), table, ASKED_FOR)
    return leaks


@pytest.mark.parametrize("place", PLACES)
def test_no_secret_is_anywhere_but_where_somebody_asked_for_it(leaks: Leaks, place: str) -> None:
    """And what was asked for is found there, by the same search."""
    assert leaks.places[place]
    assert leaks.plant.found_in(leaks.places[place]) == {name for name, places in ASKED_FOR.items() if place in places}


def test_bugs_were_met_and_told_by_their_places(leaks: Leaks) -> None:
    """Or nothing of them could have leaked."""
    lines = [json.loads(line) for line in leaks.places["log"].decode().splitlines() if line[:1] == "{"]
    told = [line for line in lines if "exception" in line]
    assert {line["exception"] for line in told} == {"RuntimeError"}
    assert len(told) >= len(breaking_sidecar.PLACES), told


@pytest.mark.parametrize("form", spelled("").keys())
def test_the_search_knows_a_secret_in_every_form(form: str) -> None:
    """What it does not know it can't find."""
    plant = Planted()
    core = plant.plain("one")
    plant.plain("another")
    assert plant.found_in(spelled(core)[form].encode()) == {"one"}
    assert not plant.found_in(b"nothing of the kind")
