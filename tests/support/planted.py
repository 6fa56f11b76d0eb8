"""Secrets that are planted to be looked for: unlike anything else, and known again in whatever form they stand."""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import quote

# A part that is so long is a leak.
PART_CHARACTERS = 12


class Planted:
    """Secrets by the input they are planted in."""

    def __init__(self) -> None:
        self.cores: dict[str, str] = {}

    def plain(self, name: str) -> str:
        """Return a new secret that looks like nothing in particular."""
        assert name not in self.cores
        core = self.cores[name] = secrets.token_hex(16)
        return core

    def key(self, name: str) -> str:
        """Return a new secret that looks like a provider's key."""
        return f"sk-proj-{self.plain(name)}"

    def text(self, name: str) -> str:
        """Return a person's sentence with a new secret in it, and what has to be escaped in one way or another."""
        return f'Zoë Größe said "{self.plain(name)}" & left \\ by <18:00>\n'

    def found_in(self, place: bytes) -> set[str]:
        """Return the inputs of which something stands in a place."""
        text = "\n".join(set(place.decode("latin-1").lower().split("\n")))  # most lines come many times
        return {name for name, core in self.cores.items() if any(part in text for part in parts_of(core))}


def parts_of(core: str) -> set[str]:
    """Return what gives a secret away: its beginning or its end, as it is or in one of its forms; lower case."""
    found = set[str]()
    for form, unit in _forms(core):
        size = PART_CHARACTERS * unit
        found |= {form[:size].lower(), form[-size:].lower()}
    return found


def _forms(core: str) -> Iterator[tuple[str, int]]:
    """Yield each form with the number of its characters for one of the secret's."""
    raw = core.encode()
    yield core, 1
    yield raw.hex(), 2
    yield "".join(f"%{byte:02x}" for byte in raw), 3
    yield "".join(f"\\u{byte:04x}" for byte in raw), 6
    for shift in range(3):
        # Where it stands behind other text, what its first and last characters become depends on that.
        yield base64.b64encode(b"x" * shift + raw)[4:-4].decode(), 1


def spelled(core: str) -> dict[str, str]:
    """Return a secret as others may write it: for the test of the search itself."""
    document = json.dumps({"a": f"é{core}"})
    return {
        "as it is": f"x{core}y",
        "its beginning": f"x{core[:PART_CHARACTERS]}",
        "its end": f"{core[-PART_CHARACTERS:]}y",
        "upper case": core.upper(),
        "JSON": document,
        "percent": quote(f"é {core}"),
        "hex": core.encode().hex(),
        **{f"base64 behind {n}": base64.b64encode(b"x" * n + core.encode() + b"yz").decode() for n in range(4)},
    }


def write_table(path: Path, found: Mapping[str, Mapping[str, bool]], allowed: Mapping[str, frozenset[str]]) -> None:
    """Write which input was found in which place: a row for each input."""
    inputs = sorted({name for names in found.values() for name in names})
    lines = [f"| input | {' | '.join(found)} |", "|---" * (len(found) + 1) + "|"]
    for name in inputs:
        cells = [_cell(found[place].get(name), place in allowed.get(name, ())) for place in found]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    leaks = sum(
        cell is True and place not in allowed.get(name, ())
        for place, row in found.items()
        for name, cell in row.items()
    )
    searched = sum(len(row) for row in found.values())
    lines.append(f"\n{len(inputs)} inputs, {len(found)} places, {searched} searched, {leaks} leaks\n")
    path.write_text("\n".join(lines), encoding="utf-8")


def _cell(is_found: bool | None, is_allowed: bool) -> str:
    if is_found is None:
        return ""
    if not is_found:
        return "MISSING" if is_allowed else "-"
    return "as asked for" if is_allowed else "LEAK"
