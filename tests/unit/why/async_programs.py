"""The random programs of ``programs``, run as asyncio programs through the public API, on an event loop of no time."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Awaitable, Callable, Mapping

from tests.unit.why.programs import Act, Key, Program, Seq

import agentgauge as ag
from agentgauge.model.span import Phases
from agentgauge.testing import FakeClock, recording

Join = Callable[..., Awaitable[object]]


async def in_a_group(*work: Awaitable[None]) -> None:
    """Run work side by side in a ``TaskGroup``."""
    async with asyncio.TaskGroup() as group:
        for each in work:
            group.create_task(each)  # type: ignore[arg-type]


class _Sleepless(selectors.SelectSelector):
    """Waits for nothing: where all would wait, the clock goes on instead."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__()
        self._clock = clock

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Return what is ready; else let the time of the next timer come."""
        ready = super().select(0)
        if not ready and timeout:
            self._clock.advance(max(1, round(timeout)) / 1e9)
        return ready


class _Loop(asyncio.SelectorEventLoop):
    """An event loop whose second is a nanosecond of the clock."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__(_Sleepless(clock))
        self._agents_clock = clock

    def time(self) -> float:
        """Return the nanoseconds so far."""
        return float(self._agents_clock.monotonic_ns())


def run(program: Program, faster: Mapping[Key, int], join: Join) -> tuple[int, dict[Key, int], dict[Key, int]]:
    """Run a program as a task; return how long it took, and its seconds on the path and alone, in nanoseconds."""

    async def perform(part: Program) -> None:
        if isinstance(part, Act):
            await act(part, faster)
        elif isinstance(part, Seq):
            for step in part.steps:
                await perform(step)
        else:
            await join(*map(perform, part.branches))

    async def main() -> None:
        async with ag.task(agent="a"):
            await perform(program)

    clock = FakeClock()
    with recording(clock) as records:
        start_ns = clock.monotonic_ns()
        loop = _Loop(clock)
        loop.run_until_complete(main())
        loop.close()
        snapshot = records.recorder.ledger.snapshot()
        found: list[dict[Key, int]] = []
        for name in ("agent_task_path_seconds_total", "agent_task_solo_seconds_total"):
            family = next(family for family in snapshot.families if family.metric.name == name)
            rows = zip(family.keys, family.starts, strict=True)
            sums: dict[Key, int] = {}
            for (_, component, part, *_), slot in rows:
                sums[component, part] = sums.get((component, part), 0) + snapshot.values[slot]
            found.append(sums)
    return clock.monotonic_ns() - start_ns, found[0], found[1]


async def act(part: Act, faster: Mapping[Key, int]) -> None:
    """Do one piece of work, recorded as a user would."""
    component, name = part.key
    phases = [ns // faster.get((phase, name), 1) for phase, ns in part.parts]
    if component == "llm":
        with ag.llm_call(name) as call:
            await asyncio.sleep(sum(phases))
            call.phases(Phases(prefill_ns=phases[0], decode_ns=phases[1]))
        return
    ns = part.ns // faster.get(part.key, 1)
    if component == "own":
        await asyncio.sleep(ns)
        return
    with ag.tool_call(name):
        await asyncio.sleep(ns)
