"""The bytes that came to the official SDKs over the wire, as they came, before anything decodes them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import httpx2
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.httpsession import URLLib3Session


class _KeptStream(httpx.SyncByteStream, httpx2.SyncByteStream):
    """A body in httpx and httpx2, kept while it is read."""

    def __init__(self, stream: Any, kept: bytearray) -> None:
        self._stream = stream
        self._kept = kept

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._stream:
            self._kept += chunk
            yield chunk

    def close(self) -> None:
        self._stream.close()


class _KeptResponse:
    """An answer in urllib3, whose body is kept while it is read, in either of the ways that botocore does."""

    def __init__(self, response: Any, kept: bytearray) -> None:
        self._response = response
        self._kept = kept

    def __getattr__(self, name: str) -> Any:
        return getattr(self._response, name)

    def stream(self) -> Iterator[bytes]:
        for chunk in self._response.stream():
            self._kept += chunk
            yield chunk

    def read(self, *size: int | None) -> bytes:
        data: bytes = self._response.read(*size)
        self._kept += data
        return data


class Recorder:
    """Keeps the body of the last answer in `body`."""

    def __init__(self) -> None:
        self.body = bytearray()

    def keep(self, response: Any) -> None:
        """Keep the body of an answer: an event hook for responses, of httpx and of httpx2."""
        self.body = bytearray()
        response.stream = _KeptStream(response.stream, self.body)

    def send(self, request: AWSPreparedRequest, session: URLLib3Session) -> AWSResponse:
        """Send a request of botocore's, and keep the body of the answer."""
        response = session.send(request)
        self.body = bytearray()
        if request.stream_output:
            response.raw = _KeptResponse(response.raw, self.body)
        else:
            self.body += response.content
        return response
