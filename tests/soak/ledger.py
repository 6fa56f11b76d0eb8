"""The ledger: what providers have sent, what the usage log and the access log say, exchange by exchange.

An exchange balances if all three say the same. One that does not has to be explained by a rule with a name; rules are
about the worker that it was on, which Envoy tells, and the times at which that worker was killed and was there again.
Balanced exchanges are forgotten but for their sums, so that the ledger does not grow with the traffic.
"""

from __future__ import annotations

import enum
import threading
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from soak.plays import Truth
from support.loss_streams import NOTHING, Counts

KEYS = ("prompt_tokens", "completion_tokens", "total_tokens")

# A line of the usage log waits for others at most so long before it is written, and a busy machine adds to that.
_LINE_WAITS_SECONDS = 0.1 + 0.4


class Rule(enum.StrEnum):
    """Why an exchange does not balance."""

    KILLED = "its worker was killed while it ran"
    NOBODY_LISTENED = "its worker was not there yet when it began"
    NEVER_ASKED = "its client was gone before Envoy had asked a worker"
    LINE_LOST = "its line had not been written when its worker was killed"


@dataclass(frozen=True)
class Kill:
    """A worker that was killed, and when the next one was ready in its place. Seconds since 1970."""

    worker: int
    at_seconds: float
    ready_seconds: float = float("inf")


@dataclass
class Page:
    """What the places say of one exchange."""

    kind: str
    is_edited: bool
    truth: Truth | None = None  # when both sides are done
    fault: str | None = None  # what was wrong for the client
    lines: list[Mapping[str, Any]] = field(default_factory=list)
    entry: Mapping[str, Any] | None = None

    @property
    def is_complete(self) -> bool:
        """Whether all have said what they have to say."""
        return self.truth is not None and self.entry is not None and bool(self.lines)


@dataclass(frozen=True)
class Unbalanced:
    """An exchange that does not balance, and what explains it."""

    request_id: str
    what: str
    rule: Rule | None
    entry: Mapping[str, Any] | None  # what Envoy says of it

    def as_document(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        about = {"request_id": self.request_id.rstrip("."), "what": self.what, "rule": self.rule}
        return about | {key: (self.entry or {}).get(key) for key in ("began", "ended", "flags", "status", "calls")}


class Ledger:
    """Pages of exchanges under way, and sums of those that are done. Any thread may write."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pages: dict[str, Page] = {}
        self._hashes: set[int] = set()
        self.balanced = 0
        self.lines = 0  # of the usage log
        self.kinds: Counter[str] = Counter()
        self.flags: Counter[str] = Counter()
        self.sums: Counter[str] = Counter()  # of the lines of the usage log
        self.completions: Counter[str] = Counter()  # as above
        self.strange: list[str] = []  # what nobody asked for, or twice

    def open(self, request_id: str, kind: str, *, is_edited: bool) -> None:
        """Begin a page."""
        with self._lock:
            self._pages[request_id] = Page(kind, is_edited)
            self.kinds[kind] += 1

    def tell(self, request_id: str, truth: Truth, fault: str | None) -> None:
        """Note what is true of an exchange, now that both sides are done."""
        with self._lock:
            page = self._pages[request_id]
            page.truth, page.fault = truth, fault
            self._settle(request_id, page)

    def take_line(self, line: Mapping[str, Any]) -> None:
        """Take a line of the usage log."""
        with self._lock:
            self.lines += 1
            for key in KEYS:
                self.sums[key] += line.get(key) or 0
            self.completions[line["completion"]] += 1
            page = self._page("usage log", line.get("request_id"))
            if page is not None:
                page.lines.append(line)
                self._settle(line["request_id"], page)

    def take_entry(self, entry: Mapping[str, Any]) -> None:
        """Take a line of the access log."""
        with self._lock:
            page = self._page("access log", entry["request_id"])
            if page is not None:
                page.entry = entry
                self.flags[entry["flags"]] += 1
                self._settle(entry["request_id"], page)

    @property
    def open_pages(self) -> int:
        """How many exchanges have not balanced yet."""
        with self._lock:
            return len(self._pages)

    def judge(self, kills: Sequence[Kill]) -> list[Unbalanced]:
        """Return what does not balance, each explained if it can be."""
        with self._lock:
            found = []
            for request_id, page in self._pages.items():
                what = _difference(page)
                if what is not None:
                    found.append(Unbalanced(request_id, what, _explain(page, kills), page.entry))
            return found

    def uncertain_tokens(self, kills: Sequence[Kill]) -> Counter[str]:
        """Return what counters may have beyond the lines: what is known of exchanges that have no line."""
        with self._lock:
            sums: Counter[str] = Counter()
            for page in self._pages.values():
                if not page.lines and page.truth is not None and _explain(page, kills) is not None:
                    prompt, completion = page.truth.known[-1] if page.truth.known else NOTHING
                    sums["exchanges"] += 1
                    sums["prompt_tokens"] += prompt or 0
                    sums["completion_tokens"] += completion or 0
            return sums

    def _page(self, place: str, request_id: str | None) -> Page | None:
        page = self._pages.get(request_id or "")
        if page is None:
            known = hash(request_id) in self._hashes
            self.strange.append(f"{place}: {request_id} {'once more' if known else 'is of nobody'}")
        return page

    def _settle(self, request_id: str, page: Page) -> None:
        if page.is_complete and _difference(page) is None:
            del self._pages[request_id]
            self._hashes.add(hash(request_id))
            self.balanced += 1


def _difference(page: Page) -> str | None:
    """Return in what the places differ, in one line; None: in nothing."""
    if page.truth is None:
        return "it has not ended"
    if page.fault is not None:
        return f"the client: {page.fault}"
    if page.entry is None:
        return "no line in the access log"
    if len(page.lines) != 1:
        return f"{len(page.lines)} lines in the usage log"
    return _difference_of(page.truth, page.lines[0], page.entry)


def _difference_of(truth: Truth, line: Mapping[str, Any], entry: Mapping[str, Any]) -> str | None:
    logged, shown = _counts(line), _counts(entry["ai"] or {})
    known = list(truth.known)
    if logged not in known:
        return f"the usage log has {logged}, sent was {known[-1] if known else None}"
    if shown not in known[: known.index(logged) + 1]:
        return f"the access log has {shown}, the usage log {logged}"
    if line["completion"] not in truth.completions:
        return f"it ended as {line['completion']} in the place of {'/'.join(sorted(truth.completions))}"
    charged = entry["hits_addend"] or 0
    if shown == logged and charged != (line.get("hits_addend") or 0):
        return f"{charged} are charged in the access log, {line.get('hits_addend')} in the usage log"
    return None


def _counts(fields: Mapping[str, Any]) -> Counts:
    return fields.get("prompt_tokens"), fields.get("completion_tokens")


def _explain(page: Page, kills: Iterable[Kill]) -> Rule | None:
    """Return the rule that explains a page that does not balance, if one does."""
    entry = page.entry
    if entry is None or (page.fault is not None and not page.is_edited):
        return None  # whatever becomes of the sidecar, clients get what was sent
    calls, began, ended = entry["calls"] or {}, float(entry["began"]), float(entry["ended"])
    if entry["flags"] == "DC" and not calls.get("bytes_sent") and not calls.get("destination") and not page.lines:
        return Rule.NEVER_ASKED
    for kill in kills:
        if calls.get("destination") != f"extproc-{kill.worker}":
            continue
        has_failed = _has_failed(calls)
        if began <= kill.at_seconds <= ended and not page.lines:
            return Rule.KILLED
        if has_failed and not calls.get("bytes_received") and kill.at_seconds <= began <= kill.ready_seconds:
            return Rule.NOBODY_LISTENED
        is_told = not has_failed and page.fault is None and not page.lines
        if is_told and kill.at_seconds - _LINE_WAITS_SECONDS <= ended <= kill.at_seconds:
            return Rule.LINE_LOST
    return None


def _has_failed(calls: Mapping[str, Any]) -> bool:
    """Say whether Envoy's call to the sidecar failed, by its own account."""
    return bool(calls.get("failed_open"))
