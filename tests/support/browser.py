"""A real Chromium, as tests drive it: what went wrong in a page, what it asked for, and what it looks like."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any, Self

import pytest

sync_api = pytest.importorskip("playwright.sync_api", reason="there is no playwright here: make browser")
axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="there is no axe here: make browser")

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")

# What a page itself cannot hide from us.
_TELL_VIOLATIONS = """
addEventListener("securitypolicyviolation", (event) => console.error("CSP: " + event.violatedDirective));
"""


class Browser:
    """A browser with a tab for fingers and one without. A tab of its own for each visit would cost a second of CPU."""

    def __init__(self, chromium: Any) -> None:
        self._chromium = chromium
        self._tabs: dict[bool, Any] = {}

    def tab(self, *, has_touch: bool) -> Any:
        """Return the tab, which shows nothing."""
        if has_touch not in self._tabs:
            context = self._chromium.new_context(locale="en-US", has_touch=has_touch)
            context.add_init_script(_TELL_VIOLATIONS)
            self._tabs[has_touch] = context.new_page()
            self._tabs[has_touch].set_default_timeout(20_000)
        return self._tabs[has_touch]


@contextmanager
def open_browser() -> Iterator[Browser]:
    """Yield a Chromium of this machine's; skip the test where there is none."""
    path = next(filter(None, map(shutil.which, _NAMES)), None)
    if path is None:
        pytest.skip("there is no Chromium here")
    with sync_api.sync_playwright() as playwright:
        # Its sandbox needs what containers do not give.
        chromium = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-dev-shm-usage"])
        yield Browser(chromium)
        chromium.close()


class Visit:
    """A page at an address, looked at by somebody: `wrong` is what they would find in the browser's console.

    What is asked for at an address of `routes` goes through the function there. The next visit in the tab begins anew.
    """

    def __init__(
        self,
        browser: Browser,
        url: str,
        *,
        width: int = 1280,
        height: int = 900,
        color_scheme: str = "light",
        has_touch: bool = False,
        routes: Mapping[str, Callable[[Any], None]] = MappingProxyType({}),
    ) -> None:
        self.url = url
        self.wrong: list[str] = []
        self.asked: list[str] = []
        self.page = browser.tab(has_touch=has_touch)
        self.page.set_viewport_size({"width": width, "height": height})
        self.page.emulate_media(color_scheme=color_scheme)
        self._routes = routes
        self._listeners: dict[str, Callable[[Any], None]] = {
            "console": lambda message: self.wrong.append(message.text),
            "pageerror": lambda error: self.wrong.append(str(error)),
            "request": lambda request: self.asked.append(request.url),
            "dialog": self._dismiss,
        }

    def _dismiss(self, dialog: Any) -> None:
        self.wrong.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def __enter__(self) -> Self:
        for event, listener in self._listeners.items():
            self.page.on(event, listener)
        for address, answer in self._routes.items():
            self.page.route(address, answer)
        self.page.goto(self.url)
        return self

    def __exit__(self, *_: object) -> None:
        for event, listener in self._listeners.items():
            self.page.remove_listener(event, listener)
        self.page.evaluate("localStorage.clear()")
        self.page.unroute_all(behavior="wait")

    def wait_for_state(self, state: str) -> None:
        """Wait until the page says so of the sidecar."""
        self.page.wait_for_selector(f'#state[data-state="{state}"]')

    def texts(self, selector: str) -> list[str]:
        """Return the texts of what is there."""
        found: list[str] = self.page.locator(selector).all_text_contents()
        return found

    def find_barriers(self, *parts: str) -> list[tuple[str, str]]:
        """Return what keeps people out, as axe finds it, and how a narrow screen would: what sticks out of it.

        Axe takes its time: where most is what it was before, it looks at some `parts` alone.
        """
        where = {"include": list(parts)} if parts else {"exclude": [_MORE_OF_THE_SAME]}
        found = axe.Axe().run(self.page, where).response["violations"]
        barriers = [(each["id"], node["html"]) for each in found for node in each["nodes"]]
        return barriers + [("too-wide", html) for html in self.page.evaluate(_FIND_TOO_WIDE)]

    def take_picture(self, name: str) -> None:
        """Leave a picture of all of it where EXTPROC_SCREENSHOTS says, if it does."""
        folder = os.environ.get("EXTPROC_SCREENSHOTS")
        if folder:
            self.page.screenshot(path=Path(folder, f"{name}.png"), full_page=True)


# Rows of a table are all alike, and looking at each takes long.
_MORE_OF_THE_SAME = "tbody tr:nth-child(n+5)"

# What can be scrolled in a box of its own may be as wide as it likes.
_FIND_TOO_WIDE = """() => {
  const end = document.documentElement.clientWidth + 0.5;
  const isShown = (node) => node.checkVisibility() && !node.closest(".scroll, pre, .visually-hidden, .skip, svg, .tip");
  const isCut = (node) => node.matches(".name") || node.closest(".name");
  const found = [...document.body.querySelectorAll("*")].filter((node) => isShown(node) && !isCut(node));
  return found.filter((node) => node.getBoundingClientRect().right > end).map((node) => node.outerHTML.slice(0, 200));
}"""
