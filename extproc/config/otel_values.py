"""How values of OpenTelemetry's environment variables are read, kind by kind.

Owns: text, words, choices, numbers and truth values, and the words for those that cannot be read. Knows no variable by
its name.

https://opentelemetry.io/docs/specs/otel/configuration/common/
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from extproc.config.problems import nearest
from extproc.config.sources import Document, Origin, Remark


class Values:
    """The variables of an environment, and the document that is made of them."""

    def __init__(self, environ: Mapping[str, str], document: Document) -> None:
        self._environ = environ
        self._document = document

    def text(self, name: str) -> str:
        """Return a value; an empty one is none."""
        return self._environ.get(name, "").strip()

    def words(self, name: str) -> list[str]:
        """Return the words of a list that has commas between them."""
        return [word for part in self.text(name).split(",") if (word := part.strip())]

    def choice(self, name: str, known: Sequence[str]) -> str | None:
        """Return one of several words, or None with a warning."""
        text = self.text(name)
        if not text or text in known:
            return text or None
        self.warn(name, f"{text!r} is ignored; {nearest(text, known)}")
        return None

    def truth(self, name: str) -> bool | None:
        """Return what is true or false, None if it is not said; anything else is false, with a warning."""
        text = self.text(name).lower()
        if text not in {"", "true", "false"}:
            self.warn(name, f"true or false is expected, not {text!r}; it is taken as false")
        return text == "true" if text else None

    def number(self, name: str, expected: str, *, is_whole: bool = False) -> float | None:
        """Return a number above 0, or None with a warning."""
        text = self.text(name)
        if not text:
            return None
        try:
            number: float = int(text) if is_whole else float(text)
        except ValueError:
            number = math.nan
        if math.isfinite(number) and number > 0:
            return number
        self.warn(name, f"use {expected}, not {text!r}, which is ignored")
        return None

    def note(self, name: str, *loc: str | int) -> None:
        """Write down which variable has set what in telemetry."""
        self._document.origins["telemetry", *loc] = Origin(name)

    def warn(self, name: str, text: str) -> None:
        """Say of a variable what came of it, where that is not what it asks for."""
        self._document.warnings.append(Remark(Origin(name), text))

    def refuse(self, name: str, text: str) -> None:
        """Say of a variable why it cannot work."""
        self._document.problems.append(Remark(Origin(name), text))
