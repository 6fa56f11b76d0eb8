"""Providers behind a gateway, as people write them for `--upstream`: URL, or NAME=URL.

Owns: what an upstream may look like, and what is said of one that does not. Pure, but for asking where this machine
keeps the certificates it trusts.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from extproc import semconv
from extproc.errors import SettingsError
from extproc.providers.detect import Detector

_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,31}")
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?|[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*", re.ASCII)
_BASE_PATH = re.compile(r"[A-Za-z0-9._~%/@:+=-]*", re.ASCII)
_FORM = "use URL or NAME=URL, such as https://api.openai.com or anthropic=https://api.anthropic.com"

# Where Linux distributions and macOS keep their bundles, where Python does not know it.
_BUNDLES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem")

# What people call these, whose hosts are not known where a proxy or a mock stands in their place.
_PROVIDERS = {
    "azure": semconv.AZURE_AI_OPENAI,
    "bedrock": semconv.AWS_BEDROCK,
    "gemini": semconv.GCP_GEMINI,
    "mistral": semconv.MISTRAL_AI,
    "vertex": semconv.GCP_VERTEX_AI,
    "xai": semconv.X_AI,
}


@dataclass(frozen=True, slots=True)
class Upstream:
    """A provider behind the gateway. `name` is its path prefix, "" stands for the root."""

    name: str
    host: str
    port: int
    is_tls: bool
    base_path: str  # what the provider's own paths start with, without a slash at its end
    provider: str | None  # what the sidecar is to call it; None: it finds out

    @property
    def authority(self) -> str:
        """The host the provider is asked for, with its port where it is not the usual one."""
        usual = 443 if self.is_tls else 80
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == usual else f"{host}:{self.port}"


def parse_upstreams(texts: Sequence[str]) -> list[Upstream]:
    """Return the upstreams; raise SettingsError if one is wrong or two share a name."""
    upstreams = [parse_upstream(text) for text in texts]
    names = [upstream.name for upstream in upstreams]
    for name in names:
        if names.count(name) > 1:
            problem = f"two are named {name!r}" if name else "two have no name, and only one can have the root"
            raise SettingsError(f"--upstream: {problem}; {_FORM}")
    return upstreams


def parse_upstream(text: str) -> Upstream:
    """Return the upstream in `text`. Raises SettingsError."""
    name, equals, url = text.partition("=")
    if not equals or "://" in name:
        name, url = "", text
    elif not _NAME.fullmatch(name):
        raise SettingsError(f"--upstream: {name!r} is no name: up to 32 of a-z, 0-9, '_', '.' and '-'")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise SettingsError(f"--upstream: the URL has no valid host and port; {_FORM}") from None
    if "@" in parts.netloc:
        # Said without repeating it: what stands there is a secret.
        raise SettingsError(
            "--upstream: a URL with credentials; leave them out, clients send their own with each request"
        )
    if parts.query or parts.fragment:
        # Not repeated either: keys stand in queries.
        raise SettingsError(f"--upstream: a URL with a query; it must end with its path; {_FORM}")
    if parts.scheme not in ("http", "https") or not _HOST.fullmatch(host) or port == 0:
        raise SettingsError(f"--upstream: {text!r} is no http or https URL; {_FORM}")
    if not _BASE_PATH.fullmatch(parts.path):
        raise SettingsError(f"--upstream: {text!r} has a path that is none; escape what is not of a-z, 0-9 and -._~")
    return Upstream(
        name=name,
        host=host,
        port=port or (443 if parts.scheme == "https" else 80),
        is_tls=parts.scheme == "https",
        base_path=parts.path.rstrip("/"),
        provider=Detector().detect(host, parts.path).provider or _PROVIDERS.get(name, name) or None,
    )


def find_trust_store() -> str:
    """Return the file of certificates this machine trusts. Raises SettingsError if there is none."""
    known = ssl.get_default_verify_paths().cafile  # SSL_CERT_FILE, or where this Python was built to look
    for path in (known, *_BUNDLES):
        if path and Path(path).is_file():
            return path
    raise SettingsError("no file of trusted certificates found: name one in SSL_CERT_FILE")
