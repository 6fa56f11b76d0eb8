"""Where in an exchange an exception was raised that nobody foresaw.

Owns: which stage it is counted under. Must not know what is done about it.
"""

from __future__ import annotations

import traceback
from typing import Final

from extproc.errors import Stage

# Who reads a body: what is raised below that was the reading of it.
_READERS: Final = {
    "extproc.request_reader": Stage.REQUEST_BODY,
    "extproc.response_reader": Stage.RESPONSE_BODY,
}


def stage_of(error: BaseException) -> Stage:
    """Return where an exchange was when an exception was raised: at a body, where it was one's reading that failed."""
    for frame, _line in traceback.walk_tb(error.__traceback__):
        stage = _READERS.get(frame.f_globals.get("__name__", ""))
        if stage is not None:
            return stage
    return Stage.EXCHANGE
