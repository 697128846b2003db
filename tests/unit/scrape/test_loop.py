"""The scrape loop: what the store refuses costs that scrape alone, columns may be numbered anew, the end is marked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

from agentgauge.errors import StoreFull
from agentgauge.model.clock import SystemClock
from agentgauge.model.labels import Labels, label_value
from agentgauge.model.sample import is_stale
from agentgauge.model.series import Row
from agentgauge.scrape.discovery import Discovery
from agentgauge.scrape.loop import ScrapeLoop, phase_of
from agentgauge.scrape.target import target_from_address


class MemoryGroup:
    """A group that keeps rows as dicts; ``refuse`` makes the next append fail."""

    def __init__(self) -> None:
        self.columns: list[Labels] = []
        self.epoch = 0
        self.rows: list[dict[str, float]] = []
        self.refuse = 0

    def append(self, row: Row, *, exemplars: Sequence[Any] = ()) -> None:
        if self.refuse:
            self.refuse -= 1
            raise StoreFull("no room")
        assert len(row.values) == len(self.columns) + len(row.new_labels)
        self.columns += row.new_labels
        names = [label_value(labels, "__name__") for labels in self.columns]
        self.rows.append(dict(zip(names, map(float, row.values), strict=True)))


class MemorySink:
    def __init__(self) -> None:
        self.groups: dict[str, MemoryGroup] = {}

    def group(self, key: str) -> MemoryGroup:
        return self.groups.setdefault(key, MemoryGroup())

    def append(self, samples: Any) -> None:
        raise AssertionError("no sample here has a time of its own")

    def set_metadata(self, infos: Any) -> None:
        pass


@asynccontextmanager
async def target() -> AsyncIterator[str]:
    async def metrics(_: web.Request) -> web.Response:
        return web.Response(text="m 1\n")

    app = web.Application()
    app.router.add_get("/metrics", metrics)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield f"127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


async def until(holds: Callable[[], Any]) -> None:
    async with asyncio.timeout(20):
        while not holds():
            await asyncio.sleep(0.01)


async def test_a_refusing_store_and_new_columns_do_not_end_the_loop() -> None:
    """After a failed append and after a new numbering rows go on; the last row marks every series stale."""
    async with target() as address:
        wanted = target_from_address(address)
        sink = MemorySink()
        group = sink.group(wanted.group_key)
        group.refuse = 1
        loop = ScrapeLoop(sink, Discovery([wanted]), SystemClock(), interval_s=0.05)
        running = asyncio.create_task(loop.run())
        await until(lambda: len(group.rows) >= 2)
        assert group.rows[0]["m"] == 1
        group.columns.reverse()
        group.epoch += 1
        before = len(group.rows)
        await until(lambda: len(group.rows) >= before + 2)
        assert group.rows[-1]["m"] == 1
        assert loop.states[0].health == "up"
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        assert all(map(is_stale, group.rows[-1].values()))
        assert len(group.columns) == 6


async def test_a_full_disk_leaves_the_target_up_and_the_loss_is_counted() -> None:
    """While rows find no room the target stays up with the reason beside it; both end with the first row stored."""
    async with target() as address:
        wanted = target_from_address(address)
        sink = MemorySink()
        group = sink.group(wanted.group_key)
        group.refuse = 3
        seen: list[tuple[str, str]] = []
        dropped: list[tuple[str, int]] = []
        loop = ScrapeLoop(
            sink, Discovery([wanted]), SystemClock(), interval_s=0.05, drop=lambda *what: dropped.append(what)
        )
        running = asyncio.create_task(loop.run())

        def is_stored() -> bool:
            seen.extend((state.health, state.last_error) for state in loop.states if state.last_scrape_ms)
            return len(group.rows) >= 2

        await until(is_stored)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        assert ("up", "not stored: no room") in seen
        assert {health for health, _ in seen} == {"up"}
        assert seen[-1] == ("up", "")
        assert dropped == [("disk_full", 1)] * 3


def test_targets_beat_apart() -> None:
    """The phase is a target's own, the same each time, and spread over the second half of an interval."""
    phases = [phase_of(f"instance=127.0.0.1%3A{port}") for port in range(8001, 8101)]
    assert phases == [phase_of(f"instance=127.0.0.1%3A{port}") for port in range(8001, 8101)]
    assert all(0.5 <= phase < 1 for phase in phases)
    assert len({round(phase, 2) for phase in phases}) > 25
