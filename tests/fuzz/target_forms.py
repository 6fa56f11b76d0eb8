"""multipart/form-data."""

from __future__ import annotations

from fuzz.checking import assert_same, held_bytes, ways_to_cut
from fuzz.choices import Choices
from fuzz.target import Target

from extproc.codec.multipart import FormFields, boundary_of
from extproc.errors import DecodeError, Reason

_WANTED = ("model", "stream", "n")
_BOUNDARIES = (b"x", b"----WebKitFormBoundary0", b"-", b"a.b*c")
_MAX_HELD_BYTES = 4096 + 512


def check(data: bytes) -> None:
    """Cuts change nothing, only what is wanted is kept, and what a header names is a boundary or nothing."""
    choices = Choices(data)
    boundary, places = choices.one_of(_BOUNDARIES), choices.cuts(4)
    body = choices.rest()
    fields, _ = assert_same(_read(boundary, chunks) for chunks in ways_to_cut(body, places))
    assert set(fields) <= set(_WANTED)
    named = boundary_of("multipart/form-data;" + body[:200].decode("utf-8", "replace"))
    if named is not None:
        assert 0 < len(named) <= 70
        FormFields(named, _WANTED).feed(body)


def _read(boundary: bytes, chunks: list[bytes]) -> tuple[dict[str, str], Reason | None]:
    form = FormFields(boundary, _WANTED)
    kept: tuple[dict[str, str], Reason | None] = (form.fields, None)
    try:
        for chunk in chunks:
            form.feed(chunk)
            assert held_bytes(form._held) <= _MAX_HELD_BYTES
        form.finish()
    except DecodeError as error:
        assert error.reason in {Reason.TRUNCATED, Reason.TOO_LARGE}  # noqa: PT017 - the other end follows
        return kept[0], error.reason
    return kept


def seeds() -> list[bytes]:
    """Return forms with a file, with quoted names, with padding, and one that is cut off."""
    part = b'--%s\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n'
    file = (
        b'--%s\r\ncontent-disposition: form-data; filename="a;name=\\"b"; name=file\r\nContent-Type: a/b\r\n\r\n%s\r\n'
    )
    made = []
    for number, boundary in enumerate(_BOUNDARIES):
        head = bytes((number, 9, 80, 150, 240))
        whole = part % (boundary, b"model", b"whisper-1") + file % (boundary, bytes(64)) + b"--%s--\r\n" % boundary
        made += [head + whole, head + whole[:-9], head + whole.replace(boundary + b"\r\n", boundary + b" \t\r\n")]
    return [*made, b"\0\0\0\0\0 boundary=abc;\r\n--abc--"]


WORDS = (b"\r\n--x", b"\r\n\r\n", b"Content-Disposition: form-data; ", b'name="model"', b"filename=", b"; boundary=")
TARGET = Target("forms", check, seeds, ("extproc.codec.multipart",), WORDS, max_input_bytes=16_384)
