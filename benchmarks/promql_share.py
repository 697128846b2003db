"""What a heavy query costs the others: scrapes, light queries and pings beside it, and without it.

One thread asks the heavy query without pause. Beside it the server scrapes itself, and one client asks a light query
and the health page in turns. A light question may wait for its share: with one other running, twice its own time and
what the interpreter needs to switch.
"""

from __future__ import annotations

import http.client
import json
import shutil
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from urllib.parse import urlencode

from harness import print_table
from promql_data import DAY_MS, HOUR_MS, START_MS
from promql_servers import Server, our_server

from agentgauge.model.clock import SystemClock

HEAVY = "sum by (agent) (stddev_over_time(agent_tool_calls_total[30m]))"
LIGHT = "sum by (tool_name) (rate(agent_tool_calls_total[5m]))"
DAY = (START_MS, START_MS + DAY_MS, 60_000)
PROBE_S = 6.0
INTERVAL_MS = 1_000


def fair_share(data: Path, ratios: dict[str, float]) -> None:
    """Measure and print; note what a light query takes beside a heavy one, as a multiple of alone."""
    work = Path(tempfile.mkdtemp())
    try:
        options = ("--self-scrape", "--interval", f"{INTERVAL_MS}ms")
        with our_server(data, work, cached=True, options=options) as server:
            alone = _probed(server)
            stop = threading.Event()
            counted: list[float] = []
            heavy = threading.Thread(target=_ask_until, args=(server, stop, counted))
            heavy.start()
            beside = _probed(server)
            stop.set()
            heavy.join()
    finally:
        shutil.rmtree(work)
    rows = [
        [name, *_middle_and_far(alone[name]), *_middle_and_far(beside[name])]
        for name in ("light query", "health page", "scrape", "scrape interval off by")
    ]
    head = ["ms", "alone p50", "alone p99", "beside p50", "beside p99"]
    title = f"beside a query of {statistics.median(counted):.0f} ms without pause, 2,000 series"
    print_table(title, head, rows)
    ratios["light query beside a heavy one / alone"] = statistics.median(beside["light query"]) / statistics.median(
        alone["light query"]
    )


def _probed(server: Server) -> dict[str, list[float]]:
    """Ask light things for a while; return their times, and those of the scrapes meanwhile."""
    began_ms = SystemClock().now_ms()
    times: dict[str, list[float]] = {"light query": [], "health page": []}
    until = time.perf_counter() + PROBE_S
    at = START_MS + DAY_MS
    while time.perf_counter() < until:
        times["light query"].append(server.ask(LIGHT, (at - HOUR_MS, at, 60_000)).took_ms)
        times["health page"].append(_timed_ms(lambda: _get(server, "/-/healthy")))
    samples = _samples(server, "scrape_duration_seconds", began_ms)
    times["scrape"] = [float(value) * 1e3 for _, value in samples]
    gaps = [(b - a) * 1e3 for (a, _), (b, _) in pairwise(samples)]
    times["scrape interval off by"] = [abs(gap - INTERVAL_MS) for gap in gaps]
    return times


def _ask_until(server: Server, stop: threading.Event, counted: list[float]) -> None:
    while not stop.is_set():
        counted.append(server.ask(HEAVY, DAY).took_ms)


def _samples(server: Server, metric: str, since_ms: int) -> list[tuple[float, str]]:
    """Return the stored samples of a metric since a time."""
    now_ms = SystemClock().now_ms()
    form = urlencode({"query": f"{metric}[{max(1, (now_ms - since_ms) // 1000)}s]", "time": f"{now_ms / 1000:.3f}"})
    result = json.loads(_get(server, f"/api/v1/query?{form}"))["data"]["result"]
    return [(t, value) for series in result[:1] for t, value in series["values"]]


def _get(server: Server, path: str) -> bytes:
    with closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)) as connection:
        connection.request("GET", path)
        return connection.getresponse().read()


def _timed_ms(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return (time.perf_counter() - began) * 1e3


def _middle_and_far(times: list[float]) -> tuple[float, float]:
    if len(times) < 2:
        return float("nan"), float("nan")
    return statistics.median(times), statistics.quantiles(times, n=100, method="inclusive")[98]
