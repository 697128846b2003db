"""The embedded backend: worker threads, a bounded queue, time limits, cancellation; each end a clear error."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from typing import Any, cast

import pytest

from agentgauge.backends.embedded import EmbeddedBackend
from agentgauge.database import Database
from agentgauge.errors import BadQuery, QueryCanceled, QueryTimeout
from agentgauge.model.series import Result, empty_steps


class SlowDatabase:
    """Answers when told to, as the engine does: looking at ``check`` between slices of work."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.running = threading.Semaphore(0)
        self.ended: list[str] = []

    def query(self, text: str, t_ms: int, *, lookback_ms: int | None, check: Callable[[], None]) -> Result:
        self.running.release()
        try:
            while not self.go.wait(0.005):
                check()
        except BaseException as error:
            self.ended.append(type(error).__name__)
            raise
        self.ended.append("answered")
        return Result("string", empty_steps(), text=text)


@pytest.fixture
async def slow() -> AsyncIterator[tuple[SlowDatabase, EmbeddedBackend]]:
    database = SlowDatabase()
    backend = EmbeddedBackend(cast(Database, database), max_concurrency=1, timeout_s=30, max_waiting=1)
    yield database, backend
    database.go.set()
    await backend.close()


async def started(database: SlowDatabase) -> None:
    assert await asyncio.to_thread(database.running.acquire, timeout=10)


async def test_a_full_queue_refuses_at_once_and_the_others_are_answered(slow: Any) -> None:
    """One runs, one waits, the third is told so; the first two get their answers in order."""
    database, backend = slow
    first = asyncio.create_task(backend.query("a", 0))
    await started(database)
    second = asyncio.create_task(backend.query("b", 0))
    await asyncio.sleep(0)
    with pytest.raises(QueryTimeout, match="1 wait already"):
        await backend.query("c", 0)
    database.go.set()
    assert [(await task).text for task in (first, second)] == ["a", "b"]


async def test_time_runs_out_in_evaluation_and_in_the_queue(slow: Any) -> None:
    """The message says where the time went, and the thread is free again."""
    database, backend = slow
    with pytest.raises(QueryTimeout, match="in expression evaluation"):
        await backend.query("a", 0, timeout_s=0.02)
    first = asyncio.create_task(backend.query("b", 0))
    await started(database)
    await started(database)
    with pytest.raises(QueryTimeout, match="in query queue"):
        await backend.query("c", 0, timeout_s=0.02)
    database.go.set()
    assert (await first).text == "b"


async def test_an_asker_who_leaves_stops_the_work(slow: Any) -> None:
    """Cancelling the coroutine ends the evaluation at its next check."""
    database, backend = slow
    asked = asyncio.create_task(backend.query("a", 0))
    await started(database)
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked
    after = asyncio.create_task(backend.query("b", 0))
    await started(database)
    assert database.ended == ["QueryCanceled"]
    database.go.set()
    await after


async def test_closing_ends_what_runs(slow: Any) -> None:
    """Close does not wait for a long query to finish by itself."""
    database, backend = slow
    asked = asyncio.create_task(backend.query("a", 0))
    await started(database)
    await backend.close()
    with pytest.raises(QueryCanceled):
        await asked


async def test_errors_of_the_engine_arrive_as_they_are() -> None:
    """A query that is none is a BadQuery with its position."""
    with Database.in_memory() as database:
        backend = EmbeddedBackend(database)
        with pytest.raises(BadQuery, match=r"1:\d+: parse error"):
            await backend.query("sum(", 0)
        await backend.close()
