"""The page in the system's Chromium: it lives, answers keys, says what is wrong, and asks nobody but its own server."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from time import perf_counter_ns
from typing import Any

import pytest

from agentgauge.server.static import STATIC_DIR

ROOT = Path(__file__).parent.parent.parent
AXE = ROOT / "web/node_modules/axe-core/axe.min.js"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
REQUIRED = os.environ.get("AGENTGAUGE_REQUIRE_BROWSER") == "1"
ARGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
WAIT_MS = 20_000
DEMO_PATIENCE_S = 10

pytestmark = pytest.mark.browser


def need(present: bool, reason: str) -> None:
    """Skip with the reason; fail instead where a browser is required, as in CI."""
    if present:
        return
    if REQUIRED:
        pytest.fail(reason)
    pytest.skip(reason)


class Server:
    """A page server of its own, on a port of its own."""

    def __init__(self, *arguments: str) -> None:
        script = Path(__file__).with_name("page_server.py")
        self.process = subprocess.Popen(
            [sys.executable, str(script), *arguments], stdout=subprocess.PIPE, text=True, cwd=ROOT
        )
        assert self.process.stdout is not None
        self.url = f"http://127.0.0.1:{int(self.process.stdout.readline())}/"

    def close(self) -> None:
        self.process.terminate()
        self.process.communicate(timeout=20)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    need((STATIC_DIR / "index.html").is_file(), "the page is not built: run ./dev build")
    server = Server()
    yield server
    server.close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    need(CHROMIUM is not None, "no chromium on this machine: apt-get install chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGS)
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser: Any) -> Iterator[Callable[..., Any]]:
    """Open an address in a fresh profile; at the end, no error was logged and nobody else was asked."""
    troubles: list[str] = []
    contexts = []

    def open_address(url: str, *, expect_errors: bool = False, **options: Any) -> Any:
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 800}, **options})
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(WAIT_MS)
        if not expect_errors:
            page.on("console", lambda message: troubles.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: troubles.append(str(error)))
        page.on(
            "request", lambda sent: None if "//127.0.0.1:" in sent.url else troubles.append(f"asked for {sent.url}")
        )
        page.goto(url)
        return page

    yield open_address
    for context in contexts:
        context.close()
    assert troubles == []


def eventually(page: Any, expression: str, argument: object = None) -> None:
    """Wait until a JavaScript expression is true; Playwright's own wait is text, which our CSP forbids."""
    for _ in range(WAIT_MS // 50):
        if page.evaluate(expression, argument):
            return
        page.wait_for_timeout(50)
    pytest.fail(f"never became true: {expression}")


def wait_drawn(page: Any) -> None:
    page.wait_for_selector("html[data-ready]", state="attached")
    eventually(page, "document.querySelectorAll('.u-over').length === 6")


def test_everything_is_there_within_the_first_screen(server: Server, open_page: Callable[..., Any]) -> None:
    """The sentence of state, five tiles with values, six charts, a table with a row per agent."""
    page = open_page(server.url)
    wait_drawn(page)
    assert re.match(r"4 agents, \d+ tasks? running, [\d.]+ tasks/s", page.inner_text(".sentence-text"))
    assert page.locator(".tile").count() == 5
    assert "–" not in page.inner_text(".tiles")
    assert "model decode" in page.inner_text("[data-panel=bottleneck]")
    assert page.locator("table.agents tbody tr").count() == 4
    assert page.locator("#ttft .legend-name").all_inner_texts() == ["p50", "p95", "p99"]


def test_tiles_change_by_themselves(server: Server, open_page: Callable[..., Any]) -> None:
    """The event stream moves the page: no reload, no click."""
    page = open_page(server.url)
    wait_drawn(page)
    page.wait_for_selector(".live-button[data-state=live]")
    before = page.inner_text("[data-panel=ttft_p95] .tile-value")
    eventually(page, "text => document.querySelector('[data-panel=ttft_p95] .tile-value').innerText !== text", before)


def test_one_event_stream_per_tab(server: Server, open_page: Callable[..., Any]) -> None:
    """Six charts share one connection, also after a change of range."""
    page = open_page("about:blank")
    opened: list[str] = []
    closed: list[str] = []
    page.on("request", lambda sent: opened.append(sent.url) if "/api/live" in sent.url else None)
    page.on("requestfailed", lambda sent: closed.append(sent.url) if "/api/live" in sent.url else None)
    page.on("requestfinished", lambda sent: closed.append(sent.url) if "/api/live" in sent.url else None)
    page.goto(server.url)
    wait_drawn(page)
    page.wait_for_selector(".live-button[data-state=live]")
    assert len(opened) == 1
    page.get_by_role("button", name="5m", exact=True).click()
    page.wait_for_selector(".live-button[data-state=live]")
    assert len(opened) - len(closed) == 1
    assert "from=now-5m" in page.url


def test_the_table_sorts_by_every_column(server: Server, open_page: Callable[..., Any]) -> None:
    """A click on a header sorts, a second turns the order; assistive technology hears of it."""
    page = open_page(f"{server.url}?live=0")
    wait_drawn(page)
    header = page.locator("table.agents thead th").first
    header.get_by_role("button").click()
    names = page.locator("table.agents tbody th").all_inner_texts()
    assert names == sorted(names)
    assert header.get_attribute("aria-sort") == "ascending"
    header.get_by_role("button").click()
    assert page.locator("table.agents tbody th").all_inner_texts() == sorted(names, reverse=True)
    assert header.get_attribute("aria-sort") == "descending"


def test_zooming_pauses_and_z_undoes_it(server: Server, open_page: Callable[..., Any]) -> None:
    """A drag on one chart zooms all, stops the stream and stands in the address; z goes back to live."""
    page = open_page(server.url)
    wait_drawn(page)
    box = page.locator("#tasks_by_agent .u-over").bounding_box()
    middle = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + box["width"] * 0.5, middle)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.8, middle, steps=6)
    page.mouse.up()
    page.wait_for_selector(".banner:has-text('Paused')")
    assert re.search(r"from=\d{13}&to=\d{13}", page.url)
    assert page.inner_text(".live-button") == "Paused"
    page.keyboard.press("z")
    page.wait_for_selector(".live-button[data-state=live]")
    assert "from=" not in page.url


def test_an_empty_page_fills_itself(open_page: Callable[..., Any]) -> None:
    """Before the first sample it shows how to begin; at the first sample it becomes the overview."""
    need((STATIC_DIR / "index.html").is_file(), "the page is not built: run ./dev build")
    server = Server("--empty-for", "6")
    try:
        page = open_page(server.url)
        page.wait_for_selector("text=No agent has reported yet")
        assert "ag.instrument()" in page.inner_text(".snippets")
        assert page.get_by_role("button", name="Copy").count() == 3
        page.wait_for_selector(".tiles")
        wait_drawn(page)
        page.context.close()  # before the server: a stream cut off would be an error on the page
    finally:
        server.close()


def test_the_demo_shows_agents_at_work_within_ten_seconds(open_page: Callable[..., Any], tmp_path: Path) -> None:
    """The real thing: demo agents, scraped, stored, queried, on the page; every panel answers, nothing fails."""
    need((STATIC_DIR / "index.html").is_file(), "the page is not built: run ./dev build")
    demo = subprocess.Popen(
        [sys.executable, "-m", "agentgauge", "demo", "--listen", "127.0.0.1:0", "--for", "120s"],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "XDG_DATA_HOME": str(tmp_path), "AGENTGAUGE_DISCOVERY_DIR": str(tmp_path)},
    )
    assert demo.stderr is not None
    try:
        spoken = (re.match(r"agentgauge demo: (http://\S+)", line) for line in demo.stderr)
        address = next(match[1] for match in spoken if match)
        page = open_page(f"{address}/")
        began_ns = perf_counter_ns()
        page.wait_for_selector(".sentence-text:has-text('tasks/s')")
        assert perf_counter_ns() - began_ns < DEMO_PATIENCE_S * 1e9
        wait_drawn(page)
        page.wait_for_selector("table.agents tbody tr:has-text('researcher')")
        assert page.locator(".notice").all_inner_texts() == []
        assert "–" not in page.inner_text(".tiles")
        page.context.close()
    finally:
        demo.send_signal(signal.SIGINT)
        demo.communicate(timeout=20)


def test_keys(server: Server, open_page: Callable[..., Any]) -> None:
    """Theme, pause, help, pages, and the cursor of a chart, without a mouse."""
    page = open_page(f"{server.url}?theme=light")
    wait_drawn(page)
    page.keyboard.press("t")
    page.wait_for_selector("html[data-theme=dark]", state="attached")
    page.keyboard.press("Space")
    page.wait_for_selector(".banner:has-text('Paused')")
    page.keyboard.press("Space")
    page.wait_for_selector(".live-button[data-state=live]")
    page.keyboard.press("?")
    page.wait_for_selector("dialog[open]")
    page.keyboard.press("Escape")
    page.wait_for_selector("dialog:not([open])", state="attached")
    wait_drawn(page)
    page.focus("#ttft .plot")
    page.keyboard.press("ArrowLeft")
    eventually(page, "() => /p95 \\d/.test(document.querySelector('#ttft [aria-live]').textContent)")
    page.keyboard.press("g")
    page.keyboard.press("t")
    page.wait_for_selector("text=127.0.0.1:8001")
    page.go_back()
    page.wait_for_selector(".tiles")


def test_a_chart_shows_its_query_and_its_numbers(server: Server, open_page: Callable[..., Any]) -> None:
    """Every panel can be read without its picture, and taken along."""
    page = open_page(f"{server.url}?live=0")
    wait_drawn(page)
    page.get_by_role("button", name="Show query of Tasks per second").click()
    assert "rate(agent_tasks_total" in page.inner_text("#tasks_by_agent .queries")
    page.get_by_role("button", name="View Tasks per second as table").click()
    assert page.locator("#tasks_by_agent tbody tr").count() > 10
    page.get_by_role("link", name="Open Tasks per second in Explore").click()
    page.wait_for_selector("textarea")
    assert "rate(agent_tasks_total" in page.input_value("textarea")


def test_explore_answers_and_says_what_went_wrong(server: Server, open_page: Callable[..., Any]) -> None:
    """A chart and a table for what is asked; the server's own words for what cannot be."""
    page = open_page(f"{server.url}#/explore", expect_errors=True)
    page.fill("textarea", "sum by (agent) (rate(agent_tasks_total[1m]))")
    page.keyboard.press("Enter")
    page.wait_for_selector(".u-over")
    assert page.locator("section[aria-label=Result] tbody").last.locator("tr").count() == 4
    page.fill("textarea", "boom")
    page.keyboard.press("Enter")
    page.wait_for_selector("text=fell over, as asked")


def test_an_agent_is_shown_alone(server: Server, open_page: Callable[..., Any]) -> None:
    """A click on a name filters the page and stands in the address; the chip takes it back."""
    page = open_page(f"{server.url}?live=0")
    wait_drawn(page)
    page.locator("table.agents").get_by_role("button", name="coder").click()
    page.wait_for_selector(".chip:has-text('coder')")
    assert "agent=coder" in page.url
    page.click(".chip")
    page.wait_for_selector(".chip", state="detached")


def test_a_panel_that_fails_says_so_and_tries_again(server: Server, open_page: Callable[..., Any]) -> None:
    """One panel's error leaves the others; its retry asks again."""
    page = open_page("about:blank", expect_errors=True)
    failing = [True]

    def answer(route: Any) -> None:
        if failing[0] and "tool_latency" in (route.request.post_data or ""):
            route.fulfill(status=422, json={"status": "error", "errorType": "execution", "error": "too many samples"})
        else:
            route.continue_()

    page.route("**/api/v1/query_range", answer)
    page.goto(f"{server.url}?live=0")
    page.wait_for_selector("#tool_p95 .notice:has-text('too many samples')")
    page.wait_for_selector("#ttft .u-over")
    failing[0] = False
    page.locator("#tool_p95").get_by_role("button", name="Retry").click()
    wait_drawn(page)


def test_the_page_stays_within_a_phone(server: Server, open_page: Callable[..., Any]) -> None:
    """At 390 px nothing sticks out sideways."""
    page = open_page(f"{server.url}?live=0", viewport={"width": 390, "height": 844})
    wait_drawn(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("place", ["", "#/targets", "#/explore"])
def test_axe_finds_nothing(server: Server, open_page: Callable[..., Any], theme: str, place: str) -> None:
    """WCAG 2.2 AA as far as a program can tell, in both themes."""
    need(AXE.is_file(), "axe-core is not installed: run npm ci in web/")
    page = open_page(f"{server.url}?live=0&theme={theme}{place}")
    page.wait_for_selector("main *")
    if not place:
        wait_drawn(page)
    page.evaluate(AXE.read_text(encoding="utf-8"))
    tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
    found = page.evaluate("tags => axe.run(document, {runOnly: tags})", tags)
    lines = [f"{one['id']}: {one['nodes'][0]['html'][:160]} {one['help']}" for one in found["violations"]]
    assert lines == []
