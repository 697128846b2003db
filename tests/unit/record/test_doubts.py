"""What makes a what-if doubtful is counted per task; what exists before it grows."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Awaitable, Callable
from typing import TypeAlias

import pytest

import agentgauge as ag
from agentgauge.testing import Recording, recording


def doubts(records: Recording) -> dict[str, float]:
    """Return the reasons counted for the agent ``a``."""
    prefix = 'agent_task_doubts_total{agent="a",reason="'
    found = {key: value for key, value in records.collected().items() if key.startswith(prefix)}
    return {key[len(prefix) : -2]: value for key, value in found.items() if value}


Run: TypeAlias = Callable[[Callable[[], None]], Awaitable[None]]


def in_a_copied_context(job: Callable[[], None]) -> Awaitable[None]:
    return asyncio.get_running_loop().run_in_executor(None, contextvars.copy_context().run, job)


@pytest.mark.parametrize(("run", "expected"), [(in_a_copied_context, {"unwrapped": 1}), (asyncio.to_thread, {})])
async def test_threads_with_several_steps_are_doubted(run: Run, expected: dict[str, float]) -> None:
    """Two jobs in threads without propagate, one of which goes on beside the other: the task is counted, once.

    Where an asyncio task waits for each, as gathered ``to_thread`` has it, the steps of each stand in its line.
    """
    with recording() as records:
        both, last = threading.Barrier(2), threading.Event()

        def long() -> None:
            with ag.tool_call("d"):
                both.wait(10)
                last.wait(10)

        def short() -> None:
            with ag.tool_call("a"):
                both.wait(10)
            with ag.tool_call("c"):
                last.set()

        async with ag.task(agent="a"):
            await asyncio.gather(*[run(job) for job in (long, short)])
        assert doubts(records) == expected


async def test_one_step_a_job_is_no_doubt() -> None:
    """Jobs of one call each, in threads that are used again, leave the interval as it is."""
    with recording() as records:
        async with ag.task(agent="a"):
            for _ in range(5):
                both = threading.Barrier(2)

                def job(both: threading.Barrier = both) -> None:
                    with ag.tool_call("t"):
                        both.wait(10)

                await asyncio.gather(asyncio.to_thread(job), asyncio.to_thread(job))
        assert doubts(records) == {}


async def test_steps_one_job_at_a_time_are_no_doubt() -> None:
    """A job with several calls and nothing beside it is as good as own code."""
    with recording() as records:

        def job() -> None:
            for name in ("x", "y"):
                with ag.tool_call(name):
                    pass

        async with ag.task(agent="a"):
            await asyncio.to_thread(job)
            await asyncio.to_thread(job)
        assert doubts(records) == {}


async def test_propagated_jobs_are_no_doubt() -> None:
    """The same two jobs with propagate have branches of their own."""
    with recording() as records:
        both = threading.Barrier(2)

        def job(*names: str) -> None:
            for number, name in enumerate(names):
                with ag.tool_call(name):
                    if number == 0:
                        both.wait(10)

        async with ag.task(agent="a"):
            carried = ag.propagate(job)
            await asyncio.gather(asyncio.to_thread(carried, "a", "c"), asyncio.to_thread(carried, "d", "f"))
        assert doubts(records) == {}


def test_races_are_counted() -> None:
    """A call that says it races makes its task one whose upper end does not hold."""
    with recording() as records:
        with ag.task(agent="a"), ag.llm_call(model="m", race=True):
            pass
        with ag.task(agent="a"), ag.llm_call(model="m"):
            pass
        assert doubts(records) == {"race": 1}


def test_tasks_beyond_the_cap_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """A task with more spans than are kept says so."""
    for module in ("timeline", "run"):
        monkeypatch.setattr(f"agentgauge.record.{module}.MAX_NODES", 3)
    with recording() as records:
        with ag.task(agent="a"):
            for _ in range(4):
                with ag.tool_call("t"):
                    pass
        assert doubts(records) == {"capped": 1}


def test_accounts_exist_before_they_grow() -> None:
    """While the first call runs, its phases, seconds alone and repeats are there at 0."""
    with recording() as records:
        with ag.task(agent="a"), ag.llm_call(model="m") as call:
            call.usage(prompt=1, completion=1)
            with ag.tool_call("t"):
                samples = records.collected()
        for metric, labels in {
            "agent_task_path_seconds_total": 'agent="a",component="queue",name="m",slo="missed"',
            "agent_task_solo_seconds_total": 'agent="a",component="tool",name="t"',
            "agent_repeated_calls_total": 'agent="a",component="tool",name="t"',
            "agent_task_doubts_total": 'agent="a",reason="race"',
        }.items():
            assert samples[f"{metric}{{{labels}}}"] == 0.0, metric


async def test_branches_are_no_calls() -> None:
    """A tool that gathers three calls is still one call."""
    with recording() as records:
        async with ag.task(agent="a"):
            with ag.tool_call("outer"):

                async def inner() -> None:
                    with ag.tool_call("inner"):
                        await asyncio.sleep(0)

                await asyncio.gather(inner(), inner(), inner())
        samples = records.collected()
    calls = 'agent_task_path_calls_total{agent="a",component="tool",name="%s",slo="met"}'
    assert (samples[calls % "outer"], samples[calls % "inner"]) == (1.0, 3.0)
