"""Which provider and which flavour an exchange is of: by authority, then by path, then by the shape of its documents.

Owns: the tables. One line adds a vendor that speaks a known flavour, or a path of one. What an Envoy route says of its
provider stands above all of this and is the exchange's business. Must not know bodies as bytes, or headers.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from functools import lru_cache
from urllib.parse import unquote

from extproc import semconv
from extproc.providers import anthropic_messages, gemini_generate, openai_chat, openai_responses, uncounted
from extproc.providers.base import REQUEST_INPUTS, Flavour, RequestFacts, clean_name, read_request
from extproc.providers.counts import JSONObject

# authority (without its port) -> provider. The first glob that fits wins.
AUTHORITIES: tuple[tuple[str, str], ...] = (
    ("api.openai.com", semconv.OPENAI),
    ("*.api.openai.com", semconv.OPENAI),
    ("api.anthropic.com", semconv.ANTHROPIC),
    ("generativelanguage.googleapis.com", semconv.GCP_GEMINI),
    ("aiplatform.googleapis.com", semconv.GCP_VERTEX_AI),
    ("*-aiplatform.googleapis.com", semconv.GCP_VERTEX_AI),
    ("*.openai.azure.com", semconv.AZURE_AI_OPENAI),
    ("*.cognitiveservices.azure.com", semconv.AZURE_AI_OPENAI),
    ("api.mistral.ai", semconv.MISTRAL_AI),
    ("api.groq.com", semconv.GROQ),
    ("api.deepseek.com", semconv.DEEPSEEK),
    ("api.x.ai", semconv.X_AI),
    ("api.perplexity.ai", semconv.PERPLEXITY),
    ("openrouter.ai", "openrouter"),
    ("api.together.xyz", "together_ai"),
    ("api.cerebras.ai", "cerebras"),
    ("api.z.ai", "z_ai"),
)

_VERTEX_MODEL = r"/projects/[^/]+/locations/[^/]+/(?:publishers/[^/]+/models|endpoints)/(?P<model>[^/:]+)"
_GEMINI_MODEL = r"/(?:models|tunedModels)/(?P<model>[^/:]+)"


@dataclass(frozen=True, slots=True)
class PathRule:
    """Paths that end in `pattern` are of `flavour`.

    `provider` is who answers there, where the authority does not say and it is not the flavour's own.
    """

    pattern: re.Pattern[str]
    flavour: Flavour
    provider: str | None = None
    streaming: bool = False


def _rule(pattern: str, flavour: Flavour, provider: str | None = None, *, streaming: bool = False) -> PathRule:
    return PathRule(re.compile(pattern + r"/?$"), flavour, provider or flavour.provider, streaming)


# path (without its query) -> flavour. The first pattern that is found at the path's end wins, so that a route's prefix
# in front of the provider's own path does no harm. The group `model` names the model where the body does not.
PATHS: tuple[PathRule, ...] = (
    _rule(r"/openai/deployments/(?P<model>[^/]+)/chat/completions", openai_chat.CHAT, semconv.AZURE_AI_OPENAI),
    _rule(r"/openai/deployments/(?P<model>[^/]+)/completions", openai_chat.COMPLETIONS, semconv.AZURE_AI_OPENAI),
    _rule(r"/openai/deployments/(?P<model>[^/]+)/embeddings", openai_chat.EMBEDDINGS, semconv.AZURE_AI_OPENAI),
    _rule(r"/chat/completions", openai_chat.CHAT),
    _rule(r"/completions", openai_chat.COMPLETIONS),
    _rule(r"/embeddings", openai_chat.EMBEDDINGS),
    _rule(r"/responses", openai_responses.RESPONSES),
    _rule(r"/moderations", uncounted.UNCOUNTED, semconv.OPENAI),
    _rule(r"/v1/messages", anthropic_messages.MESSAGES),
    _rule(r"/v1/messages/(?:count_tokens|batches)", uncounted.UNCOUNTED, semconv.ANTHROPIC),
    _rule(_VERTEX_MODEL + ":generateContent", gemini_generate.GENERATE, semconv.GCP_VERTEX_AI),
    _rule(_VERTEX_MODEL + ":streamGenerateContent", gemini_generate.GENERATE, semconv.GCP_VERTEX_AI, streaming=True),
    _rule(_VERTEX_MODEL + ":countTokens", uncounted.UNCOUNTED, semconv.GCP_VERTEX_AI),
    _rule(_GEMINI_MODEL + ":generateContent", gemini_generate.GENERATE),
    _rule(_GEMINI_MODEL + ":streamGenerateContent", gemini_generate.GENERATE, streaming=True),
    _rule(_GEMINI_MODEL + ":(?:embedContent|batchEmbedContents)", gemini_generate.EMBEDDINGS),
    _rule(_GEMINI_MODEL + ":countTokens", uncounted.UNCOUNTED, semconv.GCP_GEMINI),
    _rule(r"/interactions", gemini_generate.INTERACTIONS),
)


@dataclass(frozen=True, slots=True)
class Target:
    """What authority and path say of an exchange; every field is absent where they say nothing."""

    provider: str | None = None
    flavour: Flavour | None = None
    model: str | None = None
    streaming: bool = False


# No host name is longer, RFC 1035 section 2.3.4; a port may follow it.
_MAX_AUTHORITY_CHARACTERS = 262

# No path of any API is; one that is longer is looked at each time anew, so that clients can't fill the cache.
_MAX_CACHED_PATH_CHARACTERS = 512


def provider_at(authority: str) -> str | None:
    """Return the provider that answers at an authority (host, with or without port), if it is known."""
    return _provider_at(authority) if len(authority) <= _MAX_AUTHORITY_CHARACTERS else None


@lru_cache(maxsize=1024)
def _provider_at(authority: str) -> str | None:
    host = re.sub(r":\d+$", "", authority).lower()
    return next((provider for glob, provider in AUTHORITIES if fnmatchcase(host, glob)), None)


def detect(authority: str, path: str) -> Target:
    """Return what `:authority` and `:path` (without its query, which may hold a key) say of an exchange."""
    provider = provider_at(authority)
    by_path = _detect_path(path) if len(path) <= _MAX_CACHED_PATH_CHARACTERS else _detect_path.__wrapped__(path)
    return replace(by_path, provider=provider) if provider else by_path


@lru_cache(maxsize=1024)
def _detect_path(path: str) -> Target:
    for rule in PATHS:
        match = rule.pattern.search(path)
        if match:
            model = match.groupdict().get("model")
            return Target(
                provider=rule.provider,
                flavour=rule.flavour,
                model=clean_name(unquote(model)) if model else None,
                streaming=rule.streaming,
            )
    return Target()


def read_llm_request(document: JSONObject) -> RequestFacts | None:
    """Return what a request says on a path that says nothing; None if it has not the shape of a question to a model.

    Such a question names a model and gives it something.
    """
    facts = read_request(document)
    has_input = any(name in document for name in REQUEST_INPUTS)
    return facts if facts.model and has_input else None


def _text_at(document: JSONObject, key: str) -> str:
    value = document.get(key)
    return value if isinstance(value, str) else ""


# shape of an answer (whole, or its first event) -> flavour, for paths that say nothing. The first that fits wins.
SHAPES: tuple[tuple[Callable[[JSONObject], bool], Flavour], ...] = (
    (lambda document: "usageMetadata" in document or "candidates" in document, gemini_generate.GENERATE),
    (lambda document: document.get("type") in ("message", "message_start"), anthropic_messages.MESSAGES),
    (lambda document: document.get("object") == "response", openai_responses.RESPONSES),
    (lambda document: _text_at(document, "type").startswith("response."), openai_responses.RESPONSES),
    (lambda document: document.get("object") == "text_completion", openai_chat.COMPLETIONS),
    (lambda document: "choices" in document, openai_chat.CHAT),
    (lambda document: document.get("object") == "list" and "usage" in document, openai_chat.EMBEDDINGS),
)


def detect_response(document: JSONObject) -> Flavour | None:
    """Return the flavour of an answer by its shape."""
    return next((flavour for has_shape, flavour in SHAPES if has_shape(document)), None)
