"""How a stream goes on of which nothing is read, or nothing any more.

Owns: that bytes stay what they would have been. Where Envoy only passes on what it gets back it gets back every chunk;
an answer from which something is to be taken out goes on being filtered; anything else may be let go, with the reply to
the message that is under way. Must not know why nothing is read, or who counts.
"""

from __future__ import annotations

from collections.abc import Callable

from extproc.headers import RESPONSE_HEADERS, number_at
from extproc.injection import Injection
from extproc.server.edits import encode_edit
from extproc.wire.envoy import CONTINUE, Modes, Phase, encode_echo, read_headers, read_modes
from extproc.wire.ext_proc_pb2 import ProcessingRequest


def encode_plain(phase: Phase, request: ProcessingRequest, modes: Modes) -> bytes:
    """Return the reply that changes nothing: to a chunk that has to be sent back, the chunk."""
    if phase in modes.echoed:
        return encode_echo(phase, request.request_body if phase is Phase.REQUEST_BODY else request.response_body)
    return CONTINUE[phase]


class Unread:
    """The rest of a stream. `modes` are None where the first message is still to come.

    `injection` is what was asked in the client's place, if anything was. `on_bug` hears of what goes wrong with it.
    """

    __slots__ = ("_injection", "_modes", "_on_bug")

    def __init__(
        self, on_bug: Callable[[Exception], None], modes: Modes | None = None, injection: Injection | None = None
    ) -> None:
        self._on_bug = on_bug
        self._modes = modes
        if injection is not None and injection.edited is not None:
            injection.forgo()  # what did not go on yet goes on as it came
        self._injection = injection if injection is not None and injection.is_pending else None

    @property
    def must_stay(self) -> bool:
        """Whether the stream is needed, because Envoy has no other place to get bytes from."""
        return bool(self._modes and self._modes.echoed) or (self._injection is not None and self._injection.is_pending)

    def answer(self, phase: Phase, request: ProcessingRequest) -> bytes | None:
        """Return the reply to a message; None where Envoy expects none."""
        if self._modes is None:
            self._modes = read_modes(request)
        if request.observability_mode:
            return None
        reply = None if self._injection is None else self._edit(self._injection, phase, request, self._modes)
        return encode_plain(phase, request, self._modes) if reply is None else reply

    def _edit(self, injection: Injection, phase: Phase, request: ProcessingRequest, modes: Modes) -> bytes | None:
        try:
            if phase is Phase.RESPONSE_HEADERS:
                headers = read_headers(request.response_headers.headers, RESPONSE_HEADERS)
                injection.begin_response(headers, number_at(headers, ":status"))
            elif phase is Phase.RESPONSE_BODY:
                injection.read_response(request.response_body.body)
        except Exception as error:  # noqa: BLE001 - a bug in here must not become a failed request out there
            self._on_bug(error)
        reply, bug = encode_edit(phase, request, injection, modes)
        if bug is not None:
            self._on_bug(bug)
        if not injection.is_pending:
            self._injection = None
        return reply
