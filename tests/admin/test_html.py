"""The page as a document: what is in it, what it asks of a browser, and whether its colours can be told apart."""

from __future__ import annotations

import hashlib
import itertools
import math
import re
from base64 import b64encode
from importlib.resources import files
from typing import TypeAlias

import pytest

from extproc.admin.html import build_page

SOURCES = {path.name: path.read_text() for path in files("extproc.admin").joinpath("page").iterdir()}
SCRIPTS = {name: text for name, text in SOURCES.items() if name.endswith(".js")}
PAGE = build_page("1.2.3")
TEXT = PAGE.body.decode()

# Whatever makes text into a document, a script or a style.
SINKS = re.compile(
    r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|\bFunction\(|createContextualFragment"
    r"|DOMParser|srcdoc|cssText|\.on[a-z]+ *=|setTimeout\(\s*[\"'`]|import\("
)


def hashes_of(tag: str) -> list[str]:
    contents = re.findall(rf"<{tag}\b[^>]*>(.*?)</{tag}>", TEXT, re.DOTALL)
    return [b64encode(hashlib.sha256(content.encode()).digest()).decode() for content in contents]


def test_it_is_one_document_of_its_sources() -> None:
    """Each of them is in it, whole, and the version."""
    for name, text in SOURCES.items():
        assert name.endswith(".html") or text in TEXT, name
    assert 'data-version="1.2.3"' in TEXT
    assert "{{" not in re.sub(r"<script.*</script>", "", TEXT, flags=re.DOTALL)
    assert "&lt;b&gt;" in build_page("<b>").body.decode()


def test_it_is_small() -> None:
    """It comes through a port-forward, and is in the memory of each sidecar."""
    assert len(PAGE.body) < 100_000


def test_a_browser_runs_nothing_but_what_is_written_in_it() -> None:
    """The policy names one style and one script by their hashes, and takes no text for a document."""
    policy = dict(PAGE.headers)["Content-Security-Policy"]
    (style,), (script,) = hashes_of("style"), hashes_of("script")
    assert {part.strip() for part in policy.split(";")} == {
        "default-src 'none'", f"script-src 'sha256-{script}'", f"style-src 'sha256-{style}'", "connect-src 'self'",
        "img-src data:", "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'",
        "require-trusted-types-for 'script'", "trusted-types 'none'",
    }  # fmt: skip


def test_it_needs_nothing_from_elsewhere() -> None:
    """No address in it is another host's; styles fetch nothing."""
    addresses = re.findall(r"""(?:\bhref|\bsrc|\baction)=["']([^"']*)""", SOURCES["page.html"])
    assert {address.partition("/")[0].partition("svg")[0] for address in addresses} == {
        "data:image",
        ".",
        "#main",
        "#about",
    }
    for name, text in SOURCES.items():
        assert not re.search(r"url\(|@import|@font-face", text), name
    assert set(re.findall(r"https?://([^\s/'\"`]+)", TEXT)) <= {"www.w3.org", "127.0.0.1:8080", "127.0.0.1:9901"}


@pytest.mark.parametrize("name", SOURCES)
def test_no_text_becomes_markup(name: str) -> None:
    """Names come from clients. Nor has the document handlers or styles in attributes."""
    assert not SINKS.search(SOURCES[name])
    assert not re.search(r"<[^>]*\s(on\w+|style)=", SOURCES[name])
    assert "</script" not in SCRIPTS.get(name, "")


@pytest.mark.parametrize("name", SOURCES)
def test_sources_are_for_reading(name: str) -> None:
    """They say what they are for, and are as short as other files here. An icon is one long line."""
    lines = SOURCES[name].splitlines()
    assert len(lines) <= 300
    assert max(len(line) for line in lines if 'rel="icon"' not in line) <= 120
    assert lines[0].startswith(("//", "/*", "<!DOCTYPE html>"))


def test_another_page_has_another_tag() -> None:
    """What browsers keep is asked for again when the sidecar is another."""
    assert build_page("1.2.3").etag == PAGE.etag == dict(PAGE.headers)["ETag"]
    assert build_page("1.2.4").etag != PAGE.etag


Colour: TypeAlias = tuple[float, float, float]

# What eyes make of linear light, by Machado, Oliveira and Fernandes (2009).
EYES: dict[str, tuple[Colour, Colour, Colour]] = {
    "most": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "protanopia": ((0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216), (-0.003882, -0.048116, 1.051998)),
    "deuteranopia": ((0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.01182, 0.04294, 0.968881)),
    "tritanopia": ((1.255528, -0.076749, -0.178779), (-0.078411, 0.930809, 0.147602), (0.004733, 0.691367, 0.3039)),
}


def colours(scheme: str) -> dict[str, Colour]:
    """Return the custom properties that are colours, as linear light."""
    found = re.findall(r"--([\w-]+): light-dark\((#\w{6}), (#\w{6})\)", SOURCES["page.css"])
    return {name: linear(light if scheme == "light" else dark) for name, light, dark in found}


def linear(colour: str) -> Colour:
    values = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in values)
    return red, green, blue


def contrast(one: Colour, other: Colour) -> float:
    """As WCAG 2 has it."""
    dark, light = sorted(sum(w * value for w, value in zip((0.2126, 0.7152, 0.0722), each, strict=True))
                         for each in (one, other))  # fmt: skip
    return (light + 0.05) / (dark + 0.05)


def oklab(light: Colour) -> Colour:
    """As https://bottosson.github.io/posts/oklab/ has it; distances are about those that people see."""
    red, green, blue = (max(0.0, value) for value in light)
    long = (0.4122214708 * red + 0.5363325363 * green + 0.0514459929 * blue) ** (1 / 3)
    medium = (0.2119034982 * red + 0.6806995451 * green + 0.1073969566 * blue) ** (1 / 3)
    short = (0.0883024619 * red + 0.2817188376 * green + 0.6299787005 * blue) ** (1 / 3)
    return (
        0.2104542553 * long + 0.7936177850 * medium - 0.0040720468 * short,
        1.9779984951 * long - 2.4285922050 * medium + 0.4505937099 * short,
        0.0259040371 * long + 0.7827717662 * medium - 0.8086757660 * short,
    )


def seen(colour: Colour, eyes: str) -> Colour:
    red, green, blue = (sum(w * value for w, value in zip(row, colour, strict=True)) for row in EYES[eyes])
    return oklab((red, green, blue))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_series_can_be_told_apart(scheme: str) -> None:
    """From the panel they are on, and any two of them, by all eyes."""
    names = [f"series-{slot}" for slot in range(9)]
    palette = colours(scheme)
    assert min(contrast(palette[name], palette["panel"]) for name in names) >= 3
    for eyes in EYES:
        places = {name: seen(palette[name], eyes) for name in names[1:]}
        distances = {pair: math.dist(places[pair[0]], places[pair[1]]) for pair in itertools.combinations(places, 2)}
        assert min(distances.values()) >= 0.09, (eyes, min(distances, key=lambda pair: distances[pair]))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_texts_can_be_read(scheme: str) -> None:
    """Each colour that text has, on each ground that it is on."""
    palette = colours(scheme)
    for text in ("text", "muted", "accent", "good", "warn", "bad"):
        for ground in ("back", "panel", "code-back", f"{text}-back"):
            assert contrast(palette[text], palette.get(ground, palette["panel"])) >= 4.5, (text, ground)
