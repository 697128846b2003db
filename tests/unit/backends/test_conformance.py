"""One interface, several makers: the same data asked through each gives the same answers.

Ours embedded, ours over HTTP, and the field's own servers (marker ``peer``), all fed the same samples.
"""

from __future__ import annotations

import asyncio
import socket
import subprocess
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path

import numpy as np
import pytest
import uvicorn
from starlette.applications import Starlette
from tests.loopback import free_port

from agentgauge.backends.backend import Backend
from agentgauge.backends.embedded import EmbeddedBackend
from agentgauge.backends.http import HttpBackend
from agentgauge.database import Database
from agentgauge.errors import BackendError, BadQuery, ExecutionError
from agentgauge.model.clock import SystemClock
from agentgauge.model.labels import Labels, labels_from_mapping
from agentgauge.model.sample import Sample
from agentgauge.model.series import Result
from agentgauge.server.api import api_routes

STEP_MS = 15_000
START_MS = SystemClock.now_ms() // 60_000 * 60_000 - 3_600_000
END_MS = START_MS + 40 * STEP_MS
LOOKBACK_MS = 50_000  # no multiple of the step: Prometheus 2 counts a sample at the very edge, 3 does not
QUERIES = ("m", 'm{agent="a1"}', "sum by (agent) (m)", "m > 20", "max_over_time(m[50s])", "count(m)", "nothing_here")


def samples() -> list[Sample]:
    """Three series, a sample at each step, one of them with a gap longer than the lookback."""
    return [
        Sample(labels_from_mapping({"__name__": "m", "agent": f"a{agent}"}), START_MS + at * STEP_MS, agent * 10.5 + at)
        for agent in range(3)
        for at in range(41)
        if agent != 2 or not 10 <= at < 30
    ]


def text_with_times(openmetrics: bool) -> str:
    lines = [
        f'm{{agent="{dict(s.labels)["agent"]}"}} {s.value!r} {s.t_ms / 1000 if openmetrics else s.t_ms}'
        for s in samples()
    ]
    return "\n".join(["# TYPE m gauge", *lines, *(["# EOF"] if openmetrics else [])]) + "\n"


@pytest.fixture
def database() -> Iterator[Database]:
    with Database.in_memory() as opened:
        opened.store.append(samples())
        yield opened


@asynccontextmanager
async def own_server(database: Database) -> AsyncIterator[str]:
    backend = EmbeddedBackend(database)
    app = Starlette(routes=api_routes(backend, lambda: {"activeTargets": [], "droppedTargets": []}))
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, lifespan="off", log_config=None))
        serving = asyncio.create_task(server._serve([listener]))
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        server.should_exit = True
        await serving
        await backend.close()


def shown(result: Result) -> dict[Labels, list[tuple[int, float]]]:
    """A result as plain data: what is absent is not there."""
    steps = result.steps
    return {
        labels: [(int(t), float(v)) for t, v, p in zip(steps.t_ms, values, present, strict=True) if p]
        for labels, values, present in zip(steps.labels, steps.values, steps.present, strict=True)
        if present.any()
    }


async def check_alike(ours: Backend, theirs: Backend, *, lookback_ms: int | None = LOOKBACK_MS) -> None:
    for expr in QUERIES:
        for at_ms in (START_MS, START_MS + 22 * STEP_MS, END_MS):
            a, b = [await one.query(expr, at_ms, lookback_ms=lookback_ms) for one in (ours, theirs)]
            assert a.kind == b.kind == "vector"
            assert shown(a) == shown(b), (expr, at_ms)
        over = [
            await one.query_range(expr, START_MS, END_MS, STEP_MS, lookback_ms=lookback_ms) for one in (ours, theirs)
        ]
        assert shown(over[0]) == shown(over[1]), expr
    for one in (ours, theirs):
        scalar = await one.query("1.5", END_MS)
        assert (scalar.kind, float(scalar.steps.values[0, 0])) == ("scalar", 1.5)
    assert await ours.series(["m"], START_MS, END_MS) == await theirs.series(["m"], START_MS, END_MS)
    assert await ours.label_names(["m"], START_MS, END_MS) == await theirs.label_names(["m"], START_MS, END_MS)
    values = [await one.label_values("agent", ["m"], START_MS, END_MS) for one in (ours, theirs)]
    assert values == [["a0", "a1", "a2"]] * 2


async def test_our_server_answers_as_the_embedded_database(database: Database) -> None:
    """Through HTTP and back nothing changes: values, times, gaps, errors, raw samples, strings."""
    async with own_server(database) as url:
        embedded, http = EmbeddedBackend(database), HttpBackend(url)
        await check_alike(embedded, http)
        raw = [await one.query("m[1m]", END_MS) for one in (embedded, http)]
        blocks = [result.samples for result in raw]
        assert blocks[0] is not None
        assert blocks[1] is not None
        assert list(blocks[0].labels) == list(blocks[1].labels)
        assert np.array_equal(blocks[0].t_ms, blocks[1].t_ms)
        assert np.array_equal(blocks[0].values, blocks[1].values)
        assert (await http.query('"text"', END_MS)).text == "text"
        for one in (embedded, http):
            with pytest.raises(BadQuery, match=r"1:\d+: parse error"):
                await one.query("sum(", END_MS)
            with pytest.raises(ExecutionError):
                await one.query("m * on() m", END_MS)
        await http.close()
        await embedded.close()


async def until_ready(url: str) -> None:
    for _ in range(300):
        try:
            await asyncio.to_thread(lambda: urllib.request.urlopen(url, timeout=2).close())
        except OSError:
            await asyncio.sleep(0.1)
        else:
            return
    pytest.fail(f"{url} never answered")


def start(stack: ExitStack, *line: str) -> None:
    process = stack.enter_context(subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
    stack.callback(process.terminate)


@pytest.mark.peer
async def test_a_real_prometheus_answers_alike(
    database: Database, program: Callable[[str], str], tmp_path: Path
) -> None:
    """The Debian package, fed by promtool with the same samples."""
    (tmp_path / "text").write_text(text_with_times(openmetrics=True))
    (tmp_path / "config.yml").write_text("global: {scrape_interval: 1h}\n")
    make = ["tsdb", "create-blocks-from", "openmetrics", str(tmp_path / "text"), str(tmp_path / "data")]
    await asyncio.to_thread(subprocess.run, [program("promtool"), *make], check=True, capture_output=True)
    port = free_port()
    with ExitStack() as stack:
        start(
            stack, program("prometheus"),
            f"--config.file={tmp_path}/config.yml", f"--storage.tsdb.path={tmp_path}/data",
            f"--web.listen-address=127.0.0.1:{port}", "--query.lookback-delta=50s", "--web.route-prefix=/prefix",
        )  # fmt: skip
        await until_ready(f"http://127.0.0.1:{port}/prefix/-/ready")
        ours, theirs = EmbeddedBackend(database), HttpBackend(f"http://127.0.0.1:{port}/prefix/")
        await check_alike(ours, theirs)
        with pytest.raises(BadQuery):
            await theirs.query("sum(", END_MS)
        with pytest.raises(ExecutionError):
            await theirs.query("m * on() m", END_MS)
        assert await theirs.exemplars("m", START_MS, END_MS) == []
        assert await theirs.metadata("m") == {}
        await theirs.close()
        await ours.close()


@pytest.mark.peer
async def test_a_real_victoria_metrics_answers_alike(
    database: Database, program: Callable[[str], str], tmp_path: Path
) -> None:
    """The Debian package, fed with the same text; its steps are not moved and its own lookback is the same."""
    port = free_port()
    with ExitStack() as stack:
        start(
            stack, program("victoria-metrics"), f"-storageDataPath={tmp_path}/vm", f"-httpListenAddr=127.0.0.1:{port}",
            "-search.latencyOffset=0s", "-search.disableCache", "-retentionPeriod=1d",
            "-search.maxStalenessInterval=50s", "-search.setLookbackToStep=false",
        )  # fmt: skip
        url = f"http://127.0.0.1:{port}"
        await until_ready(f"{url}/health")
        body = text_with_times(openmetrics=False).encode()
        for path, data in (("/api/v1/import/prometheus", body), ("/internal/force_flush", None)):
            request = urllib.request.Request(url + path, data=data)
            await asyncio.to_thread(lambda request=request: urllib.request.urlopen(request, timeout=20).close())
        ours, theirs = EmbeddedBackend(database), HttpBackend(url)
        for expr in ('m{agent="a1"}', "sum(m{agent=~'a0|a1'})", "m{agent!='a2'}", "nothing_here"):
            over = [await one.query_range(expr, START_MS, END_MS, STEP_MS) for one in (ours, theirs)]
            assert shown(over[0]) == shown(over[1]), expr
            at = [await one.query(expr, END_MS) for one in (ours, theirs)]
            assert shown(at[0]) == shown(at[1]), expr
        assert await ours.series(["m"], START_MS, END_MS) == await theirs.series(["m"], START_MS, END_MS)
        with pytest.raises((BadQuery, ExecutionError)):
            await theirs.query("sum(", END_MS)
        await theirs.close()
        await ours.close()


async def test_a_server_that_is_none_is_said_clearly() -> None:
    """Nothing there: the address without its password, and the system's words."""
    backend = HttpBackend(f"http://user:secret@127.0.0.1:{free_port()}")
    with pytest.raises(BackendError, match="refused") as raised:
        await backend.query("up")
    assert "secret" not in str(raised.value)
    await backend.close()
