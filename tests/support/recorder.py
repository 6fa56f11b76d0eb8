"""An HTTP transport for the official SDKs that keeps the bytes that came over the wire."""

from __future__ import annotations

from collections.abc import Iterator

import httpx2


class _Kept(httpx2.SyncByteStream):
    """A body that is kept while it is read."""

    def __init__(self, stream: httpx2.SyncByteStream, kept: bytearray) -> None:
        self._stream = stream
        self._kept = kept

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._stream:
            self._kept += chunk
            yield chunk

    def close(self) -> None:
        self._stream.close()


class Recorder(httpx2.BaseTransport):
    """Keeps the body of the last answer in `body`, as it came, before anything decodes it."""

    def __init__(self) -> None:
        self._transport = httpx2.HTTPTransport()
        self.body = bytearray()

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        response = self._transport.handle_request(request)
        self.body = bytearray()
        assert isinstance(response.stream, httpx2.SyncByteStream)
        response.stream = _Kept(response.stream, self.body)
        return response

    def close(self) -> None:
        self._transport.close()
