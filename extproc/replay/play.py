"""A capture played through the exchange the sidecar uses.

Owns: the order of the phases, how the answer is cut into chunks, and that an exchange of which nothing more is of
interest is left there, as the sidecar leaves it. Must not know where captures are from or what is said of the record.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from msgspec.structs import replace

from extproc.errors import SettingsError
from extproc.exchange import Exchange
from extproc.policy import NO_POLICY, Policy
from extproc.providers.detect import Detector
from extproc.readers import Limits
from extproc.replay.capture import Capture
from extproc.usage import NO_TIMING, Completion, UsageRecord

# More than any length of a body has.
_MAX_DIGITS = 18

# A capture does not tell when its parts came.
_NOW = 0.0


@dataclass(frozen=True, slots=True)
class Observer:
    """What an exchange is observed with, here as in the sidecar."""

    limits: Limits
    detector: Detector
    policy: Policy = NO_POLICY


@dataclass(frozen=True, slots=True)
class Split:
    """How an answer is cut into chunks: whole, behind each line, or every `size` bytes."""

    lines: bool = False
    size: int | None = None

    def cut(self, body: bytes) -> Iterator[bytes]:
        """Yield the chunks of a body."""
        if self.lines:
            yield from body.splitlines(keepends=True)
        elif body:
            size = self.size or len(body)
            yield from (body[start : start + size] for start in range(0, len(body), size))


def parse_split(text: str) -> Split:
    """Return what `--split` says. Raises SettingsError."""
    if text in ("whole", "lines"):
        return Split(lines=text == "lines")
    if text.isascii() and text.isdecimal() and len(text) <= _MAX_DIGITS and int(text):
        return Split(size=int(text))
    raise SettingsError(f"--split: {text!r} is none of whole, lines or a number of bytes from 1")


def play(capture: Capture, observer: Observer, split: Split) -> UsageRecord:
    """Return the record of a capture.

    It has no time to the first token, nor any other: with the times of a replay they would be made up.
    """
    exchange = Exchange(observer.limits, observer.detector, provider=None, now=_NOW, policy=observer.policy)
    for _ in _phases(exchange, capture, split):
        if exchange.is_detachable:
            break
    exchange.close(Completion.COMPLETE if exchange.is_detachable else Completion.CANCELLED, _NOW)
    return replace(exchange.snapshot(), time_to_first_token_seconds=None, timing=NO_TIMING)


def _phases(exchange: Exchange, capture: Capture, split: Split) -> Iterator[None]:
    """Take the exchange through its phases, one at a time."""
    asked = {":method": capture.method, ":authority": capture.authority, ":path": capture.path}
    exchange.request_headers(asked | dict(capture.request_headers), end_of_stream=not capture.request, now=_NOW)
    yield
    if capture.request:
        exchange.request_body(capture.request, end_of_stream=True, now=_NOW)
        yield
    if capture.status is None:
        return
    answered = {":status": str(capture.status)} | dict(capture.response_headers)
    exchange.response_headers(answered, end_of_stream=not capture.response, now=_NOW)
    yield
    for chunk in split.cut(capture.response or b""):
        exchange.response_body(chunk, end_of_stream=False, now=_NOW)
        yield
    exchange.response_body(b"", end_of_stream=True, now=_NOW)
    yield
