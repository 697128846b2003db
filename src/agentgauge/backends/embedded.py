"""The database of this process, asked off the event loop.

PromQL never runs on the loop: each question goes to a worker thread, at most ``max_concurrency`` at a time (the GIL
makes more useless), the others wait in order. Waiting counts against the question's time; too many waiting is refused
at once, so that a burst ends in clear errors and not in a backlog. A question whose asker went away stops at the
engine's next ``check()``.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from agentgauge.database import Database
from agentgauge.errors import QueryCanceled, QueryTimeout
from agentgauge.model.clock import Clock, SystemClock
from agentgauge.model.labels import Labels
from agentgauge.model.sample import Exemplar, MetricInfo
from agentgauge.model.series import Result

MAX_WAITING = 100
"""Questions that may wait for a thread; a page with 20 panels in a few tabs stays below."""

_Answer = TypeVar("_Answer")
_Check = Callable[[], None]


class EmbeddedBackend:
    """Ask a ``Database`` from a coroutine.

    Thread-safety: used from one event loop.
    """

    def __init__(
        self,
        database: Database,
        max_concurrency: int = 4,
        timeout_s: float = 120.0,
        clock: Clock | None = None,
        *,
        max_waiting: int = MAX_WAITING,
        owns_database: bool = False,
    ) -> None:
        self._database = database
        self._owns_database = owns_database
        self._clock = clock or SystemClock()
        self._timeout_s = timeout_s
        self._max_waiting = max_waiting
        self._n_waiting = 0
        self._free = asyncio.Semaphore(max_concurrency)
        self._pool = ThreadPoolExecutor(max_concurrency, thread_name_prefix="agentgauge-query")
        self._closing = threading.Event()

    async def query(
        self, expr: str, t_ms: int | None = None, *, timeout_s: float | None = None, lookback_ms: int | None = None
    ) -> Result:
        """Evaluate at one time; now when ``t_ms`` is None."""
        at_ms = self._clock.now_ms() if t_ms is None else t_ms
        return await self._ask(
            lambda check: self._database.query(expr, at_ms, lookback_ms=lookback_ms, check=check), timeout_s
        )

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
        """Evaluate from start to end, both included, by step."""
        return await self._ask(
            lambda check: self._database.query_range(
                expr, start_ms, end_ms, step_ms, lookback_ms=lookback_ms, check=check
            ),
            timeout_s,
        )

    async def series(
        self, selectors: Sequence[str], start_ms: int | None = None, end_ms: int | None = None, limit: int = 0
    ) -> list[Labels]:
        """Return the label sets that match any selector."""
        return await self._ask(lambda _: self._database.series(selectors, start_ms, end_ms, limit))

    async def label_names(
        self,
        selectors: Sequence[str] = (),
        start_ms: int | None = None,
        end_ms: int | None = None,
        limit: int = 0,
    ) -> list[str]:
        """Return the sorted label names."""
        return await self._ask(lambda _: self._database.label_names(selectors, start_ms, end_ms, limit))

    async def label_values(
        self,
        name: str,
        selectors: Sequence[str] = (),
        start_ms: int | None = None,
        end_ms: int | None = None,
        limit: int = 0,
    ) -> list[str]:
        """Return the sorted values of a label."""
        return await self._ask(lambda _: self._database.label_values(name, selectors, start_ms, end_ms, limit))

    async def metadata(self, metric: str | None = None) -> Mapping[str, Sequence[MetricInfo]]:
        """Return what is known of each metric family."""
        return await self._ask(lambda _: self._database.metadata(metric))

    async def exemplars(self, expr: str, start_ms: int, end_ms: int) -> list[Exemplar]:
        """Return the exemplars of the series that an expression selects."""
        return await self._ask(lambda _: self._database.exemplars(expr, start_ms, end_ms))

    async def close(self) -> None:
        """Stop running questions at their next check and let the threads go; close the database only when owned."""
        self._closing.set()
        await asyncio.to_thread(self._pool.shutdown, wait=True, cancel_futures=True)
        if self._owns_database:
            await asyncio.to_thread(self._database.close)

    async def _ask(self, work: Callable[[_Check], _Answer], timeout_s: float | None = None) -> _Answer:
        """Run ``work`` in a worker thread.

        Raises:
            QueryTimeout: the queue is full, or the time ran out in it or in evaluation.
        """
        limit_s = self._timeout_s if timeout_s is None else min(timeout_s, self._timeout_s)
        deadline_ns = self._clock.monotonic_ns() + round(limit_s * 1e9)
        canceled = threading.Event()

        def check() -> None:
            if canceled.is_set() or self._closing.is_set():
                raise QueryCanceled("query was canceled in expression evaluation")
            if self._clock.monotonic_ns() > deadline_ns:
                raise QueryTimeout("query timed out in expression evaluation")

        await self._wait_for_thread(limit_s)
        running = asyncio.get_running_loop().run_in_executor(self._pool, _checked, work, check)
        # The thread is free when the work ends, which may be after its asker has gone.
        running.add_done_callback(self._thread_is_free)
        try:
            return await asyncio.shield(running)
        except asyncio.CancelledError:
            canceled.set()
            raise

    async def _wait_for_thread(self, limit_s: float) -> None:
        if self._n_waiting >= self._max_waiting:
            raise QueryTimeout(f"too many queries: {self._n_waiting} wait already; ask again later or ask for less")
        self._n_waiting += 1
        try:
            async with asyncio.timeout(limit_s):
                await self._free.acquire()
        except TimeoutError:
            raise QueryTimeout("query timed out in query queue") from None
        finally:
            self._n_waiting -= 1

    def _thread_is_free(self, running: asyncio.Future[Any]) -> None:
        self._free.release()
        if not running.cancelled():
            running.exception()  # taken: nobody else does when the asker has gone


def _checked(work: Callable[[_Check], _Answer], check: _Check) -> _Answer:
    check()
    return work(check)
