"""What /status on the admin port says: what this sidecar is, where it listens, and what it needs of Envoy.

Owns: the document, which `extproc doctor` and people read. It holds names, addresses and switches: no credential, no
header's value, no path of a key. Must not know HTTP.
"""

from __future__ import annotations

from typing import Any

from extproc import __version__
from extproc.codec.content import CONTENT_CODINGS
from extproc.config.address import UnixSocket, parse_address
from extproc.config.needs import Needs, find_needs
from extproc.config.settings import Settings


def build_status(settings: Settings, *, engine: str | None = None) -> dict[str, Any]:
    """Return the document, ready for JSON.

    `engine` is what carries the messages, if that is known. A port 0 in the settings is told as such.
    """
    tls, charged = settings.listen_tls, settings.rate_limit
    return {
        "version": __version__,
        "engine": engine or settings.engine,
        "workers": settings.workers,
        "listen": find_addresses(settings),
        "tls": tls is not None,
        "mtls": tls is not None and tls.client_ca_file is not None,
        "metadata_namespaces": list(settings.metadata_namespaces),
        "needs": _describe(find_needs(settings)),
        "rate_limit": {
            "written_keys": list(charged.written_keys),
            "reserved_keys": list(charged.keys) if charged.when == "request" else [],
        },
        "max_whole_response_bytes": settings.max_whole_response_bytes,
        "content_codings": list(CONTENT_CODINGS),
    }


def find_addresses(settings: Settings) -> list[str]:
    """Return where the workers listen: each on a Unix socket of its own, or all on a shared port."""
    listen = parse_address(settings.listen)
    addresses = listen.of_workers(settings.workers) if isinstance(listen, UnixSocket) else (listen,)
    return list(map(str, addresses))


def _describe(needs: Needs) -> dict[str, Any]:
    """Return the needs, as Envoy's configuration names them. Typed namespaces are needed of no setting of ours."""
    return {
        "receiving_namespaces": {"untyped": list(needs.receiving_namespaces)},
        "forwarding_namespaces": {"untyped": list(needs.forwarding_namespaces), "typed": []},
        "request_headers": list(needs.request_headers),
        "response_headers": list(needs.response_headers),
        "label_headers": list(needs.label_headers),
        "all_headers": needs.all_headers,
        "request_attributes": list(needs.request_attributes),
        "response_attributes": list(needs.response_attributes),
        "header_mutation": needs.header_mutation,
        "mutated_headers": list(needs.mutated_headers),
        "edited_headers": list(needs.edited_headers),
    }
