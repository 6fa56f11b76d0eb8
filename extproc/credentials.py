"""What looks like a credential: headers that may hold one, by their names, and texts that are one.

Owns: where the line is drawn for whoever reports headers. It errs on the side of saying nothing. Must not know who
asks. Imports nothing of ours.
"""

from __future__ import annotations

import re
from typing import Final

# In the place of a value that looks like one.
REDACTED: Final = "[redacted]"

_SECRET_NAME = re.compile(
    r"auth|cookie|secret|passw|pwd|api[-_]?key|signature|credential|jwt|bearer|hmac|session|token(?!s)"
    r"|key(?:$|[-_.])|(?:^|[-_.])(?:cert|csrf|xsrf|sig|sign|otp|pass|pat)(?:$|[-_.])"
)
# Keys of providers and clouds that nothing else is like, however long: xAI, Perplexity, Nvidia, Cerebras, Bedrock,
# Replicate, Databricks, Fireworks, Together, Stripe, Google.
_LONG_KEY = (
    r"(?:(?:xai|pplx|csk)-[A-Za-z0-9]{32}|nvapi-[\w-]{40}|ABSK[A-Za-z0-9+/]{32}|bedrock-api-key-[A-Za-z0-9+/]{16}"
    r"|r8_[A-Za-z0-9]{30}|dapi[0-9a-f]{32}|fw_[A-Za-z0-9]{20}|tgp_v1_[\w-]{20}|[rs]k_(?:live|test)_[A-Za-z0-9]{16}"
    r"|AQ\.[\w-]{30})"
)
# What follows the names of schemes; how keys of providers and clouds begin; parameters of URLs, users in them, and
# members of JSON, by their names.
_SECRET_VALUE = re.compile(
    r"(?i:\b(?:bearer|basic|digest|negotiate)\s+\S|^\s*(?:token|api-?key)\s+\S)"
    r"|\bsk-[A-Za-z0-9_-]{8}|\bAIza|\bA[KS]IA[A-Z0-9]{12}|\bgh[pousr]_|\bxox[abprs]-|\beyJ[A-Za-z0-9_-]{8}"
    r"|\bya29\.|\bglpat-|\b(?:hf|gsk|github_pat)_[A-Za-z0-9]|-----BEGIN "
    r"|[?&#;](?i:[\w.-]*(?:key|token|secret|sig|signature|passw(?:or)?d|credential|auth|code))="
    r"|://[^/?#\s@]+@"
    r"|\"(?i:[\w-]*(?:key|token|secret|password))\"\s*:"
    rf"|\b{_LONG_KEY}"
)

# Keys as they are given out, where a name or a word was expected: so long, and so long without a break, as no model is
# called.
_KEY = (
    r"(?:(?i:bearer)\s|(?i:basic)\s+(?=\S*(?:[0-9=]|[a-z][A-Z]))[\w+/=]{8}"
    r"|sk-(?=[\w-]*\d)(?=(?:ant|proj|or|admin|svcacct|None|lf)-|[\w-]*\w{12})[\w-]{16}"
    r"|AIza[\w-]{16}|A[KS]IA[A-Z0-9]{12}|gh[pousr]_\w{16}|github_pat_\w{16}|xox[abprs]-[\w-]{10}|eyJ[\w-]{16}"
    rf"|ya29\.[\w-]{{10}}|glpat-[\w-]{{16}}|(?:hf|gsk)_[A-Za-z0-9]{{16}}|{_LONG_KEY})"
)
_FIRST_KEY = re.compile(_KEY, re.ASCII)
_LATER_KEY = re.compile(rf"[^\w.-]{_KEY}", re.ASCII)


def is_secret_name(name: str) -> bool:
    """Say whether a header of this lower-case name may hold a credential."""
    return _SECRET_NAME.search(name) is not None


def holds_secret(value: str) -> bool:
    """Say whether a text has something in it that looks like a credential."""
    return _SECRET_VALUE.search(value) is not None


def is_key(name: str) -> bool:
    """Say whether what should be a name or a word is a key, or has one in a part of it."""
    return _FIRST_KEY.match(name) is not None or _LATER_KEY.search(name) is not None
