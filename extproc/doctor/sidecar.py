"""What the sidecar says of itself, as values.

Owns: reading /status and /metrics, and what stands for them where there is no sidecar to ask. Must not know Envoy.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from extproc.config.settings import Settings
from extproc.doctor.documents import Object, is_true, obj, text, texts
from extproc.semconv import KEY_HITS_ADDEND, RATELIMIT_NAMESPACE
from extproc.status import build_status

Labels = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Expected:
    """What the sidecar writes and what it needs of Envoy, and where it listens."""

    namespaces: tuple[str, ...]
    forwarding_namespaces: tuple[str, ...]
    request_headers: tuple[str, ...]
    response_headers: tuple[str, ...]
    label_headers: tuple[str, ...]
    all_headers: bool
    request_attributes: tuple[str, ...]
    response_attributes: tuple[str, ...]
    mutated_headers: tuple[str, ...]
    edited_headers: tuple[str, ...]
    listen: tuple[str, ...]
    tls: bool
    mtls: bool
    content_codings: tuple[str, ...]
    max_whole_response_bytes: int
    charged_keys: tuple[str, ...] = (KEY_HITS_ADDEND,)  # all there are under envoy.ratelimit
    reserved_keys: tuple[str, ...] = ()  # those of charges of which some is reserved

    @property
    def written(self) -> tuple[str, ...]:
        """All namespaces there may be something of the sidecar's in."""
        return (*self.namespaces, RATELIMIT_NAMESPACE)


@dataclass(frozen=True, slots=True)
class Sidecar:
    """A sidecar. `is_ready` is None, and samples are missing, where its admin port gave no answer."""

    expected: Expected
    is_ready: bool | None = None
    version: str = ""
    samples: tuple[tuple[str, Labels, float], ...] = field(default=(), repr=False)

    def series(self, name: str) -> Iterator[tuple[Labels, float]]:
        """Yield the series of one name."""
        return ((labels, value) for found, labels, value in self.samples if found == name)

    def total(self, name: str) -> float:
        """Return the sum of all series of one name."""
        return sum(value for _, value in self.series(name))


def read_sidecar(status: Any, metrics: str, *, is_ready: bool | None, settings: Settings | None = None) -> Sidecar:
    """Return what a sidecar says; `settings`, if there are any, stand in the place of those it runs with."""
    known = build_status(settings or Settings())
    said = status if isinstance(status, dict) and status and settings is None else known
    where = status if isinstance(status, dict) and status else known
    return Sidecar(_expected(said, where), is_ready, text(status, "version"), tuple(_samples(metrics)))


def _expected(status: Object, running: Object) -> Expected:
    """Return what is expected by `status`, of a sidecar that listens as `running` says."""
    needs = obj(status, "needs")
    most = status.get("max_whole_response_bytes")
    return Expected(
        namespaces=texts(status, "metadata_namespaces"),
        forwarding_namespaces=texts(needs, "forwarding_namespaces", "untyped"),
        request_headers=texts(needs, "request_headers"),
        response_headers=texts(needs, "response_headers"),
        label_headers=texts(needs, "label_headers"),
        all_headers=is_true(needs, "all_headers"),
        request_attributes=texts(needs, "request_attributes"),
        response_attributes=texts(needs, "response_attributes"),
        mutated_headers=texts(needs, "mutated_headers"),
        edited_headers=texts(needs, "edited_headers"),
        listen=texts(running, "listen"),
        tls=is_true(running, "tls"),
        mtls=is_true(running, "mtls"),
        content_codings=texts(running, "content_codings"),
        max_whole_response_bytes=most if isinstance(most, int) else 0,
        charged_keys=texts(status, "rate_limit", "written_keys") or (KEY_HITS_ADDEND,),
        reserved_keys=texts(status, "rate_limit", "reserved_keys"),
    )


def _samples(metrics: str) -> Iterator[tuple[str, Labels, float]]:
    try:
        for family in text_string_to_metric_families(metrics):
            for sample in family.samples:
                yield sample.name, sample.labels, sample.value
    except ValueError:  # not Prometheus text, from here on
        return
