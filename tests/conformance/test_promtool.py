"""promtool, and what Grafana's data source sends, against our server on loopback."""

from __future__ import annotations

import gzip
import json
import subprocess
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import uvicorn
from starlette.applications import Starlette

from agentgauge.backends.embedded import EmbeddedBackend
from agentgauge.database import Database
from agentgauge.model.labels import labels_from_mapping
from agentgauge.model.sample import MetricInfo, Sample
from agentgauge.server.api import api_routes

NOW_MS = 1_700_000_000_000
CALLS = "agent_tool_calls_total"


class Clock:
    """Stands at the time of the data."""

    def now_ms(self) -> int:
        """Return the time of the last sample."""
        return NOW_MS

    def monotonic_ns(self) -> int:
        """Return a time that never runs out."""
        return 0


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """A server with ten minutes of two counters, on a free port."""
    database = Database.in_memory()
    for tool, step in (("search", 1.0), ("write file", 2.0)):
        labels = labels_from_mapping({"__name__": CALLS, "agent": "a", "tool_name": tool, "status": "success"})
        times = range(NOW_MS - 600_000, NOW_MS + 1, 15_000)
        database.store.append([Sample(labels, t_ms, i * step) for i, t_ms in enumerate(times)], any_age=True)
    database.store.set_metadata({CALLS: MetricInfo("counter", "Finished tool calls.")})
    backend = EmbeddedBackend(database, clock=Clock())
    app = Starlette(routes=api_routes(backend, lambda: {"activeTargets": [], "droppedTargets": []}, clock=Clock()))
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error", lifespan="off", ws="none"))
    started = threading.Event()
    thread = threading.Thread(target=_serve, args=(server, started))
    thread.start()
    assert started.wait(20)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(20)
        database.close()


def _serve(server: uvicorn.Server, started: threading.Event) -> None:
    startup = server.startup

    async def noted(*args: Any, **kwargs: Any) -> None:
        await startup(*args, **kwargs)
        started.set()

    server.startup = noted  # type: ignore[method-assign]
    server.run()


@pytest.fixture
def promtool(program: Callable[[str], str], url: str) -> Callable[..., str]:
    """Run promtool's query command; return what it prints."""
    path = program("promtool")

    def run(*words: str) -> str:
        done = subprocess.run([path, "query", *words], capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


@pytest.mark.peer
def test_promtool_query_instant(promtool: Callable[..., str], url: str) -> None:
    """An instant vector prints with its labels, value and the evaluation time."""
    shown = promtool("instant", f"--time={NOW_MS // 1000}", url, f"sum by (tool_name) ({CALLS})")
    assert '{tool_name="search"} => 40 @[1700000000]' in shown
    assert '{tool_name="write file"} => 80 @[1700000000]' in shown


@pytest.mark.peer
def test_promtool_query_range(promtool: Callable[..., str], url: str) -> None:
    """A range prints every step."""
    start, end = NOW_MS // 1000 - 60, NOW_MS // 1000
    shown = promtool("range", f"--start={start}", f"--end={end}", "--step=30s", url, f'{CALLS}{{tool_name="search"}}')
    assert [line.split()[0] for line in shown.splitlines() if "@[" in line][-3:] == ["36", "38", "40"]


@pytest.mark.peer
def test_promtool_query_series_and_labels(promtool: Callable[..., str], url: str) -> None:
    """Series and label values are found over promtool's ±10,000 hours around now."""
    far = (f"--start={NOW_MS // 1000 - 36_000_000}", f"--end={NOW_MS // 1000 + 36_000_000}")
    shown = promtool("series", *far, f"--match={CALLS}", url)
    assert shown.count("__name__=") == 2
    assert promtool("labels", *far, url, "tool_name").splitlines() == ["search", "write file"]


GRAFANA: list[tuple[str, str, dict[str, str]]] = [
    ("POST", "query", {"query": "1+1", "time": "1700000000"}),
    ("GET", "status/buildinfo", {}),
    ("POST", "query", {"query": f"sum({CALLS})", "time": "1700000000.123", "timeout": "60s"}),
    ("POST", "query_range", {"query": f"rate({CALLS}[5m])", "start": "1699999700.000000001", "end": "1700000000",
                             "step": "14.5"}),
    ("POST", "labels", {"start": "1699999000", "end": "1700000000", "limit": "40000", "match[]": '{__name__!=""}'}),
    ("GET", "label/__name__/values", {"start": "1699999000", "end": "1700000000", "limit": "40000"}),
    ("GET", "label/U__tool_5f_name/values", {"match[]": CALLS}),
    ("POST", "series", {"match[]": '{__name__!=""}', "start": "1699999000", "end": "1700000000"}),
    ("GET", "metadata", {"limit": "5000"}),
    ("POST", "query_exemplars", {"query": "test", "start": str(NOW_MS - 1), "end": str(NOW_MS)}),
    ("GET", "rules", {}),
    ("GET", "alerts", {}),
]  # fmt: skip


@pytest.mark.parametrize(("method", "path", "params"), GRAFANA, ids=lambda value: str(value)[:30])
def test_grafana_calls_succeed(url: str, method: str, path: str, params: dict[str, str]) -> None:
    """Each recorded call of the data source gets a success envelope, compressed when it is asked to be."""
    answer = ask(url, method, path, params)
    assert answer["status"] == "success"
    assert "data" in answer


def test_grafana_health_check_and_discovery(url: str) -> None:
    """The health check is 2, no features are claimed, exemplars of nothing are an empty list."""
    scalar = ask(url, "POST", "query", {"query": "1+1"})["data"]
    assert scalar["resultType"] == "scalar"
    assert scalar["result"] == [1700000000, "2"]
    assert "features" not in ask(url, "GET", "status/buildinfo", {})["data"]
    assert ask(url, "POST", "query_exemplars", {"query": "test"})["data"] == []
    assert ask(url, "GET", "label/__name__/values", {})["data"] == [CALLS]
    assert ask(url, "GET", "metadata", {})["data"][CALLS][0]["type"] == "counter"


def ask(url: str, method: str, path: str, params: dict[str, str]) -> Any:
    """Send one call as Grafana does and decode the answer."""
    encoded = urllib.parse.urlencode(params)
    target = f"{url}/api/v1/{path}" + (f"?{encoded}" if method == "GET" and encoded else "")
    body = encoded.encode() if method == "POST" else None
    request = urllib.request.Request(target, body, {"Accept-Encoding": "gzip"}, method=method)
    with urllib.request.urlopen(request, timeout=20) as response:
        raw = response.read()
        return json.loads(gzip.decompress(raw) if response.headers["Content-Encoding"] == "gzip" else raw)
