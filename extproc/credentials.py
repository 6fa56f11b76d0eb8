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
# What follows the names of schemes; how keys of providers and clouds begin; parameters of URLs, users in them, and
# members of JSON, by their names.
_SECRET_VALUE = re.compile(
    r"(?i:\b(?:bearer|basic|digest|negotiate)\s+\S|^\s*(?:token|api-?key)\s+\S)"
    r"|\bsk-[A-Za-z0-9_-]{8}|\bAIza|\bA[KS]IA[A-Z0-9]{12}|\bgh[pousr]_|\bxox[abprs]-|\beyJ[A-Za-z0-9_-]{8}"
    r"|\bya29\.|\bglpat-|\b(?:hf|gsk|github_pat)_[A-Za-z0-9]|-----BEGIN "
    r"|[?&#;](?i:[\w.-]*(?:key|token|secret|sig|signature|passw(?:or)?d|credential|auth|code))="
    r"|://[^/?#\s@]+@"
    r"|\"(?i:[\w-]*(?:key|token|secret|password))\"\s*:"
)

# Keys as they are given out, where a name or a word was expected: long enough that no model is called so.
_KEY = (
    r"(?:(?i:bearer|basic)\s|sk-(?=[\w-]*\d)[\w-]{16}|AIza[\w-]{16}|A[KS]IA[A-Z0-9]{12}|gh[pousr]_\w{16}"
    r"|github_pat_\w{16}|xox[abprs]-[\w-]{10}|eyJ[\w-]{16}|ya29\.[\w-]{10}|glpat-[\w-]{16}|(?:hf|gsk)_\w{16})"
)
_FIRST_KEY = re.compile(_KEY, re.ASCII)
_LATER_KEY = re.compile(f"[/: =]{_KEY}", re.ASCII)


def is_secret_name(name: str) -> bool:
    """Say whether a header of this lower-case name may hold a credential."""
    return _SECRET_NAME.search(name) is not None


def holds_secret(value: str) -> bool:
    """Say whether a text has something in it that looks like a credential."""
    return _SECRET_VALUE.search(value) is not None


def is_key(name: str) -> bool:
    """Say whether what should be a name or a word is a key, or has one in a part of it."""
    if _FIRST_KEY.match(name):
        return True
    has_parts = "/" in name or ":" in name or " " in name or "=" in name
    return has_parts and _LATER_KEY.search(name) is not None
