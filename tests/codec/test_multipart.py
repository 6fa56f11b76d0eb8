from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.chunks import byte_by_byte, splits

from extproc.codec.multipart import FormFields, boundary_of
from extproc.errors import DecodeError, Reason

FILE = b"RIFF\r\n--not-the-boundary\r\n--b\r\r\n--" + bytes(range(256))
FORM = (
    b"a preamble\r\n--bound\r\n"
    b'Content-Disposition: form-data; name="file"; filename="name=model.wav"\r\nContent-Type: audio/wav\r\n\r\n'
    + FILE
    + b"\r\n--bound\r\n"
    b'content-disposition: form-data; name="model"\r\n\r\nwhisper-1\r\n--bound\r\n'
    b"Content-Disposition: form-data; name=stream\r\n\r\ntrue\r\n--bound\r\n"
    b'Content-Disposition: form-data; name="prompt"\r\n\r\nmodel=gpt\r\n--bound--\r\nan epilogue'
)


def read(chunks: list[bytes], wanted: tuple[str, ...] = ("model", "stream")) -> dict[str, str]:
    form = FormFields(b"bound", wanted)
    for chunk in chunks:
        form.feed(chunk)
    form.finish()
    return form.fields


@given(st.data())
def test_the_fields_do_not_depend_on_the_chunks(data: st.DataObject) -> None:
    """Whole, byte by byte or cut anywhere; what looks like a boundary in a file is none."""
    for chunks in ([FORM], byte_by_byte(FORM), data.draw(splits(FORM))):
        assert read(chunks) == {"model": "whisper-1", "stream": "true"}


@given(st.data(), st.binary(max_size=60))
def test_a_file_may_hold_anything(data: st.DataObject, content: bytes) -> None:
    """But its boundary."""
    if b"\r\n--bound" in b"\r\n" + content:
        return
    body = b'--bound\r\nContent-Disposition: form-data; name="file"\r\n\r\n' + content
    body += b'\r\n--bound\r\nContent-Disposition: form-data; name="model"\r\n\r\nm\r\n--bound--'
    assert read(data.draw(splits(body))) == {"model": "m"}


def test_a_file_is_not_held() -> None:
    """Of megabytes nothing is kept."""
    form = FormFields(b"bound", ("model",))
    form.feed(b'--bound\r\nContent-Disposition: form-data; name="file"\r\n\r\n')
    tracemalloc.start()
    for _ in range(400):
        form.feed(b"\r\n--bou" * 8192)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak_bytes < 500_000
    form.feed(b'\r\n--bound\r\nContent-Disposition: form-data; name="model"\r\n\r\nm\r\n--bound--')
    assert form.fields == {"model": "m"}


def test_what_follows_the_form_is_not_held() -> None:
    """A message with its end may be megabytes long, and the form stays until its exchange has ended."""
    form = FormFields(b"bound", ("model",))
    tracemalloc.start()
    form.feed(FORM + b"x" * 4_000_000)
    kept_bytes, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert kept_bytes < 100_000


@pytest.mark.parametrize("length", [4096, 4097, 20_000])
@pytest.mark.parametrize("step", [1, 1000, 100_000])
def test_a_value_longer_than_any_name_is_passed_over(length: int, step: int) -> None:
    """In any chunks; the next field is read."""
    body = b'--bound\r\nContent-Disposition: form-data; name="model"\r\n\r\n' + b"x" * length
    body += b'\r\n--bound\r\nContent-Disposition: form-data; name="stream"\r\n\r\ntrue\r\n--bound--'
    fields = read([body[i : i + step] for i in range(0, len(body), step)])
    assert fields == {"stream": "true"} | ({"model": "x" * length} if length <= 4096 else {})


def test_the_last_of_a_field_stands() -> None:
    """As servers have it; an empty value is one."""
    part = b'--bound\r\nContent-Disposition: form-data; name="model"\r\n\r\n%s\r\n'
    assert read([part % b"a" + part % b"" + part % b"b" + b"--bound--"]) == {"model": "b"}
    assert read([part % b"" + b"--bound--"]) == {"model": ""}


def test_a_part_without_a_name_is_passed_over() -> None:
    """It may have no headers at all."""
    body = b"--bound\r\n\r\nx\r\n--bound\r\nContent-Type: a/b\r\n\r\ny\r\n--bound--"
    assert read([body]) == {}


@pytest.mark.parametrize("kept", range(len(FORM.partition(b"\r\n--bound--")[0])))
def test_a_form_that_is_not_closed_is_truncated(kept: int) -> None:
    """What was read of it stands."""
    form = FormFields(b"bound", ("model",))
    form.feed(FORM[:kept])
    with pytest.raises(DecodeError) as raised:
        form.finish()
    assert raised.value.reason is Reason.TRUNCATED


@pytest.mark.parametrize("length", [4096, 4097, 20_000])
@pytest.mark.parametrize("step", [1, 7, 100_000])
def test_headers_have_the_same_bound_in_any_chunks(length: int, step: int) -> None:
    """Whether their end is seen with them or not."""
    headers = b'\r\nContent-Disposition: form-data; name="model"\r\nx: '
    body = b"--bound" + headers + b"y" * (length - len(headers)) + b"\r\n\r\nm\r\n--bound--"
    chunks = [body[start : start + step] for start in range(0, len(body), step)]
    if length <= 4096:
        assert read(chunks) == {"model": "m"}
    else:
        with pytest.raises(DecodeError) as raised:
            read(chunks)
        assert raised.value.reason is Reason.TOO_LARGE


@pytest.mark.parametrize("behind", [b"x", b"-", b"er", b" x", b"\r", b"\n", b"\t" * 71])
def test_a_line_that_goes_on_behind_the_boundary_is_content(behind: bytes) -> None:
    """As it is to the server: a file can't name the model."""
    body = b'--bound\r\nContent-Disposition: form-data; name="model"\r\n\r\nm\r\n'
    body += b'--bound\r\nContent-Disposition: form-data; name="file"\r\n\r\n\r\n--bound' + behind
    body += b'\r\nContent-Disposition: form-data; name="model"\r\n\r\nother\r\n--bound--'
    assert read([body]) == read(byte_by_byte(body)) == {"model": "m"}


@pytest.mark.parametrize("padding", [b"", b" ", b"\t \t", b" " * 70])
def test_white_space_may_stand_behind_a_boundary(padding: bytes) -> None:
    """It is no part of the headers."""
    body = b"--bound" + padding + b'\r\nContent-Disposition: form-data; name="model"\r\n\r\nm'
    body += b"\r\n--bound" + padding + b"\r\n\r\nno headers\r\n--bound--" + padding
    assert read([body]) == read(byte_by_byte(body)) == {"model": "m"}


@pytest.mark.parametrize(
    ("parameters", "is_model"),
    [
        ('name="model"', True),
        ("name=model", True),
        ('NAME="model"; filename="a"', True),
        ('filename="a.wav" ; name="model"', True),
        ("filename*=UTF-8''a%20b;filename=a b; name=model", True),
        ('filename=""; name="model"', True),
        ('filename="; name=model; "', False),
        ('filename="a\\"; name=model; b"; name="file"', False),
        ('filename="; name=model; "; name="file"', False),
        ("name*=UTF-8''model", False),
        ('name="a; name=model"', False),
        ('filename="; name=model', False),
    ],
)
def test_a_name_is_a_parameter_of_its_own(parameters: str, is_model: bool) -> None:
    """Not what stands in the name of a file."""
    body = f"--bound\r\nContent-Disposition: form-data; {parameters}\r\n\r\nm\r\n--bound--".encode()
    assert read([body]) == ({"model": "m"} if is_model else {})


def test_headers_without_an_end_are_bounded() -> None:
    """Nobody's are so long."""
    form = FormFields(b"bound", ("model",))
    with pytest.raises(DecodeError) as raised:
        form.feed(b"--bound\r\n" + b"x: y\r\n" * 2000)
    assert raised.value.reason is Reason.TOO_LARGE


@pytest.mark.parametrize(
    ("content_type", "boundary"),
    [
        ("multipart/form-data; boundary=abc", b"abc"),
        ('Multipart/Form-Data;charset=utf-8;Boundary="a b c"', b"a b c"),
        ("multipart/form-data; boundary=----WebKit7MA4", b"----WebKit7MA4"),
        ("multipart/form-data", None),
        ("multipart/form-data; boundary=", None),
        ("multipart/form-data; boundary=" + "x" * 71, None),
        ("multipart/form-data; boundary=é", None),
        ("multipart/mixed; boundary=abc", None),
        ("application/json", None),
        ("", None),
    ],
)
def test_a_boundary_stands_in_the_content_type(content_type: str, boundary: bytes | None) -> None:
    """Of a form, quoted or not, up to the length RFC 2046 allows."""
    assert boundary_of(content_type) == boundary
