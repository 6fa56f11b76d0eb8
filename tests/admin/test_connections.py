from __future__ import annotations

import io
import socket
from collections.abc import Iterator

import pytest

from extproc.admin.connections import BoundedReader, Places


@pytest.fixture(name="pair")
def _pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


class Clock:
    """A clock that goes on by a second each time somebody looks at it."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 1
        return self.now


def test_a_request_has_so_many_bytes(pair: tuple[socket.socket, socket.socket]) -> None:
    """Behind them nothing comes, and the rest is left where it is."""
    ours, theirs = pair
    theirs.sendall(b"x" * 1000)
    reader = io.BufferedReader(BoundedReader(ours, max_bytes=100))
    assert (reader.readline(65537), reader.read()) == (b"x" * 100, b"")
    assert ours.recv(2000) == b"x" * 900


def test_a_request_has_so_much_time_however_often_something_comes(pair: tuple[socket.socket, socket.socket]) -> None:
    """A byte now and then does not make it more."""
    ours, theirs = pair
    reader = BoundedReader(ours, seconds=4, clock=Clock())
    read = []
    for _ in range(6):
        theirs.sendall(b"x")
        read.append(reader.read(1))
    assert read == [b"x"] * 3 + [b""] * 3


def test_who_sends_nothing_is_waited_for_no_longer(pair: tuple[socket.socket, socket.socket]) -> None:
    """Nor who has gone."""
    ours, theirs = pair
    assert BoundedReader(ours, seconds=0.01).read(1) == b""
    theirs.close()
    assert BoundedReader(ours).read(1) == b""


def test_the_place_of_who_has_waited_longest_is_given_to_who_comes() -> None:
    """Once its thread has left it; of those that are answered none is disturbed."""
    pairs = [socket.socketpair() for _ in range(4)]
    first, second, third, fourth = (ours for ours, _ in pairs)
    places = Places(2)
    assert places.take(first)
    assert places.take(second)
    places.asked(first)
    assert not places.take(third)  # the second is told to go, and has not gone yet
    assert second.recv(1) == b""
    places.leave(second)
    assert places.take(third)
    places.leave(first)
    assert places.take(fourth)
    assert first.getpeername() is not None
    for pair in pairs:
        for each in pair:
            each.close()
