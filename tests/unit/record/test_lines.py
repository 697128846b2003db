"""Asyncio tasks as lines, in loops, contexts and processes of every kind: the host never notices, the numbers hold."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import sys
import types
from collections.abc import Generator
from typing import Any

import pytest

import agentgauge as ag
from agentgauge.record.branch import MAX_DEPTH, Branch
from agentgauge.record.node import Node
from agentgauge.testing import FakeClock, Recording, recording


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def records(clock: FakeClock) -> Generator[Recording]:
    with recording(clock) as fresh:
        yield fresh


def path_of(records: Recording) -> dict[str, float]:
    """Return the seconds on the path by component, without the zeros."""
    found: dict[str, float] = {}
    for key, value in records.collected().items():
        if key.startswith("agent_task_path_seconds_total") and value:
            component = key.split('component="')[1].split('"')[0]
            found[component] = found.get(component, 0) + value
    return found


def states_of(records: Recording) -> dict[str, float]:
    prefix = 'agent_task_state_seconds_total{agent="a",state="'
    return {k[len(prefix) : -2]: v for k, v in records.collected().items() if k.startswith(prefix) and v}


def errors_of(records: Recording) -> float:
    return sum(v for k, v in records.collected().items() if k.startswith("agentgauge_record_errors_total"))


async def use(name: str, clock: FakeClock, length_s: float = 0) -> None:
    with ag.tool_call(name):
        await asyncio.sleep(0)
        clock.advance(length_s)


def test_an_asyncio_that_another_thread_is_importing(
    records: Recording, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A module that is in ``sys.modules`` and has nothing in it yet is none."""
    monkeypatch.setitem(sys.modules, "asyncio", types.ModuleType("asyncio"))
    with ag.task(agent="a"), ag.tool_call("t"):
        clock.advance(1)
    assert path_of(records) == {"tool": 1}


def test_a_loop_without_task_factories(records: Recording, clock: FakeClock) -> None:
    """Where a loop knows none, lines come with the first calls."""

    class Plain(asyncio.SelectorEventLoop):
        def get_task_factory(self) -> Any:
            raise NotImplementedError

    async def main() -> None:
        async with ag.task(agent="a"):
            await asyncio.gather(use("b", clock, 1))
            await use("c", clock, 1)

    loop = Plain()
    loop.run_until_complete(main())
    loop.close()
    assert path_of(records)["tool"] == 2
    assert errors_of(records) == 0


async def test_a_factory_of_ours_below_anothers(records: Recording, clock: FakeClock) -> None:
    """Who wraps the factory that is there makes ours appear twice: each asyncio task still gets one line."""
    loop = asyncio.get_running_loop()
    before = loop.get_task_factory()
    async with ag.task(agent="first"):
        ours: Any = loop.get_task_factory()
    loop.set_task_factory(lambda *made, **options: ours(*made, **options))  # noqa: PLW0108
    try:
        async with ag.task(agent="a"):
            await asyncio.create_task(use("b", clock, 1))
            with ag.llm_call("m"):
                clock.advance(2)
    finally:
        loop.set_task_factory(before)
    assert path_of(records) == {"tool": 1, "llm": 2}
    assert states_of(records) == {"tool": 1, "llm": 2}


async def test_tasks_that_are_done_when_they_are_made(records: Recording, clock: FakeClock) -> None:
    """An eager factory runs what it makes at once: its line is over before the maker goes on."""

    def eager(loop: asyncio.AbstractEventLoop, coro: Any, **_: Any) -> Any:
        made = loop.create_future()
        try:
            coro.send(None)
        except StopIteration as stop:
            made.set_result(stop.value)
        return made

    async def quick() -> None:
        with ag.tool_call("t"):
            clock.advance(1)

    loop = asyncio.get_running_loop()
    before = loop.get_task_factory()
    loop.set_task_factory(eager)
    try:
        async with ag.task(agent="a"):
            made = loop.create_task(quick())
            with ag.llm_call("m"):
                clock.advance(2)
            await made
    finally:
        loop.set_task_factory(before)
    assert path_of(records) == {"tool": 1, "llm": 2}
    assert states_of(records) == {"tool": 1, "llm": 2}


async def test_a_chain_of_asyncio_tasks_stays_short(records: Recording, clock: FakeClock) -> None:
    """Each makes the next and ends: no line holds all before it, and the last costs no more than the first."""
    over = asyncio.Event()

    async def link(left: int) -> None:
        await use("t", clock)
        if left:
            next_one.append(asyncio.create_task(link(left - 1)))
        else:
            gc.collect()
            counts.append(sum(isinstance(each, Branch) for each in gc.get_objects()))
            over.set()

    next_one: list[asyncio.Task[None]] = []
    counts: list[int] = []
    async with ag.task(agent="a"):
        next_one.append(asyncio.create_task(link(500)))
        while not over.is_set():
            await asyncio.sleep(0)
            del next_one[:-1]
    assert counts[0] < 3 * MAX_DEPTH
    assert errors_of(records) == 0


async def test_two_lines_in_one_context(records: Recording, clock: FakeClock) -> None:
    """Asyncio tasks that share a context by hand keep a line each, however often they take turns."""
    shared = contextvars.copy_context()

    async def work() -> None:
        for _ in range(200):
            await use("t", clock)

    async with ag.task(agent="a"):
        shared = contextvars.copy_context()
        await asyncio.gather(*(asyncio.create_task(work(), context=shared) for _ in range(2)))
        gc.collect()
        assert sum(isinstance(each, Branch) for each in gc.get_objects()) < 10
    assert errors_of(records) == 0


async def test_a_fork_in_a_line_that_had_not_begun(records: Recording, clock: FakeClock) -> None:
    """What a forked child calls inside a line counts, though the step that starts the line was the parent's."""

    async def line() -> None:
        records.recorder.ledger.after_fork()
        with ag.tool_call("t"), ag.llm_call("m") as call:
            call.set_model("n")

    async with ag.task(agent="a"):
        await asyncio.create_task(line())
    counts = records.collected()
    assert counts['agent_tool_calls_total{agent="a",status="success",tool_name="t"}'] == 1
    assert counts['agent_llm_calls_total{agent="a",model="n",status="success"}'] == 1
    assert errors_of(records) == 0


def test_a_call_named_in_a_forked_child_is_not_in_flight_there(records: Recording, clock: FakeClock) -> None:
    """The request is the parent's: naming it anew in the child sends none."""
    with ag.llm_call("m") as call:
        records.recorder.ledger.after_fork()
        call.set_model("n")
    with ag.llm_call("n"):
        clock.advance(1)
    clock.advance(5)
    key = 'agent_llm_concurrency_seconds_total{model="n",n="%s"}'
    counts = records.collected()
    assert (counts[key % 1], counts.get(key % 2, 0)) == (1, 0)


async def test_what_outlives_a_task_does_not_hold_its_tree(records: Recording, clock: FakeClock) -> None:
    """A background task begun inside a sub-agent keeps none of the calls that were made beside it."""

    async with ag.task(agent="a"), ag.task(agent="sub"):
        background = asyncio.create_task(asyncio.Event().wait())
        for _ in range(500):
            with ag.tool_call("t"):
                pass
    records.recorder.ledger.catch_up()
    gc.collect()
    assert sum(isinstance(each, Node) for each in gc.get_objects()) < 50
    background.cancel()


async def test_a_call_named_after_its_task_is_over(records: Recording, clock: FakeClock) -> None:
    """A finished tree does not change: the background call counts by its new name, the path keeps the old."""
    async with ag.task(agent="a"):
        call = ag.llm_call("m").start()
        clock.advance(1)
    call.set_model("n")
    call.finish()
    counts = records.collected()
    assert counts['agent_llm_calls_total{agent="a",model="n",status="success"}'] == 1
    assert counts['agent_task_path_seconds_total{agent="a",component="llm",name="m",slo="met"}'] == 1
