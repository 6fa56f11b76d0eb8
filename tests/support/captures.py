"""Captured exchanges to replay: as values, as folders and as HAR entries, with a secret wherever none may be told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from extproc.replay.capture import Capture

# In bodies, header values, queries and URLs; never to be seen in an output.
SECRET = "sk-1234567890"  # noqa: S105 - made up

CHAT = "/v1/chat/completions"
QUESTION = {"model": "gpt-4o", "messages": [{"role": "user", "content": SECRET}]}
ANSWER = {
    "object": "chat.completion",
    "model": "gpt-4o-2024-08-06",
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": SECRET}}],
    "usage": {"prompt_tokens": 21, "completion_tokens": 6, "total_tokens": 27},
}
CHUNK = {"object": "chat.completion.chunk", "model": "gpt-4o", "choices": [{"index": 0, "delta": {"content": SECRET}}]}
COUNTS = {"prompt_tokens": 21, "completion_tokens": 6, "total_tokens": 27}


def encode(document: Any) -> bytes:
    """Return a document as a body."""
    return document if isinstance(document, bytes) else json.dumps(document).encode()


def events(*documents: Any) -> bytes:
    """Return documents as an event stream."""
    return b"".join(b"data: " + encode(document) + b"\n\n" for document in documents)


def capture(
    *,
    method: str = "POST",
    authority: str = "api.openai.com",
    path: str = CHAT,
    request: Any = QUESTION,
    request_type: str = "application/json",
    status: int | None = 200,
    response: Any = ANSWER,
    response_type: str = "application/json",
    coding: str = "",
) -> Capture:
    """Return a capture."""
    headers = {"content-type": response_type} | ({"content-encoding": coding} if coding else {})
    return Capture(
        name="x",
        method=method,
        authority=authority,
        path=path,
        request=encode(request),
        request_headers={"content-type": request_type},
        status=status,
        response=None if response is None else encode(response),
        response_headers=headers,
    )


def write_folder(folder: Path, *, request: Any = QUESTION, response: Any = ANSWER, **case: Any) -> Path:
    """Write a captured exchange into a folder."""
    folder.mkdir(parents=True)
    (folder / "case.json").write_text(json.dumps({"path": f"{CHAT}?key={SECRET}", "host": "api.openai.com"} | case))
    (folder / "request.json").write_bytes(encode(request))
    (folder / "response.body").write_bytes(encode(response))
    return folder


def entry(*, request: Any = QUESTION, response: Any = ANSWER, **changes: Any) -> dict[str, Any]:
    """Return an entry of a HAR; `changes` are of its response."""
    content = {"size": 1, "mimeType": "application/json", "text": encode(response).decode()}
    return {
        "request": {
            "method": "POST",
            "url": f"https://me:{SECRET}@api.openai.com{CHAT}?key={SECRET}#{SECRET}",
            "headers": [{"name": "Authorization", "value": f"Bearer {SECRET}"}],
            "postData": {"mimeType": "application/json", "text": encode(request).decode()},
        },
        "response": {
            "status": 200,
            "headers": [
                {"name": "Content-Type", "value": "application/json"},
                {"name": "Content-Encoding", "value": "gzip"},
                {"name": "Content-Length", "value": "3"},
                {"name": "Set-Cookie", "value": SECRET},
            ],
            "content": content,
        }
        | changes,
    }


def har(*entries: Any) -> bytes:
    """Return a HAR file."""
    return json.dumps({"log": {"version": "1.2", "entries": entries}}).encode()
