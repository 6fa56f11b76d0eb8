"""Is what the sidecar writes read anywhere, and by its right names?

Owns: what is found of access logs, and of every place in a configuration that names metadata. Must not know rate limits
as such.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from extproc import semconv
from extproc.doctor.attached import Attached
from extproc.doctor.documents import dig, message, objects, text, texts, walk
from extproc.doctor.findings import Finding, error, note
from extproc.doctor.forwarding import nearest
from extproc.doctor.sidecar import Expected

# %DYNAMIC_METADATA(namespace:key:key):length%, or with METADATA(DYNAMIC:
_COMMAND = re.compile(r"%(?:DYNAMIC_METADATA\(|METADATA\(DYNAMIC:)([^:)%\s]{1,200})(?::([^)%\s]{1,200}))?\)")

KEYS = tuple(
    sorted(
        value for name, value in vars(semconv).items() if name.startswith("KEY_") and value != semconv.KEY_HITS_ADDEND
    )
)

# Names of ours that a deployment may have changed for its own.
_OURS = (*semconv.DEFAULT_NAMESPACES, "ai.kgateway.io")

# Those that only print what a format says; others send metadata by themselves, or are not known.
_PRINTING = {"FileAccessLog", "StdoutAccessLog", "StderrAccessLog", "OpenTelemetryAccessLogConfig"}

_FORMAT = """\
log_format:
  json_format:
    ai: "%DYNAMIC_METADATA({namespace})%"
    # or one field: "%DYNAMIC_METADATA({namespace}:total_tokens)%\""""


# They write what their code or their settings say.
_SCRIPTS = {"Lua", "Wasm", "DynamicModuleFilter", "Config"}


def names_read(document: Any) -> Iterator[tuple[str, str]]:
    """Yield namespace and first key of all dynamic metadata that a document names; the key may be empty."""
    for each in walk(document):
        if isinstance(each, str):
            for match in _COMMAND.finditer(each):
                yield match[1], (match[2] or "").partition(":")[0]
        elif isinstance(each, dict) and isinstance(each.get("metadata_key"), dict):
            path = objects(each, "metadata_key", "path")
            yield text(each, "metadata_key", "key"), text(path[0], "key") if path else ""


def check_names(attached: Sequence[Attached], expected: Expected) -> Iterator[Finding]:
    """Find metadata that is read by names it does not have."""
    for each in attached:
        by_others = _written_by_others(each)
        scripts = [other.config for other in each.chain.filters if other.kind in _SCRIPTS]
        parts = [(each.chain.where, each.chain.manager | {"route_config": None})]
        parts += [(route.where, route.config) for route in each.chain.routes]
        parts += [
            (f"{each.chain.where} / {text(config, 'name') or 'routes'}", _without_routes(config))
            for config in each.chain.route_configs
        ]
        for where, document in parts:
            for namespace, key in dict.fromkeys(names_read(document)):
                if namespace not in by_others and not _mentions(scripts, [namespace]):
                    yield from _check_name(where, namespace, key, expected)


def _mentions(document: Any, namespaces: Iterable[str]) -> bool:
    """Say whether there is a text with one of these names: formatters of all kinds have words of their own (CEL)."""
    found = [each for each in walk(document) if isinstance(each, str)]
    return any(namespace in each for namespace in namespaces for each in found)


def _without_routes(config: dict[str, Any]) -> dict[str, Any]:
    hosts = [host | {"routes": None} for host in objects(config, "virtual_hosts")]
    return config | {"virtual_hosts": hosts}


def _written_by_others(attached: Attached) -> set[str]:
    """Return the namespaces that other filters of a chain write, as far as their configuration names them."""
    found = {each.name for each in attached.chain.filters if each is not attached.filter}
    for other in attached.chain.filters:
        if other is attached.filter:
            continue
        found.update(texts(other.config, "metadata_options", "receiving_namespaces", "untyped"))
        for each in walk(other.config):
            if isinstance(each, dict):
                found.add(text(each, "metadata_namespace"))
    return found


def _check_name(where: str, namespace: str, key: str, expected: Expected) -> Iterator[Finding]:
    if namespace in expected.namespaces or namespace == semconv.RATELIMIT_NAMESPACE:
        known = expected.charged_keys if namespace == semconv.RATELIMIT_NAMESPACE else KEYS
        if key and key not in known:
            meant = nearest(key, known, cutoff=0.5)
            hint = f"did you mean {meant}?" if meant else f"there are {', '.join(known)}"
            yield error(
                "metadata-key-misspelt",
                where,
                f"{namespace}:{key} is read, and there is no key {key}: {hint}",
                f'"%DYNAMIC_METADATA({namespace}:{meant or known[0]})%"',
            )
        return
    meant = nearest(namespace, expected.written)
    if namespace in _OURS or (meant and not namespace.startswith("envoy.filters.")):
        meant = meant or expected.namespaces[0] if expected.namespaces else meant
        yield error(
            "metadata-namespace-misspelt",
            where,
            f"{namespace} is read, under which the sidecar writes nothing: did you mean {meant}?",
            f'"%DYNAMIC_METADATA({meant}{":" + key if key else ""})%"\n'
            f"# or, in the sidecar's settings, metadata_namespaces: [{namespace}]",
        )


def check_access_log(attached: Sequence[Attached], expected: Expected) -> Iterator[Finding]:
    """Find access logs that say nothing of tokens."""
    for each in attached:
        if not each.hears_replies:
            continue
        logs = objects(each.chain.manager, "access_log") + objects(each.chain.listener, "access_log")
        kinds = {message(dig(log, "typed_config"))[0] for log in logs}
        if kinds <= _PRINTING and not _mentions(logs, expected.namespaces) and expected.namespaces:
            what = "Access logs do not have" if logs else "There is no access log that has"
            yield note(
                "access-log-without-metadata",
                each.chain.where,
                f"{what} the metadata of the sidecar.",
                _FORMAT.format(namespace=expected.namespaces[0]),
            )
