"""One synthetic task through every hop: recorded in a process of its own, exposed, scraped, stored, queried.

Each hop is looked at only when the one before it worked, so the first that fails is the broken one. The task counts
under an agent of its own, ``agentgauge-probe``, and its process ends with the probe.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from agentgauge.backends.http import HttpBackend
from agentgauge.doctor.asking import reason, session
from agentgauge.doctor.finding import Verdict
from agentgauge.doctor.probe import rows_of, target_of
from agentgauge.errors import AgentgaugeError, BackendError
from agentgauge.model.clock import SystemClock
from agentgauge.model.discovery import DIRECTORY_VARIABLE

AGENT = "agentgauge-probe"
START_S = 20.0
PATIENCE_S = 15.0
"""For a server to find and scrape the probe, beyond three of its intervals."""

POLL_S = 0.2

_PROGRAM = f"""
import json, sys
import agentgauge as ag
exposition = ag.start(port=0)
with ag.task(agent={AGENT!r}):
    with ag.llm_call(model="probe") as call:
        call.usage(prompt=3, completion=2)
    with ag.tool_call("probe"):
        pass
print(json.dumps({{"url": exposition.url, "port": exposition.port}}), flush=True)
sys.stdin.read()
exposition.close()
"""

HOPS = ("record", "expose", "announce", "server", "scrape", "store", "query")


@dataclass(frozen=True, slots=True)
class Hop:
    """What became of the task at one hop; hops after the broken one are ``unknown``."""

    name: str
    verdict: Verdict
    detail: str
    mend: str = ""


class _Broken(Exception):
    """Tell why a hop is broken, and what mends it."""

    def __init__(self, detail: str, mend: str) -> None:
        super().__init__(detail)
        self.mend = mend


@dataclass(slots=True)
class _Trip:
    """The task on its way; filled in hop by hop."""

    server: str
    folder: str
    backend: HttpBackend
    http: aiohttp.ClientSession
    url: str = ""
    port: int = 0
    pid: int = 0
    instance: str = ""
    patience_s: float = PATIENCE_S

    async def record(self) -> str:
        """A process records one task and says where it shows it."""
        return f"a process recorded one task, one LLM call, one tool call (pid {self.pid})"

    async def expose(self) -> str:
        """Its endpoint shows the task."""
        try:
            async with self.http.get(self.url) as response:
                body = await response.text()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise _Broken(f"{self.url}: {reason(error)}", f"curl -sS '{self.url}'") from None
        line = f'agent_tasks_total{{agent="{AGENT}",status="success"}} 1'
        if line not in body:
            raise _Broken(f"{self.url} does not show: {line}", f"curl -sS '{self.url}' | grep {AGENT}")
        return f"{self.url} shows it"

    async def announce(self) -> str:
        """Its discovery file is where servers look."""
        files = list(Path(self.folder).glob(f"{self.pid}-*.json"))
        if not files:
            raise _Broken(f"no file of pid {self.pid} in {self.folder}", f"ls -ld '{self.folder}'; df '{self.folder}'")
        return str(files[0])

    async def reach(self) -> str:
        """The server answers."""
        try:
            await self.backend.query("1")
        except AgentgaugeError as error:
            raise _Broken(str(error), "agentgauge serve") from None
        return f"{self.server} answers"

    async def scrape(self) -> str:
        """The server finds the process and scrapes it."""
        seen = "it never found the process"

        async def is_up() -> bool:
            nonlocal seen
            for one in map(target_of, (await self.backend.targets())["activeTargets"]):
                if one.interval_s:
                    self.patience_s = PATIENCE_S + 3 * one.interval_s
                if urlsplit(one.url).port != self.port:
                    continue
                self.instance = one.instance
                seen = one.error or f"it is {one.health}"
                return one.health == "up"
            return False

        try:
            if await self._until(is_up):
                return f"{self.server} scrapes {self.instance}"
        except BackendError as error:
            seen = str(error)
        raise _Broken(
            f"{self.server} does not scrape {self.url}: {seen}",
            f"{DIRECTORY_VARIABLE}='{self.folder}' agentgauge serve   # server and agents must use one folder",
        )

    async def store(self) -> str:
        """The server has the series."""
        selector = f'agent_tasks_total{{agent="{AGENT}",instance="{self.instance}"}}'

        async def is_there() -> bool:
            return bool(await self.backend.series([selector]))

        if await self._until(is_there):
            return "the series is there"
        raise _Broken(f"{selector} is not stored", "agentgauge doctor   # see Disk, Dropped samples, Clocks")

    async def query(self) -> str:
        """PromQL answers 1."""
        expr = f'sum(agent_tasks_total{{agent="{AGENT}",instance="{self.instance}",status="success"}})'
        value: float | None = None

        async def is_one() -> bool:
            nonlocal value
            rows = rows_of(await self.backend.query(expr))
            value = rows[0][1] if rows else None
            return value == 1

        if await self._until(is_one):
            return f"{expr} is 1"
        raise _Broken(f"{expr} is {value}, not 1", f"agentgauge query '{expr}'")

    async def _until(self, holds: Callable[[], Coroutine[Any, Any, bool]]) -> bool:
        start_ns = SystemClock.monotonic_ns()
        while not await holds():
            if SystemClock.monotonic_ns() - start_ns > self.patience_s * 1e9:
                return False
            await asyncio.sleep(POLL_S)
        return True


async def probe_hops(server: str, folder: str, patience_s: float = PATIENCE_S) -> list[Hop]:
    """Send one task through every hop; the first that is not ``ok`` is the broken one."""
    backend = HttpBackend(server)
    try:
        async with session() as http, _child(folder) as (said, pid):
            trip = _Trip(server, folder, backend, http, str(said["url"]), int(said["port"]), pid, "", patience_s)
            return await _travel(trip)
    except _Broken as broken:
        rest = [Hop(name, "unknown", "not reached") for name in HOPS[1:]]
        return [Hop(HOPS[0], "bad", str(broken), broken.mend), *rest]
    finally:
        await backend.close()


async def _travel(trip: _Trip) -> list[Hop]:
    ways = (trip.record, trip.expose, trip.announce, trip.reach, trip.scrape, trip.store, trip.query)
    hops: list[Hop] = []
    for name, way in zip(HOPS, ways, strict=True):
        if hops and hops[-1].verdict != "ok":
            hops.append(Hop(name, "unknown", "not reached"))
            continue
        try:
            hops.append(Hop(name, "ok", await way()))
        except _Broken as broken:
            hops.append(Hop(name, "bad", str(broken), broken.mend))
        except AgentgaugeError as error:
            hops.append(Hop(name, "bad", str(error), "agentgauge doctor"))
    return hops


@asynccontextmanager
async def _child(folder: str) -> AsyncIterator[tuple[dict[str, Any], int]]:
    """Run the recording process inside the block; yields what it said and its process id."""
    pipe = asyncio.subprocess.PIPE
    environ = {**os.environ, DIRECTORY_VARIABLE: folder}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _PROGRAM, stdin=pipe, stdout=pipe, stderr=pipe, env=environ
    )
    if process.stdin is None or process.stdout is None or process.stderr is None:
        raise AssertionError("BUG: a child without pipes")
    try:
        try:
            line = await asyncio.wait_for(process.stdout.readline(), START_S)
        except TimeoutError:
            process.kill()
            line = b""
        if not line:
            said = (await process.stderr.read()).decode(errors="replace").strip().rpartition("\n")[2]
            raise _Broken(
                f"a process that records did not start: {said or 'it said nothing'}",
                f"{sys.executable} -c 'import agentgauge; agentgauge.start()'",
            )
        yield json.loads(line), process.pid
    finally:
        with contextlib.suppress(OSError):
            process.stdin.close()
        try:
            await asyncio.wait_for(process.wait(), 3.0)
        except TimeoutError:
            process.kill()
            await process.wait()


def hops_json(hops: list[Hop]) -> dict[str, object]:
    """Return what ``--probe --json`` says."""
    broken = next((hop.name for hop in hops if hop.verdict != "ok"), None)
    return {
        "healthy": broken is None,
        "broken": broken,
        "hops": [{"hop": hop.name, "verdict": hop.verdict, "detail": hop.detail, "mend": hop.mend} for hop in hops],
    }
