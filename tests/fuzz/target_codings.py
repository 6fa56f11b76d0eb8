"""Content codings: what servers compress, what is damaged on the way, and what was made to hurt."""

from __future__ import annotations

from fuzz.checking import assert_same, ways_to_cut
from fuzz.choices import Choices
from fuzz.target import Target
from support.codings import ENCODERS

from extproc.codec.content import BYTES_AT_FIRST, content_decoder
from extproc.errors import DecodeError, Reason

_CODINGS = tuple(ENCODERS)
_REASONS = {Reason.CORRUPT_ENCODING, Reason.TRUNCATED, Reason.TOO_LARGE}

# Google's decoder and zstd's keep what stood in front of an error to themselves, in the chunk it is in.
_KEEPS_BACK = ("br", "zstd")

# Of what went in behind what is free at first.
_MAX_RATIO = 100


def check(data: bytes) -> None:
    """What was compressed comes out as it was, cuts change nothing, and no input makes more of itself than is bound."""
    choices = Choices(data)
    coding, is_built, times = choices.one_of(_CODINGS), choices.flag(), choices.number()
    places, damage, place = choices.cuts(4), choices.number(), choices.number()
    body = choices.rest()
    plain = body * _repeats(times, len(body))
    encoded = ENCODERS[coding](plain) if is_built else body
    is_whole = is_built and damage % 4 == 0
    if damage % 4 == 1:
        encoded = encoded[: len(encoded) * place // 256]
    elif damage % 4 == 2 and encoded:
        at = len(encoded) * place // 256
        encoded = encoded[:at] + bytes((encoded[at] ^ damage,)) + encoded[at + 1 :]
    elif damage % 4 == 3:
        encoded += body[: place % 32]
    results = [_decode(coding.lower(), chunks) for chunks in ways_to_cut(encoded, places)]
    if any(name in coding for name in _KEEPS_BACK):
        longest = max((out for out, _ in results), key=len)
        assert all(longest.startswith(out) for out, _ in results)
    else:
        assert_same(results)
    if is_whole:
        out, end = assert_same(results)
        assert end is None or (end is Reason.TOO_LARGE and len(plain) > BYTES_AT_FIRST)
        assert end is not None or out == plain


def _repeats(times: int, length: int) -> int:
    """Return how often a body is repeated: once, some dozen times, or so that it meets the bound."""
    if times == 255:
        return 2 * BYTES_AT_FIRST // max(length, 1)
    return 1 + max(0, times - 128)


def _decode(coding: str, chunks: list[bytes]) -> tuple[bytes, Reason | None]:
    out = bytearray()
    decoder = content_decoder(coding)
    max_bytes = sum(map(len, chunks))
    for _ in coding.split(","):
        max_bytes = BYTES_AT_FIRST + _MAX_RATIO * max_bytes
    try:
        for chunk in chunks:
            for piece in decoder.feed(chunk):
                out += piece
                assert len(out) <= max_bytes
        decoder.finish()
    except DecodeError as error:
        assert error.reason in _REASONS  # noqa: PT017 - the other end of it follows
        return bytes(out), error.reason
    return bytes(out), None


def seeds() -> list[bytes]:
    """Return each coding, built and raw, whole and with each damage."""
    body = b'{"usage": {"prompt_tokens": 3}} ' * 3
    built = [
        bytes((coding, 1, times, 9, 80, 150, 240, damage, 100)) + body
        for coding in range(len(_CODINGS))
        for times in (0, 200)
        for damage in range(4)
    ]
    raw = [bytes((number, 0, 0, 9, 80, 150, 240, 0, 0)) + ENCODERS[name](body) for number, name in enumerate(_CODINGS)]
    bomb = bytes((0, 1, 255, 9, 80, 150, 240, 0, 0)) + body
    members = bytes((0, 0, 0, 9, 80, 150, 240, 0, 0)) + ENCODERS["gzip"](body) * 2 + b"\0\0\n"
    return [*built, *raw, bomb, members]


MODULES = tuple(f"extproc.codec.{name}" for name in ("content", "deflate", "br", "zstd"))
TARGET = Target("codings", check, seeds, MODULES, (b"\x1f\x8b\x08", b"\x28\xb5\x2f\xfd", b"\x78\x9c", b"\0" * 8))
