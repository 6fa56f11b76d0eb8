"""The page on the admin port in a real browser, on the real sidecar behind the real Envoy."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from support.browser import Browser, Visit, open_browser
from support.gateway import Gateway
from support.pages import free_port
from support.sidecar import Sidecar
from support.waiting import wait_for

from extproc.demo.mock.server import MockProviders

pytestmark = pytest.mark.e2e

MODELS = 20

# What clients may call a model. Each would do something if it ever were more than text.
HOSTILE = [
    "<img src=x onerror=alert(1)>",
    "</script><script>alert(2)</script>",
    "__proto__",
    "gpt-4o\u202egpj\u3164.exe",
    "\"'`><b onmouseover=alert(4)>" + "m" * 240,
]
TOKENS = re.compile(r"[\d,]+")


@pytest.fixture(name="browser", scope="module")
def _browser() -> Iterator[Browser]:
    with open_browser() as browser:
        yield browser


@pytest.fixture(name="busy", scope="module")
def _busy(
    browser: Browser,  # noqa: ARG001 - without one there is nothing to look at
    providers: MockProviders,
) -> Iterator[Gateway]:
    """A gateway that has had traffic for 20 models, and some for those with names that nobody would give one."""
    with Gateway(providers.addresses) as gateway:
        with ThreadPoolExecutor(8) as pool:
            for done in [pool.submit(ask, gateway, number, name) for number, name in enumerate(names())]:
                assert done.result() == 200
        assert gateway.post("/openai/v1/chat/completions", b'{"model": "no-such-model"}')[0].status == 404
        wait_for(lambda: requests_of(gateway) == len(names()) + 1)
        yield gateway


def names() -> list[str]:
    """One for each request; some models are asked more than once."""
    return [f"model-{number % MODELS}" for number in range(30)] + HOSTILE


def ask(gateway: Gateway, number: int, model: str) -> int:
    question = {"model": model, "messages": [{"role": "user", "content": "Why? " * (number + 1)}], "max_tokens": 400}
    path = "/anthropic/v1/messages" if model == f"model-{MODELS - 1}" else "/openai/v1/chat/completions"
    return gateway.post(path, json.dumps(question | {"stream": number % 3 == 0}).encode())[0].status


def requests_of(gateway: Gateway) -> float:
    return sum(value for (name, _), value in gateway.metrics().items() if name == "ai_requests_total")


def visit(browser: Browser, gateway: Gateway, **options: Any) -> Visit:
    return Visit(browser, f"http://{gateway.stack.metrics}/", **options)


def cells(seen: Visit, column: str) -> list[str]:
    """Return a column of the table of models, from the first row on."""
    titles = seen.texts("#models thead th")
    found: list[str] = seen.page.eval_on_selector_all(
        "#models tbody tr", "(rows, at) => rows.map((row) => row.cells[at].textContent)", titles.index(column)
    )
    return found


def own_cells(seen: Visit, column: str) -> list[str]:
    """The same without the last row, where that is of all other models."""
    found = cells(seen, column)
    return found[:-1] if cells(seen, "Model")[-1] == "other models" else found


def test_it_shows_what_the_metrics_say(browser: Browser, busy: Gateway) -> None:
    """Each of 20 models with its counts, and their sums, in the table and to who cannot see the chart."""
    metrics = busy.metrics()
    counted: dict[str, dict[str, float]] = {"ai_prompt_tokens_total": {}, "ai_completion_tokens_total": {}}
    for (name, labels), value in metrics.items():
        if name in counted:
            model = dict(labels)["model"]
            counted[name][model] = counted[name].get(model, 0) + value
    with visit(browser, busy) as seen:
        seen.wait_for_state("ready")
        prompt = dict(zip(cells(seen, "Model"), cells(seen, "Prompt"), strict=True))
        completion = dict(zip(cells(seen, "Model"), cells(seen, "Completion"), strict=True))
        assert set(cells(seen, "Cost")) == {"–"}  # noqa: RUF001 - none has a price, nor has an error
        whole = TOKENS.search(seen.texts("#chart-tokens-summary")[0])
        assert seen.wrong == []
        seen.take_picture("light")
    for number in range(MODELS):
        model = f"model-{number}"
        assert prompt[model] == f"{counted['ai_prompt_tokens_total'][model]:,.0f}"
        assert completion[model] == f"{counted['ai_completion_tokens_total'][model]:,.0f}"
    assert whole is not None
    assert whole[0] == f"{sum(value for by_model in counted.values() for value in by_model.values()):,.0f}"


def as_sent(route: Any) -> None:
    """Answer with the names as clients sent them: the sidecar has put a mark in the place of what cannot be seen."""
    answer = route.fetch()
    route.fulfill(response=answer, body=answer.text().replace("\ufffd", "\u202e"))


def test_names_are_text(browser: Browser, busy: Gateway) -> None:
    """Whatever a client calls a model: nothing of it runs, or is asked for, and all of it can be seen."""
    with visit(browser, busy, routes={"**/recent": as_sent}) as seen:
        seen.wait_for_state("ready")
        shown = cells(seen, "Model")
        for name in HOSTILE:
            spelt = name.replace("\u202e", "\\u202e").replace("\u3164", "\\u3164")
            assert any(len(each) > 8 and spelt.startswith(each.removesuffix("…")) for each in shown), name
        seen.page.locator("#chart-tokens .plot").hover()
        seen.page.mouse.move(700, 400)
        assert seen.page.locator("img, b, main script").count() == 0
        asked = {url.removeprefix(f"http://{busy.stack.metrics}") for url in seen.asked}
        assert {url for url in asked if not url.startswith("data:")} == {"/", "/recent"}
        assert seen.wrong == []


def with_small_sums(route: Any) -> None:
    """Answer with a price for all of it: small sums have the most digits."""
    answer = route.fetch()
    text = re.sub(r'"cost_usd_micros":(\d+|null)', '"cost_usd_micros":144', answer.text())
    route.fulfill(response=answer, body=re.sub(r'"priced":\d+', '"priced":1', text))


@pytest.mark.parametrize("width", [360, 1280])
def test_no_number_is_cut(browser: Browser, busy: Gateway, width: int) -> None:
    """What has no room for its last digits says another thing."""
    with visit(browser, busy, routes={"**/recent": with_small_sums}, width=width) as seen:
        seen.wait_for_state("ready")
        assert "$0.000144" in cells(seen, "Cost")
        assert "$0.000144" in seen.texts("#exchanges td")
        cut = "(all) => all.filter((one) => one.scrollWidth > one.clientWidth).map((one) => one.textContent)"
        assert seen.page.eval_on_selector_all(".number", cut) == []


def test_the_browser_would_stop_what_got_in(browser: Browser, busy: Gateway) -> None:
    """Text is no markup here even for a script of the page's own."""
    with visit(browser, busy) as seen:
        seen.wait_for_state("ready")
        refused = seen.page.evaluate("""() => {
          try { document.body.innerHTML = "<img src=x onerror=alert(1)>"; } catch (error) { return error.name; }
          return "";
        }""")
        assert refused == "TypeError"
        seen.page.evaluate("""() => {
          const image = new Image();
          image.src = "https://elsewhere.example/x";
          document.body.append(image);
        }""")
        seen.page.wait_for_function("() => true")
        assert [text for text in seen.wrong if text.startswith("CSP: ")] == [
            "CSP: require-trusted-types-for", "CSP: img-src",
        ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "options"),
    [("dark", {"color_scheme": "dark"}), ("phone", {"width": 360, "height": 780, "has_touch": True})],
)
def test_nobody_is_kept_out(browser: Browser, busy: Gateway, name: str, options: dict[str, Any]) -> None:
    """By colours, or a narrow screen; what is not known of the configuration is said in words."""
    with visit(browser, busy, **options) as seen:
        seen.wait_for_state("ready")
        seen.take_picture(name)
        assert {"Warning", "Note"} <= set(seen.texts(".finding .severity"))
        seen.page.locator(".finding summary").first.click()
        assert re.search(r"And \d that are not shown here", seen.texts(".finding details")[0])
        assert seen.find_barriers() == []


def test_it_goes_by_keyboard(browser: Browser, busy: Gateway) -> None:
    """Sorting, filtering, stepping through a chart, holding the last exchanges, and choosing colours."""
    with visit(browser, busy) as seen:
        seen.wait_for_state("ready")
        keys = seen.page.keyboard
        seen.page.locator("#models thead button", has_text="Completion").focus()
        for sort, is_reversed in (("descending", True), ("ascending", False)):
            keys.press("Enter")
            assert seen.page.locator("#models th[aria-sort]").get_attribute("aria-sort") == sort
            counts = [int(text.replace(",", "")) for text in own_cells(seen, "Completion")]
            assert counts == sorted(counts, reverse=is_reversed)

        seen.page.locator("#models-filter").focus()
        keys.type("MODEL-1")
        assert sorted(cells(seen, "Model")) == sorted(f"model-{number}" for number in (1, *range(10, MODELS)))
        assert seen.texts("#announcer") == [seen.texts("#models-text")[0]]

        slider = seen.page.locator("#chart-requests input")
        slider.focus()
        keys.press("ArrowLeft")
        assert "Requests" in slider.get_attribute("aria-valuetext")
        assert seen.page.locator("#chart-requests .tip").is_visible()
        keys.press("Escape")
        assert not seen.page.locator("#chart-requests .tip").is_visible()

        seen.page.locator("#theme").focus()
        keys.press("Enter")
        assert seen.page.evaluate("getComputedStyle(document.documentElement).colorScheme") == "light"
        assert seen.wrong == []


def test_the_last_exchanges_come_by_themselves_and_can_be_held(browser: Browser, busy: Gateway) -> None:
    """Another one is there within a few seconds; not while somebody reads."""
    with visit(browser, busy) as seen:
        seen.wait_for_state("ready")
        newest = seen.page.locator("#exchanges tbody tr:first-child")
        row = seen.page.locator("#models tbody tr", has=seen.page.get_by_text("model-3", exact=True))
        seen.page.locator("#pause").focus()
        seen.page.keyboard.press("Enter")
        held, before = newest.text_content(), row.locator("td").nth(1).text_content()
        assert ask(busy, 1, "model-3") == 200
        row.locator("td", has_text=re.compile(rf"^{int(before) + 1}$")).wait_for()
        assert newest.text_content() == held
        seen.page.keyboard.press("Enter")
        assert newest.text_content() != held
        assert "model-3" in newest.text_content()
        assert seen.wrong == []


def test_without_traffic_it_says_what_to_do_and_a_sidecar_that_is_gone_is_missed(
    browser: Browser, tmp_path: Path
) -> None:
    """From when on, until there is one again; by itself."""
    flags = ("--admin-listen", f"127.0.0.1:{free_port()}")
    with Sidecar(tmp_path, *flags) as sidecar, Visit(browser, f"http://{sidecar.admin}/") as seen:
        seen.wait_for_state("ready")
        assert "extproc doctor" in seen.texts("#empty")[0]
        assert f"--sidecar http://{sidecar.admin}" in seen.texts("#empty-doctor")[0]
        assert seen.texts("#findings-text") == ["Nothing to mend"]
        seen.take_picture("empty")
        assert seen.find_barriers() == []
        assert seen.wrong == []
        sidecar.process.kill()
        seen.wait_for_state("lost")
        assert "No answer from the sidecar since" in seen.texts("#banner")[0]
        assert seen.find_barriers("#banner", ".top") == []
        seen.take_picture("lost")
        sidecar.process.wait()
        with Sidecar(tmp_path, *flags):
            seen.wait_for_state("ready")
            assert seen.texts("#announcer") == ["The sidecar answers again: Ready"]
            assert not seen.page.locator("#banner").is_visible()
