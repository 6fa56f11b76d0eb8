"""`python -m bench.floor --engine NAME --listen ADDR --admin-listen HOST:PORT`: a processor that does nothing.

Each message gets the constant reply of its phase, found by the first byte and without decoding. So what an engine costs
is told from what metering costs. It asks for short answers in one message as the sidecar does, so that Envoy sends both
the same messages.
"""

from __future__ import annotations

import argparse
import os
import re
import signal
from collections.abc import Iterable
from types import MappingProxyType
from typing import Final, cast

from prometheus_client import CollectorRegistry

from bench.engines import ENGINES
from extproc.admin.server import AdminServer
from extproc.config.address import parse_host_port
from extproc.config.settings import Settings
from extproc.server.engine import EngineOptions, build_engine
from extproc.server.health import Health
from extproc.server.processor import Processor
from extproc.server.signals import Signals
from extproc.usage import Completion
from extproc.wire.envoy import CONTINUE, Phase
from extproc.wire.ext_proc_pb2 import ProcessingMode, ProcessingRequest, ProcessingResponse

# A message starts with the field of its phase, because Envoy serialises fields in the order of their numbers; the type
# on the wire is 2, a length and so many bytes (https://protobuf.dev/programming-guides/encoding/#structure).
_REPLIES: Final = MappingProxyType(
    {ProcessingRequest.DESCRIPTOR.fields_by_name[phase].number << 3 | 2: CONTINUE[phase] for phase in Phase}
)
_RESPONSE_HEADERS: Final = ProcessingRequest.DESCRIPTOR.fields_by_name[Phase.RESPONSE_HEADERS].number << 3 | 2

# A header's name, then field 3 of HeaderValue, raw_value: its tag, its length, its bytes.
_CONTENT_LENGTH: Final = re.compile(rb"content-length\x1a.([0-9]+)", re.DOTALL)

_WHOLE_RESPONSE: Final = (
    CONTINUE[Phase.RESPONSE_HEADERS]
    + ProcessingResponse(
        mode_override=ProcessingMode(
            request_body_mode=ProcessingMode.BUFFERED_PARTIAL, response_body_mode=ProcessingMode.BUFFERED_PARTIAL
        )
    ).SerializeToString()
)
_MAX_WHOLE_RESPONSE_BYTES: Final = Settings().max_whole_response_bytes


class FloorSession:
    """One gRPC stream, as engines know it."""

    __slots__ = ()
    detached = False

    def receive(self, message: bytes, _now: float) -> bytes | None:
        """Return the reply to a message."""
        if message[0] == _RESPONSE_HEADERS:
            length = _CONTENT_LENGTH.search(message)
            if length and 0 < int(length[1]) <= _MAX_WHOLE_RESPONSE_BYTES:
                return _WHOLE_RESPONSE
        return _REPLIES.get(message[0])

    def closed(self, completion: Completion, now: float) -> None:
        """Forget the stream."""


class FloorProcessor:
    """Opens sessions, as engines know it."""

    def __init__(self) -> None:
        self._session = FloorSession()  # without state, one serves all

    def open_session(self, _initial_metadata: Iterable[tuple[str, str | bytes]], _now: float) -> FloorSession:
        """Return the session of a stream."""
        return self._session


def main() -> None:
    """Serve until SIGTERM."""
    parser = argparse.ArgumentParser(prog="python -m bench.floor", description="A processor that does nothing.")
    parser.add_argument("--engine", choices=ENGINES, required=True)
    parser.add_argument("--listen", required=True, help="a gRPC address")
    parser.add_argument("--admin-listen", required=True, help="host:port of /readyz")
    options, _ = parser.parse_known_args()  # whoever starts it takes it for a sidecar, which has more flags
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    health = Health()
    # Engines know no more of a processor than what a floor's has.
    processor = cast("Processor", FloorProcessor())
    engine = build_engine(options.engine, processor, health, EngineOptions())
    admin = AdminServer(
        parse_host_port(options.admin_listen), CollectorRegistry(), lambda: health.is_serving, version="floor"
    )
    try:
        with Signals((signal.SIGTERM, signal.SIGINT)) as signals:
            engine.start(options.listen)
            health.set_serving(True)
            while not signals.wait():
                pass
            engine.drain(0)
    finally:
        admin.close()


if __name__ == "__main__":
    main()
