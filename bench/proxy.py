"""Envoy's configuration for a subject: a file of envoy/, with the upstream's socket put in.

Owns: what is changed of the file for a measurement, which is as little as can be: the provider is a Unix socket, and
the access log is written to nowhere, at the same cost as to anywhere.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from extproc.demo.bootstrap import Bootstrap

_EXT_PROC = "envoy.filters.http.ext_proc"
_FILE_LOG = "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog"


class Proxy(Bootstrap):
    """Envoy before the mock upstream, with the ext_proc filter or without."""

    def __init__(self, upstream: Path, *, file: str, has_ext_proc: bool) -> None:
        super().__init__(file)
        cluster = self._cluster("openai")
        cluster["type"] = "STATIC"
        cluster["load_assignment"]["endpoints"] = [{"lb_endpoints": [_endpoint(upstream)]}]
        del cluster["transport_socket"], cluster["typed_extension_protocol_options"]
        for log in self._connection_manager["access_log"]:
            log["name"] = "envoy.access_loggers.file"
            log["typed_config"] |= {"@type": _FILE_LOG, "path": "/dev/null"}
        if not has_ext_proc:
            self._remove_ext_proc()

    def _remove_ext_proc(self) -> None:
        filters: list[dict[str, Any]] = self._connection_manager["http_filters"]
        filters[:] = [each for each in filters if each["name"] != _EXT_PROC]
        for route in self.virtual_host["routes"]:
            route.pop("typed_per_filter_config", None)


def _endpoint(socket: Path) -> dict[str, Any]:
    return {"endpoint": {"address": {"pipe": {"path": str(socket)}}}}
