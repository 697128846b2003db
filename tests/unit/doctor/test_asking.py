"""What addresses answer, told apart; clocks read from headers."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from agentgauge.doctor.asking import ahead_of, ask_folded, ask_ollama, ask_target, kind_of, session
from agentgauge.doctor.probe import target_of
from agentgauge.doctor.versions import TESTED, VersionRange, compare, numbers_of
from agentgauge.expose.server import _date
from agentgauge.simulator.config import SimulatorConfig
from agentgauge.simulator.server import SimulatedOllama

NOW_MS = 1_800_000_000_000


@pytest.mark.parametrize(
    ("status", "content_type", "body", "kind"),
    [
        (200, "text/html; charset=utf-8", b"<html>", "html"),
        (404, "text/html", b"<h1>no</h1>", "html"),
        (200, "text/plain", b"<!DOCTYPE html><html>", "html"),
        (200, "text/plain; version=0.0.4", b"# HELP a b\n# TYPE a counter\na 1\n", "metrics"),
        (200, "text/plain", b"# HELP x y\nagentgauge_build_info{version=\"1\"} 1\n", "agentgauge"),
        (200, "application/json", b"{}", "other"),
        (404, "text/plain", b"the metrics are at /metrics\n", "other"),
    ],
)  # fmt: skip
def test_answers_are_told_apart(status: int, content_type: str, body: bytes, kind: str) -> None:
    """By status, content type and the first bytes."""
    assert kind_of(status, content_type, body) == kind


@pytest.mark.parametrize("off_s", [-3600, -45, 0, 45, 86_400])
def test_a_clock_is_read_to_the_second(off_s: int) -> None:
    """Our own endpoint's Date header, read back, says how far its clock is ahead."""
    ahead_s = ahead_of(_date(NOW_MS + off_s * 1000), NOW_MS + 700)
    assert ahead_s is not None
    assert abs(ahead_s - off_s) <= 1


@pytest.mark.parametrize("date", ["", "yesterday", "Fri, 99 Foo 2027 08:00:00 GMT"])
def test_no_clock_is_no_skew(date: str) -> None:
    """What is no date says nothing."""
    assert ahead_of(date, NOW_MS) is None


async def test_nobody_there_has_the_systems_words() -> None:
    """A closed port is refused, for targets and for Ollama."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
        async with session() as http:
            assert "Connection refused" in (await ask_target(http, f"{url}/metrics", NOW_MS)).error
            assert "Connection refused" in (await ask_ollama(http, url, named=True)).error


async def test_ollama_says_version_and_models() -> None:
    """A simulated server is read like a real one; a loaded model with its context."""
    async with SimulatedOllama(SimulatorConfig(version="0.33.3", speed=100)) as simulator, session() as http:
        seen = await ask_ollama(http, simulator.url, named=True)
    assert (seen.error, seen.version) == ("", "0.33.3")
    assert "llama3.1:8b" in seen.installed
    assert seen.loaded == []


@pytest.mark.parametrize(
    ("version", "verdict"), [("0.3.9", "old"), ("0.4", ""), ("0.6.3", ""), ("1.0.0rc1", "new"), ("unknown", "")]
)
def test_versions_are_compared_by_number(version: str, verdict: str) -> None:
    """From low, included, to below, excluded; what has no number passes."""
    assert compare(version, VersionRange("0.4", "1", "ollama")) == verdict
    assert numbers_of("0.33.0-rc2") == (0, 33, 0)


def test_tested_ranges_are_ranges() -> None:
    """Each low end lies below its high end."""
    assert all(numbers_of(one.low) < numbers_of(one.below) for one in TESTED.values())


def test_targets_of_prometheus_and_ours_are_read() -> None:
    """Nanoseconds, zones, Go durations and what was never scraped."""
    seen = {
        "labels": {"job": "j", "instance": "h:1"},
        "discoveredLabels": {"__agentgauge_pid": "12"},
        "scrapeUrl": "http://h:1/metrics",
        "health": "up",
        "lastScrape": "2027-01-15T08:00:00.123456789Z",
        "scrapeInterval": "1m30s",
    }
    found = target_of(seen)
    assert (found.last_scrape_ms, found.interval_s, found.pid) == (NOW_MS + 123, 90.0, 12)
    assert target_of({**seen, "lastScrape": "2027-01-15T09:00:00+01:00"}).last_scrape_ms == NOW_MS
    never = target_of({"lastScrape": "0001-01-01T00:00:00Z", "scrapeInterval": "500ms"})
    assert (never.last_scrape_ms, never.interval_s, never.health) == (0, 0.5, "unknown")


FOLDED = {"folded": [{"metric": "agent_tasks_total", "label": "agent", "places": ["x" * 999, *"abcdefg"]}]}


@pytest.mark.parametrize(
    ("path", "there"),
    [
        ("/metrics", "/debug/folded"),
        ("/metrics", "/metrics/debug/folded"),
        ("/app/metrics/", "/app/metrics/debug/folded"),
    ],
)
async def test_folds_are_asked_for_beside_the_metrics_and_below_them(path: str, there: str) -> None:
    """Our own endpoint answers beside /metrics, an app that mounts the metrics below: both are found, and bounded."""
    async with _answering(there, FOLDED) as url, session() as http:
        (found,) = await ask_folded(http, f"{url}{path}", "h:1")
    assert (found.instance, found.metric, found.label) == ("h:1", "agent_tasks_total", "agent")
    assert (len(found.places[0]), len(found.places)) == (300, 5)


@pytest.mark.parametrize("said", [{}, {"folded": 7}, {"folded": [{"metric": "m"}]}, {"folded": [7]}, []])
async def test_who_cannot_tell_of_folds_costs_nothing(said: object) -> None:
    """Another server's answers, an older agentgauge: no places, no failure."""
    async with _answering("/debug/folded", said) as url, session() as http:
        assert await ask_folded(http, f"{url}/metrics", "h:1") == []


@asynccontextmanager
async def _answering(path: str, said: object) -> AsyncIterator[str]:
    async def answer(request: web.Request) -> web.Response:
        return web.json_response(said)

    app = web.Application()
    app.router.add_get(path, answer)
    async with TestServer(app) as server:
        yield str(server.make_url("")).rstrip("/")
