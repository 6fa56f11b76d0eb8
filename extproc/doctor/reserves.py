"""Is what limits are charged with a request put right when the exchange is over?

Owns: what is found of limits that go by the amounts under `rate_limit.when: request`: one that is reserved, and of the
difference to what was used the part that is charged and the part that is given back. Must not know other limits.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from extproc.charging.charges import REFUND, RESERVED, TRUE_UP
from extproc.doctor.documents import Object, dig, is_true
from extproc.doctor.findings import Finding, error, warning
from extproc.doctor.reading import names_read
from extproc.doctor.sidecar import Expected
from extproc.semconv import RATELIMIT_NAMESPACE

_ENTRIES = """\
rate_limits:
- actions: [...]                     # charges what a request may use
  hits_addend: {{format: "%DYNAMIC_METADATA({namespace}:{key}_reserved)%"}}
- actions: [...]                     # the same; charges what it was more
  apply_on_stream_done: true
  hits_addend: {{format: "%DYNAMIC_METADATA({namespace}:{key}_true_up)%"}}
- actions: [...]                     # the same; gives back what it was less
  apply_on_stream_done: true
  hits_addend: {{format: "%DYNAMIC_METADATA({namespace}:{key}_refund)%", is_negative_hits: true}}"""


def reads_reserved(entry: Object, expected: Expected) -> bool:
    """Say whether a limit charges what is reserved."""
    return any(key + RESERVED in _keys_read(entry) for key in expected.reserved_keys)


def check_reserves(where: str, entries: Sequence[Object], expected: Expected, *, is_seen: bool) -> Iterator[Finding]:
    """Find what is reserved and stays so; `is_seen` says that the limiter is asked when the sidecar has seen a request.

    `entries` are the limits of a route.
    """
    asked = {key for entry in entries if not _is_done(entry) for key in _keys_read(entry)}
    charged = {key for entry in entries if _is_done(entry) and not _gives_back(entry) for key in _keys_read(entry)}
    given_back = {key for entry in entries if _gives_back(entry) for key in _keys_read(entry)}
    for key in expected.reserved_keys:
        mend = _ENTRIES.format(namespace=RATELIMIT_NAMESPACE, key=key)
        if key + REFUND in charged:
            yield error(
                "rate-limit-refund-charged",
                where,
                f"A limit reads {key}{REFUND} without is_negative_hits: what should be given back is charged.",
                mend,
            )
        if key + RESERVED not in asked:
            continue
        if key in charged:
            yield error(
                "rate-limit-charged-twice",
                where,
                f"Limits charge {key}{RESERVED} with the request, and {key}, which it is a part of, at the end.",
                mend,
            )
        elif key + TRUE_UP not in charged or key + REFUND not in given_back:
            yield error(
                "rate-limit-never-trued-up",
                where,
                f"A limit charges {key}{RESERVED} with the request, and the difference to what was used is not charged "
                "or not given back at the end.",
                mend,
            )
        if not is_seen:
            yield warning(
                "rate-limit-reserves-nothing",
                where,
                f"A limit charges {key}{RESERVED} with the request, and is asked before the sidecar has seen it: it "
                "charges 0. The sidecar reserves nothing then, and all is charged at the end.",
                "request_body_mode: BUFFERED_PARTIAL   # and ext_proc before envoy.filters.http.ratelimit",
            )


def _keys_read(entry: Object) -> set[str]:
    names = names_read(dig(entry, "hits_addend"))
    return {key for namespace, key in names if namespace == RATELIMIT_NAMESPACE}


def _is_done(entry: Object) -> bool:
    return is_true(entry, "apply_on_stream_done")


def _gives_back(entry: Object) -> bool:
    return _is_done(entry) and is_true(entry, "hits_addend", "is_negative_hits")
