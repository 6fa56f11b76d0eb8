"""All that is looked for, and in which order.

Owns: which checks there are, and that one that fails takes nothing from the others. Must not know where documents come
from, or how findings are told.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from extproc.doctor.attached import find_attached
from extproc.doctor.attachment import (
    check_filter_enabled,
    check_filter_once,
    check_filter_order,
    check_filter_present,
    check_route_overrides,
)
from extproc.doctor.codings import check_compressors
from extproc.doctor.envoy import Envoy
from extproc.doctor.findings import Finding, note
from extproc.doctor.forwarding import (
    check_attributes,
    check_edits,
    check_forwarding,
    check_headers,
    check_mutation,
    check_receiving,
)
from extproc.doctor.health import check_sidecar
from extproc.doctor.modes import (
    check_bodies,
    check_buffers,
    check_failure_mode,
    check_headers_shown,
    check_observability,
    check_timeout,
)
from extproc.doctor.rate_limits import check_rate_limits
from extproc.doctor.reading import check_access_log, check_names
from extproc.doctor.sidecar import Sidecar
from extproc.doctor.traffic import check_streams
from extproc.doctor.upstream import check_cluster
from extproc.doctor.versions import check_version
from extproc.doctor.zero_body import check_zero_body

_Check = Callable[[], Iterator[Finding]]


def find_all(envoy: Envoy | None, sidecar: Sidecar) -> Iterator[Finding]:
    """Yield what is found; without an Envoy, what is found of the sidecar alone."""
    checks: list[_Check] = [partial(check_sidecar, sidecar)]
    if envoy is not None:
        checks += _checks_of(envoy, sidecar)
    for check in checks:
        yield from _carefully(check)


def _checks_of(envoy: Envoy, sidecar: Sidecar) -> list[_Check]:
    expected = sidecar.expected
    attached = find_attached(envoy, expected)
    by_envoy = (check_filter_present, check_filter_order, check_filter_once, check_filter_enabled,
                check_route_overrides, check_version)  # fmt: skip
    by_filter = (check_timeout, check_failure_mode, check_headers_shown, check_bodies, check_zero_body)
    by_need = (check_receiving, check_forwarding, check_headers, check_attributes, check_mutation, check_edits,
               check_observability,
               check_buffers, check_compressors, check_names, check_access_log, check_rate_limits)  # fmt: skip
    return [
        *(partial(check, envoy, attached) for check in by_envoy),
        *(partial(check, attached) for check in by_filter),
        *(partial(check, attached, expected) for check in by_need),
        partial(check_cluster, envoy, attached, expected),
        partial(check_streams, envoy, attached),  # what follows of all this comes behind it
    ]


def _carefully(check: _Check) -> Iterator[Finding]:
    """Yield what a check finds. It reads what nobody has promised the shape of; should it fail, that is told."""
    try:
        yield from list(check())
    except Exception as error:  # noqa: BLE001 - as above
        name = getattr(getattr(check, "func", check), "__name__", "?")
        yield note(
            "check-failed",
            "doctor",
            f"{name} could not be carried out: {type(error).__name__}. The rest was looked at.",
            "# a bug: report it, with the versions of both",
        )
