from __future__ import annotations

import brotli
import pytest

from extproc.codec.br import Brotli
from extproc.errors import DecodeError, Reason


def test_what_was_decoded_before_the_bytes_went_wrong_is_out() -> None:
    """Only the chunk with the error in it gives nothing."""
    compressor = brotli.Compressor()
    first = compressor.process(b"data: 1\n\n") + compressor.flush()
    decoder = Brotli()
    assert b"".join(decoder.feed(first)) == b"data: 1\n\n"
    with pytest.raises(DecodeError) as raised:
        list(decoder.feed(b"\xff" * 64))
    assert raised.value.reason is Reason.CORRUPT_ENCODING


def test_what_follows_the_stream_is_passed_over() -> None:
    """Nothing can: the coding has no second stream."""
    decoder = Brotli()
    assert b"".join(decoder.feed(brotli.compress(b"tokens"))) == b"tokens"
    assert b"".join(decoder.feed(b"padding")) == b""
    decoder.finish()
