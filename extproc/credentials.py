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
    r"auth|cookie|secret|passw|api-?key|signature|credential|jwt|bearer"
    r"|(?:^|[-_.])(?:token|key|session|cert|csrf|xsrf|sig)(?:$|[-_.])"
)
_SECRET_VALUE = re.compile(
    r"(?i:\b(?:bearer|basic|digest|negotiate)\s+\S)"
    r"|\bsk-[A-Za-z0-9_-]{8}|\bAIza|\bAKIA|\bgh[pousr]_|\bxox[abprs]-|\beyJ[A-Za-z0-9_-]{8}"
    r"|[?&](?i:key|token|api[-_]?key|sig|signature|access_token|password|x-amz-signature)="
)


def is_secret_name(name: str) -> bool:
    """Say whether a header of this lower-case name may hold a credential."""
    return _SECRET_NAME.search(name) is not None


def holds_secret(value: str) -> bool:
    """Say whether a text has something in it that looks like a credential."""
    return _SECRET_VALUE.search(value) is not None
