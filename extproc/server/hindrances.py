"""What Envoy's configuration makes impossible, as it shows in the messages.

Envoy says nothing of a namespace that it does not forward, or of a body that it does not send: metering just does not
happen. The first messages of a stream tell some of it at once; what may be absent from one exchange is absent for good
when many in a row lacked it.

Owns: what is looked for, how long, and how it is mended. A stream is looked at while something is open, and no longer.
Must not know who is told.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Final

from extproc.errors import Hindrance
from extproc.headers import REQUEST_ID_HEADER
from extproc.usage import UsageRecord
from extproc.wire.envoy import Modes, Phase
from extproc.wire.ext_proc_pb2 import HeaderMap, ProcessingRequest

# After how many exchanges with an LLM that lacked a thing it is said to be missing. What a body or Envoy itself should
# have told is in nearly all of them; a namespace, an attribute or an id may be in few.
_SOON: Final = 20
_LATE: Final = 100

_PSEUDO_HEADERS: Final = frozenset({":method", ":authority", ":path"})
_CONTENT_TYPE: Final = "content-type"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the settings need of Envoy: namespaces of custom labels, attributes of spans, the id of a request."""

    namespaces: frozenset[str] = frozenset()
    attributes: bool = False
    request_id: bool = False


class Sighting:
    """What one stream has shown."""

    __slots__ = ("has_attributes", "headers", "modes", "namespaces")

    def __init__(self, modes: Modes) -> None:
        self.modes = modes
        self.headers: frozenset[str] = frozenset()
        self.namespaces: set[str] = set()
        self.has_attributes = False

    def take(self, request: ProcessingRequest) -> None:
        """Take what a message shows beside its phase."""
        if request.attributes:
            self.has_attributes = True
        if request.HasField("metadata_context"):
            self.namespaces.update(request.metadata_context.filter_metadata)


class _Open:
    """What is not decided yet of the exchanges of some body modes."""

    def __init__(self, hindrances: Collection[Hindrance], namespaces: Collection[str]) -> None:
        self.hindrances = set(hindrances)
        self.namespaces = set(namespaces)
        self.exchanges = 0


class Hindrances:
    """Looks at streams. `on_found` hears once of each hindrance, with what it is about; it must not raise."""

    def __init__(self, wanted: Wanted, on_found: Callable[[Hindrance, str], None]) -> None:
        self._wanted = wanted
        self._on_found = on_found
        self._found: set[Hindrance] = set()
        self._open: dict[int, _Open] = {}
        # By the identity of body modes, of which there are few and which stay: nothing is open of them any more.
        self.decided: set[int] = set()

    def begin(self, modes: Modes, phase: Phase, request: ProcessingRequest) -> Sighting:
        """Return the sighting of a stream whose first message this is."""
        sighting = Sighting(modes)
        if request.observability_mode:
            self._find(Hindrance.OBSERVABILITY_MODE)
        if phase is Phase.REQUEST_HEADERS:
            sighting.headers = _names_of(request.request_headers.headers)
            missing = _PSEUDO_HEADERS - sighting.headers
            if missing:
                self._find(Hindrance.FORWARD_RULES, missing)
        else:
            self._find(Hindrance.REQUEST_HEADERS)
        return sighting

    def find_refused_edit(self) -> None:
        """Take note that Envoy refuses to have a request edited."""
        self._find(Hindrance.EDIT)

    def end(self, sighting: Sighting, record: UsageRecord) -> None:
        """Draw conclusions from an exchange that is settled."""
        if not record.is_llm:
            return
        mode = id(sighting.modes)
        left = self._open.get(mode)
        if left is None:
            left = self._open[mode] = self._build_open(sighting.modes)
        left.exchanges += 1
        left.namespaces -= sighting.namespaces
        left.hindrances -= _refuted(sighting, record)
        if not left.namespaces:
            left.hindrances.discard(Hindrance.LABEL_NAMESPACES)
        if left.exchanges >= _SOON:
            self._conclude(left, {Hindrance.REQUEST_BODY, Hindrance.RESPONSE_BODY})
            self._conclude(left, {Hindrance.FORWARD_RULES}, {_CONTENT_TYPE})
        if left.exchanges >= _LATE:
            self._conclude(left, {Hindrance.LABEL_NAMESPACES}, left.namespaces)
            self._conclude(left, set(left.hindrances))
        if not left.hindrances:
            self.decided.add(mode)

    def _build_open(self, modes: Modes) -> _Open:
        wanted = self._wanted
        candidates = {
            Hindrance.FORWARD_RULES: True,
            Hindrance.REQUEST_BODY: not modes.sends_request_body,
            Hindrance.RESPONSE_BODY: not modes.sends_response_body,
            Hindrance.LABEL_NAMESPACES: bool(wanted.namespaces),
            Hindrance.ATTRIBUTES: wanted.attributes,
            Hindrance.REQUEST_ID: wanted.request_id,
        }
        return _Open([each for each, is_possible in candidates.items() if is_possible], wanted.namespaces)

    def _conclude(self, left: _Open, hindrances: set[Hindrance], missing: Collection[str] = ()) -> None:
        """Tell of those that are open, and close them."""
        for hindrance in sorted(left.hindrances & hindrances):
            self._find(hindrance, missing)
        left.hindrances -= hindrances

    def _find(self, hindrance: Hindrance, missing: Collection[str] = ()) -> None:
        if hindrance not in self._found:
            self._found.add(hindrance)
            self._on_found(hindrance, ", ".join(sorted(missing)))


def _refuted(sighting: Sighting, record: UsageRecord) -> set[Hindrance]:
    """Return what this exchange shows not to be the case."""
    facts = {
        Hindrance.FORWARD_RULES: _CONTENT_TYPE in sighting.headers,
        Hindrance.REQUEST_BODY: record.request_model is not None,
        Hindrance.RESPONSE_BODY: record.usage is not None,
        Hindrance.ATTRIBUTES: sighting.has_attributes,
        Hindrance.REQUEST_ID: REQUEST_ID_HEADER in sighting.headers,
    }
    return {hindrance for hindrance, is_refuted in facts.items() if is_refuted}


def _names_of(headers: HeaderMap) -> frozenset[str]:
    return frozenset(header.key for header in headers.headers)
