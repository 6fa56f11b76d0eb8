from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.chunks import byte_by_byte, splits

from extproc.codec.ndjson import NDJSON, DocumentOrLines
from extproc.codec.payload import Framing, Payload
from extproc.errors import Reason

LOST = Payload(b"", lost=Reason.TOO_LARGE)


def read(framing: Framing, chunks: list[bytes]) -> list[Payload]:
    payloads = [payload for chunk in chunks for payload in framing.feed(chunk)]
    return [*payloads, *framing.finish()]


def document_or_lines(*, is_labelled: bool = False, max_document_bytes: int = 200_000) -> DocumentOrLines:
    return DocumentOrLines(is_labelled=is_labelled, max_document_bytes=max_document_bytes, max_line_bytes=200_000)


@given(
    st.data(),
    st.lists(st.dictionaries(st.text(max_size=3), st.integers() | st.text(max_size=5)), max_size=5),
    st.sampled_from([b"\n", b"\r\n", b"\n\n", b" \n"]),
    st.booleans(),
)
def test_lines_do_not_depend_on_the_chunks(
    data: st.DataObject, documents: list[object], end: bytes, ended: bool
) -> None:
    """Whole, byte by byte or cut anywhere, with any line end, the last with or without it."""
    lines = [json.dumps(document, ensure_ascii=False).encode() for document in documents]
    body = end.join(lines) + (end if ended else b"")
    expected = [Payload(line) for line in lines]
    for chunks in ([body], byte_by_byte(body), data.draw(splits(body))):
        assert read(NDJSON(1000), chunks) == expected


def test_a_line_is_handed_out_with_its_line_end() -> None:
    """Not with the next one."""
    lines = NDJSON(100)
    assert list(lines.feed(b'{"a": 1}')) == []
    assert list(lines.feed(b'\n{"b"')) == [Payload(b'{"a": 1}')]


def test_a_line_that_is_too_large_is_lost_alone() -> None:
    """Nothing is kept of it; with its end the next one begins."""
    body = b'{"a": 1}\n"' + b"x" * 20 + b'"\n{"b": 2}\n' + b"y" * 20
    for chunks in ([body], byte_by_byte(body)):
        assert read(NDJSON(10), chunks) == [Payload(b'{"a": 1}'), LOST, Payload(b'{"b": 2}'), LOST]


@pytest.mark.parametrize(
    ("body", "is_labelled", "is_lines"),
    [
        (b'{"a": 1}\n{"b": 2}\n', False, True),
        (b'{"a": 1}\r\n \n\t{"b": 2}', False, True),
        (b'{"a": 1}\n', False, False),
        (b'{"a": 1}', False, False),
        (b'{"a": 1}\n}', False, False),
        (b'{\n"a": {}\n}\n', False, False),
        (b'{"a": {}\n,"b": 1}', False, False),
        (b'{"a": 1}\n{"b": 2}\n', True, True),
        (b'{"a": 1}\n', True, True),
        (b'{"a": 1}', True, True),
        (b'{\n"a": 1}\n', True, False),
    ],
)
@given(data=st.data())
def test_lines_and_a_document_are_told_apart(
    data: st.DataObject, body: bytes, is_labelled: bool, is_lines: bool
) -> None:
    """By the first line and what follows it, in any chunks."""
    expected = [Payload(line.strip()) for line in body.split(b"\n") if line.strip()] if is_lines else [Payload(body)]
    for chunks in ([body], byte_by_byte(body), data.draw(splits(body))):
        framing = document_or_lines(is_labelled=is_labelled)
        assert (read(framing, chunks), framing.is_sequence) == (expected, is_lines)


@pytest.mark.parametrize("is_labelled", [True, False])
@pytest.mark.parametrize("whole", [True, False])
def test_a_long_first_line_is_what_it_is_called(is_labelled: bool, whole: bool) -> None:
    """Nobody waits for its end to decide."""
    body = b'{"a": "' + b"x" * 70_000 + b'"}'
    framing = document_or_lines(is_labelled=is_labelled)
    chunks = [body[:66_000], body[66_000:]] if whole else [body[i : i + 7] for i in range(0, len(body), 7)]
    assert read(framing, [*chunks, b"\n"]) == [Payload(body if is_labelled else body + b"\n")]
    assert framing.is_sequence is is_labelled


@pytest.mark.parametrize("is_labelled", [True, False])
@pytest.mark.parametrize("body", [
    b'{"a": "' + b"x" * 70_000 + b'"}\n{"b": 2}',
    b'{"a": "' + b"x" * 70_000 + b'\n"}\n{"b": 2}',
    b'{"a": 1}' + b" " * 70_000 + b'\n{"b": 2}',
    b'{"a": 1}\n' + b" " * 70_000 + b'{"b": 2}',
    *(b'{"a": 1}\n' + b" " * spaces + b'{"b": 2}' for spaces in range(65_525, 65_529)),
    *(b'{"a":' + b" " * spaces + b'1}\n{"b": 2}' for spaces in range(65_526, 65_530)),
])  # fmt: skip
def test_a_long_start_is_told_alike_in_any_chunks(body: bytes, is_labelled: bool) -> None:
    """Not more of it is looked at where more of it is there."""
    kinds = set()
    for step in (7, 1000, 65_535, 65_536, 100_000):
        framing = document_or_lines(is_labelled=is_labelled)
        payloads = read(framing, [body[start : start + step] for start in range(0, len(body), step)])
        kinds.add((framing.is_sequence, *(len(payload.data) for payload in payloads)))
    assert len(kinds) == 1


def test_a_line_followed_by_nothing_for_long_is_a_document() -> None:
    """An endless run of white space is not waited out."""
    framing = document_or_lines()
    body = b'{"a": 1}\n' + b" " * 70_000
    assert read(framing, [body, b'{"b": 2}']) == [Payload(body + b'{"b": 2}')]


def test_a_labelled_line_is_handed_out_with_its_line_end() -> None:
    """A stream's first token is not held back for the second."""
    assert list(document_or_lines(is_labelled=True).feed(b'{"a": 1}\n')) == [Payload(b'{"a": 1}')]
