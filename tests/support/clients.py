"""The official SDKs of Bedrock, Cohere, Mistral and Ollama, pointed at one gateway."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

import boto3
import botocore.config
import cohere
import httpx
import httpx2
import ollama
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.httpsession import URLLib3Session
from mistralai.client import Mistral
from support.recorder import Recorder


class Clients:
    """One client of each, for one exchange, whose bytes are in `recorder`. None of them tries again.

    They ask for their providers by the `authorities` given here; for any other, by the gateway's own.
    """

    def __init__(self, url: str, authorities: Mapping[str, str]) -> None:
        self.recorder = Recorder()
        self.request_id = str(uuid.uuid4())
        self._authorities = authorities
        self._httpx = httpx.Client(**self._options("cohere"))
        to_cohere: Any = {"api_key": "co-test", "base_url": f"{url}/cohere", "httpx_client": self._httpx}
        self.cohere = cohere.ClientV2(**to_cohere, max_retries=0)
        self.cohere_v1 = cohere.Client(**to_cohere, max_retries=0)
        self._httpx2 = httpx2.Client(**self._options("mistral"))
        self.mistral = Mistral(api_key="mi-test", server_url=f"{url}/mistral", client=self._httpx2)
        self.ollama = ollama.Client(host=f"{url}/ollama", **self._options("ollama"))
        self._aws_session = URLLib3Session()
        self.bedrock = _start_bedrock(f"{url}/bedrock")
        self.bedrock.meta.events.register("before-send.bedrock-runtime", self._send)

    def _headers(self, name: str) -> dict[str, str]:
        host = {"host": self._authorities[name]} if name in self._authorities else {}
        return host | {"x-request-id": self.request_id}

    def _options(self, name: str) -> Any:
        """Return options for httpx and httpx2. The environment may name a proxy, which they are not to use."""
        hooks = {"response": [self.recorder.keep]}
        return {"headers": self._headers(name), "event_hooks": hooks, "trust_env": False}

    def _send(self, request: AWSPreparedRequest, **_: object) -> AWSResponse:
        """Take sending out of botocore's hands, which lets nobody see what comes before it reads it."""
        for header, value in self._headers("bedrock").items():
            request.headers[header] = value
        return self.recorder.send(request, self._aws_session)

    def close(self) -> None:
        """Close all of them."""
        self._httpx.close()
        self._httpx2.close()
        self.ollama.close()  # type: ignore[no-untyped-call]
        self.bedrock.close()
        self._aws_session.close()


def _start_bedrock(url: str) -> Any:
    config = botocore.config.Config(retries={"total_max_attempts": 1}, proxies={})
    return boto3.client(
        "bedrock-runtime",
        region_name="us-east-1",
        aws_access_key_id="AKIATEST",
        aws_secret_access_key="aws-secret-test",
        endpoint_url=url,
        config=config,
    )
