"""Is Envoy new enough for what its configuration asks for?

Owns: which release of Envoy has learned what, as far as it matters here. A control plane may send what an older Envoy
passes over, or knows as something else. Must not know whether it is configured well.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from extproc.doctor.attached import Attached
from extproc.doctor.documents import dig, is_true, walk
from extproc.doctor.envoy import Envoy
from extproc.doctor.findings import Finding, error, warning

Version = tuple[int, int]

# The oldest that has carried exchanges to the sidecar, without allow_content_length_header.
OLDEST_TRIED: Version = (1, 36)

_STREAM_DONE: Version = (1, 33)
_CONTENT_LENGTH: Version = (1, 38)
_AI_PROTOCOL_MANAGER: Version = (1, 40)


def check_version(envoy: Envoy, attached: Sequence[Attached]) -> Iterator[Finding]:
    """Find features that this Envoy is too old for."""
    version = envoy.version[:2]
    if not version:
        return
    said = ".".join(map(str, envoy.version))
    for each in attached:
        for feature, since in _features(each):
            if version < since:
                wanted = ".".join(map(str, since))
                yield error(
                    "envoy-too-old",
                    each.where,
                    f"{feature} needs Envoy {wanted}, and this is {said}.",
                    f"# Envoy {wanted} or newer, or do without {feature}",
                )
    if version < OLDEST_TRIED:
        oldest = ".".join(map(str, OLDEST_TRIED))
        yield warning(
            "envoy-untried",
            "Envoy",
            f"This is {said}; the oldest that has been tried with the sidecar is {oldest}.",
            f"# Envoy {oldest} or newer",
        )


def _features(attached: Attached) -> Iterator[tuple[str, Version]]:
    """Yield what is used of what older Envoys do not have."""
    if attached.chain.find("AiProtocolManager"):
        yield "ai_protocol_manager", _AI_PROTOCOL_MANAGER
    if is_true(attached.filter.config, "allow_content_length_header"):
        yield "allow_content_length_header", _CONTENT_LENGTH
    documents = [route.config for route in attached.chain.routes]
    documents += [level for route in attached.chain.routes for level in route.per_filter]
    if any(dig(each, "apply_on_stream_done") is True for document in documents for each in walk(document)):
        yield "apply_on_stream_done", _STREAM_DONE
