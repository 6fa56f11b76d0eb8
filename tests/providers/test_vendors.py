from __future__ import annotations

import re

import pytest

from extproc.providers.detect import Detector
from extproc.providers.vendors import VENDORS


@pytest.mark.parametrize(
    ("authority", "provider"),
    [
        ("api.openai.com", "openai"),
        ("API.OpenAI.com:443", "openai"),
        ("us.api.openai.com", "openai"),
        ("api.anthropic.com", "anthropic"),
        ("us-central1-aiplatform.googleapis.com", "gcp.vertex_ai"),
        ("acme.openai.azure.com", "azure.ai.openai"),
        ("bedrock-runtime.us-east-1.amazonaws.com", "aws.bedrock"),
        ("bedrock-runtime.cn-north-1.amazonaws.com.cn", "aws.bedrock"),
        ("vpce-1.bedrock-runtime.eu-west-1.vpce.amazonaws.com", "aws.bedrock"),
        ("bedrock-mantle.us-east-1.api.aws", "aws.bedrock"),
        ("api.groq.com", "groq"),
        ("models.inference.ai.azure.com", "github"),
        ("ap-south-1.aws.wxai.ibm.com", "ibm.watsonx.ai"),
        ("127.0.0.1:11434", "ollama"),
        ("localhost:8080", None),
        ("[::1]:8080", None),
        ("api.openai.com.evil.example", None),
        ("notapi.openai.com", None),
    ],
)
def test_an_authority_tells_the_provider(authority: str, provider: str | None) -> None:
    """By its name without port, in any case, and by nothing less than its whole name."""
    assert Detector().detect(authority, "/").provider == provider


@pytest.mark.parametrize(
    ("path", "provider"),
    [
        ("/openai/v1/responses", "azure.ai.openai"),
        ("/openai/deployments/d/chat/completions", "azure.ai.openai"),
        ("/models/chat/completions", "azure.ai.inference"),
        ("/anthropic/v1/messages", "azure.ai.inference"),
    ],
)
def test_a_host_that_two_providers_share_goes_by_the_path(path: str, provider: str) -> None:
    """Azure has both of its APIs at one."""
    assert Detector().detect("acme.services.ai.azure.com", path).provider == provider


def test_the_table_is_readable() -> None:
    """No authority stands twice for the same paths, and names are in snake_case or OpenTelemetry's."""
    keys = [(glob, vendor.paths) for vendor in VENDORS for glob in vendor.authorities]
    assert len(keys) == len(set(keys))
    assert all(re.fullmatch(r"[a-z][a-z0-9_.]*", vendor.provider) for vendor in VENDORS)
    assert all(glob == glob.lower() for glob, _ in keys)


def test_no_authority_is_hidden_by_one_above_it() -> None:
    """What is written of a host is what is said of it."""
    for vendor in VENDORS:
        for glob in vendor.authorities:
            example, path = glob.replace("*", "x"), vendor.paths.replace("*", "x")
            assert Detector().detect(example, path).provider == vendor.provider, glob
