"""The scrape loop: every target on its own beat, none able to hold up another.

One task per target: fetch on the event loop, read and append in worker threads. Beats follow the monotonic clock,
rows carry the wall clock, so a clock that is set back or forward changes stamps and never the rhythm. A new target is
scraped at once and then falls into a phase of its own, so that many targets found together do not beat together.
A target that vanishes, fails or outlives the server leaves stale markers.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol, TypeAlias

import aiohttp

from agentgauge.errors import AgentgaugeError, ParseError, StoreError, StoreFull
from agentgauge.model.clock import Clock
from agentgauge.model.labels import Labels
from agentgauge.model.sample import Exemplar, MetricInfo, Sample
from agentgauge.model.series import Row
from agentgauge.scrape.discovery import Discovery, Found
from agentgauge.scrape.fetch import Fetched, ScrapeFailed, fetch_text
from agentgauge.scrape.target import Limits, Scraped, Target, TargetSeries

DISCOVERY_INTERVAL_S = 1.0

_logger = logging.getLogger(__name__)

Health: TypeAlias = Literal["unknown", "up", "down"]

Drop: TypeAlias = Callable[[str, int], object]
"""Told why how many samples were scraped and not stored; from any thread."""


class Group(Protocol):
    """What the loop needs of a scrape group of the store."""

    @property
    def columns(self) -> Sequence[Labels]:
        """The series of the group, by column."""

    @property
    def epoch(self) -> int:
        """A number that changes when the columns are numbered anew."""

    def append(self, row: Row, *, exemplars: Sequence[Exemplar] = ()) -> None:
        """Store a row; it is safe when this returns."""


class Sink(Protocol):
    """What the loop needs of a store."""

    def group(self, key: str) -> Group:
        """Return the scrape group of that name, a new one when there is none."""

    def append(self, samples: Iterable[Sample]) -> Any:
        """Store samples with timestamps of their own."""

    def set_metadata(self, infos: Mapping[str, MetricInfo]) -> None:
        """Remember what metric families are."""


@dataclass(frozen=True, slots=True)
class TargetState:
    """What is known of a target now, for the targets page."""

    target: Target
    health: Health = "unknown"
    last_error: str = ""
    last_scrape_ms: int = 0
    last_duration_s: float = 0.0
    last_n_samples: int = 0
    last_lag_s: float = 0.0


class ScrapeLoop:
    """Follows what ``Discovery`` finds until it is closed.

    Thread-safety: used from one event loop; ``states`` may be read from anywhere.
    """

    def __init__(
        self,
        sink: Sink,
        discovery: Discovery,
        clock: Clock,
        *,
        interval_s: float = 5.0,
        limits: Limits | None = None,
        drop: Drop = lambda reason, n_samples: None,
    ) -> None:
        limits = limits or Limits()
        self._sink = sink
        self._discovery = discovery
        self._clock = clock
        self._drop = drop
        self._interval_s = interval_s
        self._limits = replace(limits, timeout_s=min(limits.timeout_s, interval_s))
        self._followers: dict[str, _Follower] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._problems: Mapping[str, str] = {}
        self._pool = ThreadPoolExecutor(2, thread_name_prefix="agentgauge-scrape")

    @property
    def interval_s(self) -> float:
        """Seconds between two scrapes of a target."""
        return self._interval_s

    @property
    def timeout_s(self) -> float:
        """Seconds that one scrape may take."""
        return self._limits.timeout_s

    @property
    def states(self) -> list[TargetState]:
        """What is known of every target now, in the order of their names."""
        return [follower.state for _, follower in sorted(self._followers.copy().items())]

    @property
    def problems(self) -> Mapping[str, str]:
        """What is wrong with target files, by path."""
        return self._problems

    async def run(self) -> None:
        """Follow targets until cancelled; then leave stale markers for all of them."""
        connector = aiohttp.TCPConnector(limit=0)
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=self._limits.timeout_s)
        async with aiohttp.ClientSession(
            connector=connector, timeout=timeout, auto_decompress=False, cookie_jar=aiohttp.DummyCookieJar()
        ) as session:
            try:
                while True:
                    await self._refresh(session)
                    await asyncio.sleep(min(DISCOVERY_INTERVAL_S, self._interval_s))
            finally:
                await self._forget(list(self._followers))
                self._pool.shutdown(wait=True)

    async def _refresh(self, session: aiohttp.ClientSession) -> None:
        found: Found = await self._in_thread(self._discovery.look)
        for path, problem in found.problems.items():
            if self._problems.get(path) != problem:
                _logger.warning("target file %s: %s", path, problem)
        self._problems = found.problems
        wanted = {target.group_key: target for target in found.targets}
        await self._forget([key for key, old in self._followers.items() if wanted.get(key) != old.state.target])
        for key, target in wanted.items():
            if key not in self._followers:
                follower = _Follower(target, self._sink, self._clock, self._limits, self._drop)
                self._followers[key] = follower
                self._tasks[key] = asyncio.create_task(self._follow(follower, session))

    async def _follow(self, follower: _Follower, session: aiohttp.ClientSession) -> None:
        loop = asyncio.get_running_loop()
        started_s = loop.time()
        await follower.scrape(session, self._in_thread)
        beat = phase_of(follower.state.target.group_key)
        while True:
            # A beat that a slow scrape has run over is left out, not made up for.
            passed = (loop.time() - started_s) / self._interval_s
            while beat <= passed:
                beat += 1.0
            due_s = started_s + beat * self._interval_s
            await asyncio.sleep(due_s - loop.time())
            follower.lag_s = max(0.0, loop.time() - due_s)
            await follower.scrape(session, self._in_thread)

    async def _forget(self, keys: list[str]) -> None:
        """Stop following targets; each leaves stale markers."""
        tasks = [self._tasks.pop(key) for key in keys if key in self._tasks]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for key in keys:
            follower = self._followers.pop(key)
            await self._in_thread(follower.end)

    async def _in_thread(self, work: Callable[..., Any], *args: Any) -> Any:
        # Shielded: a row that is being appended when its task is cancelled is finished, never half known.
        running = asyncio.get_running_loop().run_in_executor(self._pool, work, *args)
        try:
            return await asyncio.shield(running)
        except asyncio.CancelledError:
            await asyncio.wait([running])
            if failure := running.exception():
                _logger.warning("the last row of a target that is no longer scraped was not kept: %s", failure)
            raise


class _Follower:
    """One target and its series; only one scrape at a time."""

    __slots__ = (
        "_clock",
        "_drop",
        "_epoch",
        "_group",
        "_infos",
        "_last_store_error",
        "_limits",
        "_series",
        "_sink",
        "lag_s",
        "state",
    )

    def __init__(self, target: Target, sink: Sink, clock: Clock, limits: Limits, drop: Drop) -> None:
        self.state = TargetState(target)
        self.lag_s = 0.0
        self._sink = sink
        self._drop = drop
        self._clock = clock
        self._limits = limits
        self._group: Group | None = None
        self._series: TargetSeries | None = None
        self._infos: dict[str, MetricInfo] = {}
        self._last_store_error = ""
        self._epoch = -1

    async def scrape(self, session: aiohttp.ClientSession, in_thread: Callable[..., Any]) -> None:
        """Fetch and store once; whatever goes wrong is this target's alone."""
        t_ms, start_ns = self._clock.now_ms(), self._clock.monotonic_ns()
        fetched: Fetched | None = None
        problem = ""
        try:
            fetched = await fetch_text(session, self.state.target.url, self._limits)
        except ScrapeFailed as error:
            problem = str(error)
        duration_s = (self._clock.monotonic_ns() - start_ns) / 1e9
        try:
            await in_thread(self._store, fetched, problem, t_ms, duration_s)
        except StoreError as error:
            health: Health = "down" if problem else "up"
            self._not_stored(replace(self.state, health=health, last_error=problem, last_scrape_ms=t_ms), error)
        except Exception as error:  # noqa: BLE001 - the edge: a target must not end the loop, the reason is shown
            self._drop("not_stored", self.state.last_n_samples or 1)
            _logger.warning("scrape of %s was not stored: %s", self.state.target.url, error)
            self._series = None
            self.state = replace(self.state, health="down", last_error=f"not stored: {error}", last_scrape_ms=t_ms)

    def _not_stored(self, found: TargetState, error: StoreError) -> None:
        """Go on when the store cannot take a row: the target is as up as it was found, what is lost is said."""
        self._drop("disk_full" if isinstance(error, StoreFull) else "not_stored", found.last_n_samples or 1)
        if str(error) != self._last_store_error:
            _logger.error("scrape of %s was not stored: %s", found.target.url, error)
        self._last_store_error = str(error)
        reasons = [found.last_error] if found.last_error else []
        self.state = replace(found, last_error="; ".join([*reasons, f"not stored: {error}"]))

    def end(self) -> None:
        """Leave stale markers; runs in a worker thread."""
        if self._series is None or self._group is None or self._group.epoch != self._epoch:
            return
        try:
            self._append(self._series.end(self._clock.now_ms()))
        except AgentgaugeError as error:
            _logger.warning("no stale markers for %s: %s", self.state.target.url, error)

    def _store(self, fetched: Fetched | None, problem: str, t_ms: int, duration_s: float) -> None:
        """Read and append; runs in a worker thread."""
        series = self._current_series()
        scraped: Scraped | None = None
        if fetched is not None:
            try:
                scraped = series.success(fetched.body, t_ms, duration_s, openmetrics=fetched.openmetrics)
            except ParseError as error:
                problem = str(error)
        if problem and not self.state.last_error.startswith(problem):
            _logger.warning("scrape of %s failed: %s", self.state.target.url, problem)
        found = TargetState(
            self.state.target,
            "down" if problem else "up",
            problem,
            t_ms,
            duration_s,
            scraped.n_samples if scraped else 0,
            self.lag_s,
        )
        try:
            self._append(scraped or series.failure(t_ms, duration_s))
        except StoreError as error:
            self._not_stored(found, error)
        else:
            self.state, self._last_store_error = found, ""

    def _current_series(self) -> TargetSeries:
        """Return the series laid out as the store has them now."""
        if self._group is None:
            self._group = self._sink.group(self.state.target.group_key)
        if self._series is None or self._group.epoch != self._epoch:
            self._epoch = self._group.epoch
            self._series = TargetSeries(self.state.target, self._group.columns, self._limits)
        return self._series

    def _append(self, scraped: Scraped) -> None:
        assert self._group is not None, "BUG: append before the group was opened"
        assert self._series is not None, "BUG: append before the series were laid out"
        self._group.append(scraped.row, exemplars=scraped.exemplars)
        self._series.stored()
        if scraped.stamped:
            report = self._sink.append(scraped.stamped)
            for reason in ("too_old", "too_new"):
                if n_refused := getattr(report, reason, 0):
                    self._drop(reason, n_refused)
        self._infos.update(scraped.infos)
        if self._infos:
            # They are told once: what finds no room now is kept for the next scrape, which costs no sample.
            with contextlib.suppress(StoreError):
                self._sink.set_metadata(self._infos)
                self._infos = {}


def phase_of(key: str) -> float:
    """Return a target's place in the interval, [0.5, 1): the same after every restart, spread over targets."""
    return 0.5 + (zlib.crc32(key.encode()) % 4096) / 8192
