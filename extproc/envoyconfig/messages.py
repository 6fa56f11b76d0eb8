"""What all builders need of Envoy's API as types: addresses, extensions, and the way from messages to a document.

Owns: that, and nothing of what is configured.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any as Value

from betterproto2 import Casing, Message
from envoy_data_plane.envoy.config.core.v3 import Address, Pipe, SocketAddress
from envoy_data_plane.google.protobuf import Any

from extproc.config.address import HostPort, UnixSocket

Document = dict[str, Value]


def pack(message: Message) -> Any:
    """Return a message as Envoy's `typed_config` holds it."""
    return Any.pack(message)


def to_document(message: Message) -> Document:
    """Return a message as people write it: names in snake_case, what is not set left out."""
    return message.to_dict(casing=Casing.SNAKE)


def seconds(number: float) -> timedelta:
    """Return a duration."""
    return timedelta(seconds=number)


def to_pipe_path(place: UnixSocket) -> str:
    """Return a socket as Envoy writes it: abstract ones begin with an @."""
    return f"@{place.name}" if place.is_abstract else place.name


def to_address(place: HostPort | UnixSocket) -> Address:
    """Return an address."""
    if isinstance(place, UnixSocket):
        return Address(pipe=Pipe(path=to_pipe_path(place)))
    return Address(socket_address=SocketAddress(address=place.host, port_value=place.port))
