"""Ways to cut a body in pieces. Where it is cut must never change what is read."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from hypothesis import strategies as st


def byte_by_byte(body: bytes) -> list[bytes]:
    """Return the body as chunks of one byte."""
    return [body[i : i + 1] for i in range(len(body))]


def cut(body: bytes, positions: Sequence[int]) -> list[bytes]:
    """Return the body cut at the positions; equal positions make empty chunks, as Envoy may send them."""
    edges = [0, *sorted(positions), len(body)]
    return [body[start:end] for start, end in itertools.pairwise(edges)]


def splits(body: bytes, *, max_cuts: int = 12) -> st.SearchStrategy[list[bytes]]:
    """Strategy: the body in up to `max_cuts + 1` chunks, cut anywhere."""
    return st.lists(st.integers(0, len(body)), max_size=max_cuts).map(lambda positions: cut(body, positions))
