"""What looks like a credential."""

from __future__ import annotations

import pytest

from extproc.credentials import holds_secret, is_key, is_secret_name

_RUN = "0a" * 26
LONG_KEYS = [
    f"xai-{_RUN}", f"pplx-{_RUN}", f"csk-{_RUN}", f"nvapi-{_RUN}", f"ABSK{_RUN}", f"bedrock-api-key-{_RUN}",
    f"r8_{_RUN}",    f"dapi{_RUN}", f"fw_{_RUN}", f"tgp_v1_{_RUN}", f"sk_live_{_RUN}", f"AQ.{_RUN}",
]  # fmt: skip


@pytest.mark.parametrize(
    "name",
    [
        "authorization", "proxy-authorization", "cookie", "set-cookie", "x-api-key", "api-key", "apikey",
        "x-goog-api-key", "x-amz-security-token", "x-auth", "x-goog-iam-authorization-token",
        "x-forwarded-client-cert", "x-csrf-token",        "x-amz-signature", "x-secret",
        "session", "x-session-id", "x-sessionid", "accesstoken", "x-csrftoken", "x-accountkey", "x-pwd", "x-hub-hmac",
        "x-jwt-assertion", "ocp-apim-subscription-key",
    ],
)  # fmt: skip
def test_headers_that_hold_credentials_are_known_by_their_names(name: str) -> None:
    """The ones that providers take, and the ones that gateways add."""
    assert is_secret_name(name)


@pytest.mark.parametrize(
    "name", ["content-type", "user-agent", "x-ratelimit-remaining-tokens", "x-request-id", "x-team", "openai-version"]
)
def test_other_headers_are_not_taken_for_them(name: str) -> None:
    """Or nothing would be left to report."""
    assert not is_secret_name(name)


@pytest.mark.parametrize(
    "value",
    [
        "Bearer abc", "a; basic dXNlcg==", "sk-proj-12345678", "AIzaSyA", "AKIAIOSFODNN7EXAMPLE", "ghp_abc",
        "eyJhbGciOiJIUzI1NiJ9.e30.x", "https://x.example/?key=1", "/v1?a=b&access_token=1",
        "/v1?subscription-key=1", "https://x.example/?client_secret=1", "https://x.example/#id_token=1", "/v1;key=1",
        "https://user:password@x.example/", "Token abc", "apikey abc", '{"provider": "openai", "api_key": "abc"}',
        *LONG_KEYS, "ya29.abc", "hf_abc", "ASIAIOSFODNN7EXAMPLE", "-----BEGIN PRIVATE KEY-----",
    ],
)  # fmt: skip
def test_values_that_are_credentials_are_known_wherever_they_stand(value: str) -> None:
    """A client may put its key into any header."""
    assert holds_secret(value)


@pytest.mark.parametrize(
    "value",
    [
        "",
        "application/json",
        "OpenAI/Python 1.2",
        "basically",
        "task-12345678",
        "gzip, br",
        "https://x.example/a@b",
        "tokens",
        '{"team": "a"}',
    ],
)
def test_other_values_are_not_taken_for_them(value: str) -> None:
    """What everybody sends stays readable."""
    assert not holds_secret(value)


@pytest.mark.parametrize(
    "name",
    [
        "sk-proj-0123456789abcdef", "openai/sk-ant-api03-0123456789", "AIzaSyA0123456789abcdef", "AKIAIOSFODNN7EXAMPLE",
        "ghp_0123456789abcdef", "hf_0123456789abcdef", "eyJhbGciOiJIUzI1NiJ9.e30.x", "Bearer abc",
        "model=gsk_0123456789abcdef", "gpt-4o,sk-proj-0123456789abcdef", '"AIzaSyA0123456789abcdef"',
        "Basic dXNlcjpwYXNz", *LONG_KEYS, f"openai/{LONG_KEYS[0]}",
    ],
)  # fmt: skip
def test_a_key_in_the_place_of_a_name_is_known(name: str) -> None:
    """A client may put it where its model's name should be."""
    assert is_key(name)


@pytest.mark.parametrize(
    "name",
    [
        "gpt-4o-2024-08-06", "whisper-small-sk-finetuned", "sk-model-for-slovak", "task-0123456789abcdef", "stop", "",
        "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.amazon.nova-lite-v1:0", "ft:gpt-4o:acme::abc123",
        "accounts/fireworks/models/llama-v3p1-8b-instruct", "chatcmpl-0123456789abcdef", "hf_llama3_70b_instruct_v2",
        "gsk_clinical_trials_llama_3", "sk-telecom-a.x-4.0-light-2025", "ft:gpt-4o:sk-telecom-2024-prod::8abc",
        "sk-learn-text-classifier-v2", "Basic Assistant", "acme: basic gpt-4o-mini", "xai-org/grok-1", "pplx-7b-online",
        "fw_llama_v3p1_405b_instruct", "dapi-assistant-2024",
    ],
)  # fmt: skip
def test_names_of_models_and_answers_are_no_keys(name: str) -> None:
    """Or they would be missed in metrics."""
    assert not is_key(name)
