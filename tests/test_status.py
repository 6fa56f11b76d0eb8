from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.sidecar import Sidecar

from extproc.config.needs import find_needs
from extproc.config.settings import ListenTls, Settings
from extproc.status import build_status, find_addresses


def test_what_is_needed_of_envoy_is_told() -> None:
    """By the names that Envoy has for it, each need once."""
    telemetry = {"custom_labels": [{"name": "team", "metadataKey": "team"}], "inject_context": True,
                 "exporters": {"otlp": [{"name": "a", "host": "x"}]}}  # fmt: skip
    settings = Settings.model_validate({"metadata_namespaces": ["mine"], "telemetry": telemetry})
    status, needs = build_status(settings), find_needs(settings)
    assert status["metadata_namespaces"] == ["mine"]
    assert status["needs"] == {
        "receiving_namespaces": {"untyped": ["mine", "envoy.ratelimit"]},
        "forwarding_namespaces": {"untyped": ["envoy.filters.http.jwt_authn"], "typed": []},
        "request_headers": list(needs.request_headers),
        "response_headers": list(needs.response_headers),
        "label_headers": [],
        "all_headers": False,
        "request_attributes": ["xds.route_name"],
        "response_attributes": ["upstream.address", "upstream.tls_version"],
        "header_mutation": True,
        "mutated_headers": ["traceparent"],
        "edited_headers": ["accept-encoding", "content-length"],
    }


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (Settings(), ["127.0.0.1:18080"]),
        (Settings(workers=3), ["127.0.0.1:18080"]),
        (Settings(listen="unix:/run/x.sock"), ["unix:/run/x.sock"]),
        (Settings(listen="unix:/run/x.sock", workers=2), ["unix:/run/x-0.sock", "unix:/run/x-1.sock"]),
        (Settings(listen="unix-abstract:x", workers=2), ["unix-abstract:x-0", "unix-abstract:x-1"]),
    ],
)
def test_every_worker_has_an_address(settings: Settings, expected: list[str]) -> None:
    """A port is shared, a Unix socket is not."""
    assert find_addresses(settings) == expected


@pytest.mark.parametrize(("ca", "mtls"), [(None, False), ("/secret/ca.pem", True)])
def test_tls_is_told_without_where_keys_are(ca: str | None, mtls: bool) -> None:
    """Anybody who reaches the admin port can read it."""
    tls = ListenTls(cert_file="/secret/cert.pem", key_file="/secret/key.pem", client_ca_file=ca)
    telemetry = {"exporters": {"otlp": [{"name": "a", "host": "x", "headers": {"api-key": "hunter2"}}]}}
    status = build_status(Settings.model_validate({"listen_tls": tls, "telemetry": telemetry}))
    assert (status["tls"], status["mtls"]) == (True, mtls)
    assert "secret" not in json.dumps(status)
    assert "hunter2" not in json.dumps(status)


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_running_sidecar_says_where_it_listens(workers: str, tmp_path: Path) -> None:
    """Alone or with workers, on its admin port."""
    with Sidecar(tmp_path, "--workers", workers) as sidecar:
        code, text = sidecar.get("/status")
        status = json.loads(text)
        assert (code, status["workers"], status["listen"]) == (200, int(workers), sidecar.addresses)
        assert {"gzip", "br", "zstd"} <= set(status["content_codings"])


def test_a_port_that_was_any_is_told(tmp_path: Path) -> None:
    """Envoy needs the one there is."""
    with Sidecar(tmp_path, "--listen", "127.0.0.1:0") as sidecar:
        status = json.loads(sidecar.get("/status")[1])
        assert status["listen"] == [sidecar.address]
        assert not sidecar.address.endswith(":0")
        assert status["engine"] in {"completion_queue", "aio"}
