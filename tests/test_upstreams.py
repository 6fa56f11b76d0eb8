from __future__ import annotations

from pathlib import Path

import pytest

from extproc import upstreams as module
from extproc.errors import SettingsError
from extproc.upstreams import Upstream, find_trust_store, parse_upstream, parse_upstreams


@pytest.mark.parametrize(
    ("text", "upstream"),
    [
        ("https://api.openai.com", Upstream("", "api.openai.com", 443, True, "", "openai")),
        (
            "anthropic=https://api.anthropic.com/",
            Upstream("anthropic", "api.anthropic.com", 443, True, "", "anthropic"),
        ),
        ("claude=https://api.anthropic.com", Upstream("claude", "api.anthropic.com", 443, True, "", "anthropic")),
        ("vllm=http://10.0.0.5:8000/v1/", Upstream("vllm", "10.0.0.5", 8000, False, "/v1", "vllm")),
        ("gemini=http://10.0.0.5", Upstream("gemini", "10.0.0.5", 80, False, "", "gcp.gemini")),
        ("http://localhost:11434", Upstream("", "localhost", 11434, False, "", None)),
        ("http://[::1]:8000", Upstream("", "::1", 8000, False, "", None)),
    ],
)
def test_an_upstream_is_read(text: str, upstream: Upstream) -> None:
    """Known hosts are called what they are, others by the name they were given."""
    assert parse_upstream(text) == upstream


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("ftp://x", "is no http or https URL"),
        ("api.openai.com", "is no http or https URL"),
        ("https://", "is no http or https URL"),
        ("", "is no http or https URL"),
        ("Not A Name=https://x", "'Not A Name' is no name"),
        ("https://x:port", "no valid host and port"),
        ("https://[::1", "no valid host and port"),
        ("https://x/?a=b", "must end with its path"),
        ("http://h h", "is no http or https URL"),
        ("http://*", "is no http or https URL"),
        ("http://[::1%lo]:80", "is no http or https URL"),
        ("http://x:0", "is no http or https URL"),
        ("http://x/a b", "has a path that is none"),
        ("http://x/ä", "has a path that is none"),
        ("https://x/#a", "must end with its path"),
    ],
)
def test_what_is_no_upstream_is_refused_in_one_line(text: str, said: str) -> None:
    """Which names the flag and says what is allowed."""
    with pytest.raises(SettingsError, match=said) as raised:
        parse_upstream(text)
    assert str(raised.value).startswith("--upstream: ")
    assert "\n" not in str(raised.value)


def test_credentials_in_a_url_are_refused_and_not_repeated() -> None:
    """An error message is no place for them."""
    for url in ("https://me:sk-secret@api.openai.com", "https://api.openai.com/?key=sk-secret"):
        with pytest.raises(SettingsError) as raised:
            parse_upstream(url)
        assert "sk-secret" not in str(raised.value)


@pytest.mark.parametrize(
    ("texts", "said"),
    [(["https://a", "https://b"], "two have no name"), (["a=https://a", "a=https://b"], "two are named 'a'")],
)
def test_two_upstreams_need_two_names(texts: list[str], said: str) -> None:
    """Only one can have the root, and only one each prefix."""
    with pytest.raises(SettingsError, match=said):
        parse_upstreams(texts)
    assert len(parse_upstreams(["https://a", "b=https://b"])) == 2


def test_trusted_certificates_are_those_of_the_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SSL_CERT_FILE if it is set, else where distributions keep them, else it is said that there are none."""
    store = tmp_path / "ca.pem"
    store.write_text("")
    monkeypatch.setenv("SSL_CERT_FILE", str(store))
    assert find_trust_store() == str(store)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "no.pem"))
    monkeypatch.setattr(module, "_BUNDLES", (str(store),))
    assert find_trust_store() == str(store)
    monkeypatch.setattr(module, "_BUNDLES", ())
    with pytest.raises(SettingsError, match="SSL_CERT_FILE"):
        find_trust_store()
