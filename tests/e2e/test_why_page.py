"""The bottleneck page in the system's Chromium, over a history whose seconds are known."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.unit.why.history import play

from agentgauge.database import Database
from agentgauge.server.static import STATIC_DIR

AXE = Path(__file__).parent.parent.parent / "web/node_modules/axe-core/axe.min.js"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
REQUIRED = os.environ.get("AGENTGAUGE_REQUIRE_BROWSER") == "1"
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]

pytestmark = pytest.mark.browser


def need(present: bool, reason: str) -> None:
    if not present:
        (pytest.fail if REQUIRED else pytest.skip)(reason)


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Serve the played history, an hour old."""
    need((STATIC_DIR / "index.html").is_file(), "the page is not built: run ./dev build")
    folder = tmp_path_factory.mktemp("why-page")
    with Database.open(folder / "why.db") as database:
        play(database)
    environ = {**os.environ, "AGENTGAUGE_DISCOVERY_DIR": str(folder / "targets")}
    command = [sys.executable, "-m", "agentgauge", "serve", "--listen", "127.0.0.1:0", "--db", str(folder / "why.db")]
    server = subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert server.stdout is not None
    banner = server.stdout.readline()
    yield next(word for word in banner.split() if word.startswith("http://"))
    server.terminate()
    server.communicate(timeout=20)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    need(CHROMIUM is not None, "no chromium on this machine: apt-get install chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


def opened(browser: Any, url: str, query: str = "", width: int = 1280, place: str = "#/why") -> Any:
    """Open the page over the last three hours, in a fresh profile."""
    page = browser.new_context(viewport={"width": width, "height": 900}).new_page()
    page.set_default_timeout(20_000)
    page.goto(f"{url}/?from=now-3h&live=0{query}{place}")
    page.wait_for_selector("html[data-ready]", state="attached")
    return page


def test_the_bottleneck_is_named_and_marked(browser: Any, url: str) -> None:
    """A card per agent with its sentence; the table ranks by path and marks what to fix first."""
    page = opened(browser, url)
    assert page.locator(".why h2").all_inner_texts() == ["shopper", "looper"]
    assert page.locator(".why-sentence").nth(0).inner_text().startswith("shopper waits for web: ")
    assert page.locator(".why-sentence").nth(1).inner_text().startswith("looper repeats itself: ")
    shopper = page.locator(".why").nth(0)
    assert shopper.locator("tbody tr").nth(0).inner_text().startswith("web")
    assert shopper.locator(".why-mark").count() == 1
    page.context.close()


def test_slow_tasks_and_queries_open(browser: Any, url: str) -> None:
    """Slow against normal, and the PromQL behind the numbers, are one click away."""
    page = opened(browser, url)
    page.locator(".why-slow summary").first.click()
    assert "From more calls" in page.locator(".why-slow").first.inner_text()
    page.get_by_text("The queries behind these numbers").click()
    assert page.get_by_text("increase(agent_task_path_seconds_total").first.is_visible()
    page.context.close()


def test_g_b_leads_there_and_an_agent_is_shown_alone(browser: Any, url: str) -> None:
    """The key chord opens the page; one agent's button keeps the others away, in the address too."""
    page = opened(browser, url, place="")
    page.keyboard.press("g")
    page.keyboard.press("b")
    page.wait_for_selector(".why")
    page.get_by_role("button", name="Only this agent").nth(1).click()
    page.wait_for_selector(".chip")
    page.locator(".why").nth(1).wait_for(state="detached")
    assert page.locator(".why h2").all_inner_texts() == ["looper"]
    assert "agent=looper" in page.url
    page.context.close()


def test_without_data_it_says_what_to_do(browser: Any, url: str) -> None:
    """A range in which nothing happened says which metric is missing."""
    page = opened(browser, url.rstrip("/"), query="&agent=nobody")
    assert "There is no agent 'nobody'" in page.locator("main").inner_text()
    page.context.close()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing(browser: Any, url: str, theme: str) -> None:
    """WCAG 2.2 AA as far as a program can tell, in both themes, with everything open."""
    need(AXE.is_file(), "axe-core is not installed: run npm ci in web/")
    page = opened(browser, url, query=f"&theme={theme}")
    page.locator(".why-slow summary").first.click()
    page.evaluate(AXE.read_text(encoding="utf-8"))
    found = page.evaluate("tags => axe.run(document, {runOnly: tags})", TAGS)
    assert [f"{one['id']}: {one['nodes'][0]['html'][:160]}" for one in found["violations"]] == []
    page.context.close()


def test_it_stays_within_a_phone(browser: Any, url: str) -> None:
    """At 390 px nothing sticks out sideways."""
    page = opened(browser, url, width=390)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.context.close()
