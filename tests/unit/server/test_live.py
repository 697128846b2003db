import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from agentgauge.errors import BackendError
from agentgauge.model.labels import Labels
from agentgauge.model.sample import Exemplar, MetricInfo
from agentgauge.model.series import Result, StepMatrix
from agentgauge.server import stream as stream_module
from agentgauge.server.live import view_routes
from agentgauge.server.stream import Live, TooManyClients
from agentgauge.server.tick import compute_tick
from agentgauge.view.panels import PANELS, Display

DISPLAY = Display(range_s=60, step_s=0.02, interval_s=0.02)


class OneBackend:
    """Answers every query with one series of value 1, counts what it was asked, fails when told to."""

    def __init__(self, *, failing: str = "", seen: bool = True, value: float = 1.0) -> None:
        self.asked: list[tuple[str, int | None]] = []
        self.failing = failing
        self.seen = seen
        self.value = value

    async def query(
        self, expr: str, t_ms: int | None = None, *, timeout_s: float | None = None, lookback_ms: int | None = None
    ) -> Result:
        self.asked.append((expr, t_ms))
        if self.failing and self.failing in expr:
            raise BackendError("http://elsewhere", "gone away")
        steps = StepMatrix(
            [(("__name__", "m"), ("agent", "a"))],
            np.array([t_ms or 0], np.int64),
            np.array([[self.value]]),
            np.array([[True]]),
        )
        return Result("vector", steps)

    async def query_range(
        self,
        expr: str,
        start_ms: int,
        end_ms: int,
        step_ms: int,
        *,
        timeout_s: float | None = None,
        lookback_ms: int | None = None,
    ) -> Result:
        raise NotImplementedError

    async def series(
        self, selectors: Sequence[str], start_ms: int | None = None, end_ms: int | None = None, limit: int = 0
    ) -> list[Labels]:
        return [(("__name__", "agent_tasks_total"),)] if self.seen else []

    async def label_names(
        self, selectors: Sequence[str] = (), start_ms: int | None = None, end_ms: int | None = None, limit: int = 0
    ) -> list[str]:
        return []

    async def label_values(
        self,
        name: str,
        selectors: Sequence[str] = (),
        start_ms: int | None = None,
        end_ms: int | None = None,
        limit: int = 0,
    ) -> list[str]:
        return []

    async def metadata(self, metric: str | None = None) -> Mapping[str, Sequence[MetricInfo]]:
        return {}

    async def exemplars(self, expr: str, start_ms: int, end_ms: int) -> list[Exemplar]:
        return []

    async def close(self) -> None:
        pass


class CountingClock:
    """Stands a little later each time it is read, so that ticks come without waiting."""

    def __init__(self, step_ms: int = 20) -> None:
        self.t_ms = 1_000_000
        self.step_ms = step_ms

    def now_ms(self) -> int:
        self.t_ms += self.step_ms
        return self.t_ms

    def monotonic_ns(self) -> int:
        return self.t_ms * 1_000_000


async def take_ticks(events: AsyncIterator[bytes], n: int) -> list[tuple[int, bytes]]:
    """Read ``n`` ticks of a stream as (id, data)."""
    ticks: list[tuple[int, bytes]] = []
    async for event in events:
        fields = dict(line.split(b": ", 1) for line in event.strip().split(b"\n") if not line.startswith(b":"))
        if fields.get(b"event") == b"tick":
            ticks.append((int(fields[b"id"]), fields[b"data"]))
        if len(ticks) == n:
            break
    return ticks


async def test_a_tick_is_computed_once_for_all_clients() -> None:
    """Two clients of one view get the same bytes, and the queries ran once for both."""
    backend = OneBackend()
    live = Live(backend, CountingClock(), 0.02)
    streams = [live.stream(DISPLAY), live.stream(DISPLAY)]
    first, second = await asyncio.gather(*(take_ticks(stream, 3) for stream in streams))
    for stream in streams:
        await stream.aclose()
    assert first == second
    assert len(set(backend.asked)) == len(backend.asked)


async def test_the_last_client_ends_the_channel() -> None:
    """Nobody looks: nothing is computed."""
    live = Live(OneBackend(), CountingClock(), 0.02)
    stream = live.stream(DISPLAY)
    await take_ticks(stream, 1)
    assert live.n_clients == 1
    await stream.aclose()
    assert live.n_clients == 0
    assert [task for task in asyncio.all_tasks() if "ticks of" in task.get_name() and not task.cancelling()] == []


async def test_a_stream_opens_with_the_retry_time() -> None:
    """The browser waits two seconds before it comes back."""
    stream = Live(OneBackend(), CountingClock(), 0.02).stream(DISPLAY)
    assert await anext(stream) == b"retry: 2000\n\n"
    await stream.aclose()


async def test_a_client_that_comes_back_gets_what_it_missed() -> None:
    """``Last-Event-ID`` replays the ticks after it, in order, without a hole."""
    live = Live(OneBackend(), CountingClock(), 0.02)
    steady = live.stream(DISPLAY)
    seen = await take_ticks(steady, 4)
    returning = live.stream(DISPLAY, last_id=seen[0][0])
    assert await take_ticks(returning, 3) == seen[1:4]
    await returning.aclose()
    await steady.aclose()


async def test_a_slow_client_loses_the_oldest_ticks_and_never_grows() -> None:
    """A queue holds a few ticks: who does not read finds the newest of them."""
    live = Live(OneBackend(), CountingClock(), 0.02)
    slow, quick = live.stream(DISPLAY), live.stream(DISPLAY)
    first = (await take_ticks(slow, 1))[0]
    ids = [t_ms for t_ms, _ in await take_ticks(quick, stream_module.QUEUE_SIZE + 6)]
    late = [t_ms for t_ms, _ in await take_ticks(slow, stream_module.QUEUE_SIZE)]
    assert first[0] not in late
    assert late[0] > ids[1]
    assert late == sorted(late)
    await slow.aclose()
    await quick.aclose()


async def test_a_silent_stream_sends_comments() -> None:
    """Proxies close connections on which nothing comes."""
    live = Live(OneBackend(), CountingClock(0), 3600, comment_every_s=0.01)
    stream = live.stream(Display(60, 3600, 3600))
    async for event in stream:
        if event.startswith(b":"):
            break
    await stream.aclose()


async def test_closing_ends_all_streams() -> None:
    """A server that stops does not wait for browsers to leave."""
    live = Live(OneBackend(), CountingClock(), 0.02)
    stream = live.stream(DISPLAY)
    await take_ticks(stream, 1)
    live.close()
    assert [event async for event in stream][-1:] in ([], [b""]) or live.n_clients == 0


async def test_one_view_too_many_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Views are bounded: each costs queries."""
    monkeypatch.setattr(stream_module, "MAX_CHANNELS", 1)
    live = Live(OneBackend(), CountingClock(), 0.02)
    stream = live.stream(DISPLAY)
    await take_ticks(stream, 1)
    live.check_room(DISPLAY)
    with pytest.raises(TooManyClients):
        live.check_room(Display(61, 0.02, 0.02))
    await stream.aclose()


async def test_a_tick_holds_tiles_columns_and_where_asked_charts() -> None:
    """Chart values come only in ticks that fall on the chart's step."""
    with_charts = json.loads(await compute_tick(OneBackend(), DISPLAY, 1000, charts_ms=900))
    without = json.loads(await compute_tick(OneBackend(), DISPLAY, 1000))
    overview = [panel for panel in PANELS.values() if panel.page == "overview"]
    assert set(with_charts["values"]) == {panel.id for panel in overview}
    assert set(without["values"]) == {panel.id for panel in overview if panel.kind != "chart"}
    assert with_charts["values"]["tasks_rate"] == [[[{"agent": "a"}, 1.0]]]
    assert len(with_charts["values"]["ttft"]) == 3
    assert set(with_charts["previous"]) == {panel.id for panel in PANELS.values() if panel.kind == "tile"}


async def test_a_query_that_fails_spoils_only_its_panel() -> None:
    """The error's message stands beside the others' values."""
    tick = json.loads(await compute_tick(OneBackend(failing="time_to_first_token"), DISPLAY, 1000, charts_ms=900))
    assert tick["errors"] == {"ttft": "gone away", "ttft_p95": "gone away"}
    assert tick["values"]["tasks_rate"]
    assert tick["level"] == "bad"  # every task fails, says this backend


async def test_a_value_that_is_no_number_is_null() -> None:
    """JSON has neither NaN nor infinity."""
    tick = json.loads(await compute_tick(OneBackend(value=float("inf")), DISPLAY, 1000))
    assert tick["values"]["tasks_rate"] == [[[{"agent": "a"}, None]]]


async def test_a_server_that_never_saw_an_agent_says_so() -> None:
    """The page shows how to begin then."""
    tick = json.loads(await compute_tick(OneBackend(seen=False), DISPLAY, 1000))
    assert (tick["facts"]["ever_seen"], tick["level"]) == (False, "empty")


def client_of(tmp_path: Path) -> TestClient:
    routes = view_routes(OneBackend(), CountingClock(), interval_s=5, static_dir=tmp_path, version="1.2.3")
    return TestClient(Starlette(routes=routes))


def test_panels_come_filled_for_a_range(tmp_path: Path) -> None:
    """The page draws what it is told: queries, step and window come from one place."""
    with client_of(tmp_path) as client:
        body = client.get("/api/panels", params={"range": "3600", "agent": "coder"}).json()
    assert (body["version"], body["step_s"], body["interval_s"]) == ("1.2.3", 15, 5)
    by_id = {panel["id"]: panel for panel in body["panels"]}
    assert by_id["tasks_rate"]["queries"][0]["expr"] == 'sum(rate(agent_tasks_total{agent=~"coder"}[20s]))'
    assert by_id["time_by_state"]["hints"] == {"stack": True}


@pytest.mark.parametrize("range_text", ["", "soon", "nan", "inf", "-5", "0", "1e30"])
def test_a_range_that_is_none_is_refused(tmp_path: Path, range_text: str) -> None:
    """HTTP 400 that says what is wrong, for each of the three answers."""
    with client_of(tmp_path) as client:
        for path in ("/api/panels", "/api/overview", "/api/live"):
            assert client.get(path, params={"range": range_text}).status_code == 400


def test_an_unbuilt_page_says_how_to_build_it(tmp_path: Path) -> None:
    """A checkout without the built files is no error page."""
    with client_of(tmp_path) as client:
        answer = client.get("/")
    assert answer.status_code == 200
    assert "./dev build" in answer.text


def test_the_built_page_is_served_compressed_hashed_and_shut_in(tmp_path: Path) -> None:
    """index.html is asked for again each time, hashed files never; nothing may be loaded from elsewhere."""
    (tmp_path / "static").mkdir()
    (tmp_path / "index.html").write_text("<html>page</html>")
    (tmp_path / "static" / "a-123.js").write_text("plain")
    (tmp_path / "static" / "a-123.js.br").write_bytes(b"brotli")
    (tmp_path / "secret").write_text("secret")
    with client_of(tmp_path) as client:
        page = client.get("/")
        plain = client.get("/static/a-123.js", headers={"accept-encoding": "identity"})
        outside = client.get("/static/%2e%2e/secret")
        missing = client.get("/static/nothing.js")
    assert page.headers["cache-control"] == "no-cache"
    assert page.headers["content-security-policy"].startswith("default-src 'self'")
    assert plain.text == "plain"
    assert "immutable" in plain.headers["cache-control"]
    assert "javascript" in plain.headers["content-type"]
    assert (outside.status_code, missing.status_code) == (404, 404)


def test_a_compressed_copy_goes_to_who_takes_it(tmp_path: Path) -> None:
    """Brotli before gzip; the type is the original's."""
    (tmp_path / "index.html").write_text("page")
    (tmp_path / "index.html.gz").write_bytes(b"not read")
    with client_of(tmp_path) as client, client.stream("GET", "/", headers={"accept-encoding": "gzip;q=1"}) as answer:
        assert answer.headers["content-encoding"] == "gzip"
        assert answer.headers["content-type"].startswith("text/html")
        assert answer.headers["vary"] == "Accept-Encoding"
