"""Promises of the recording API: blocks, decorators and explicit operations, for all four kinds of functions."""

from __future__ import annotations

import asyncio
import gc
import inspect
import threading
from collections.abc import AsyncGenerator, Generator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

import agentgauge as ag
from agentgauge.testing import FakeClock, Recording, recording


@pytest.fixture
def records() -> Generator[Recording]:
    with recording() as fresh:
        yield fresh


def value(records: Recording, name: str, **labels: str) -> float:
    """Return a sample's value, 0 when it is not there."""
    text = ",".join(f'{key}="{labels[key]}"' for key in sorted(labels))
    return records.collected().get(f"{name}{{{text}}}", 0.0)


def tasks(records: Recording, agent: str) -> dict[str, int]:
    """Return how an agent's tasks ended, by status, without the zeros."""
    found = {
        status: int(value(records, "agent_tasks_total", agent=agent, status=status))
        for status in ("success", "failure", "timeout", "cancelled")
    }
    return {status: n for status, n in found.items() if n}


def tools(records: Recording, agent: str, tool_name: str) -> dict[str, int]:
    """Return how an agent's calls of a tool ended, by status, without the zeros."""
    found = {
        status: int(value(records, "agent_tool_calls_total", agent=agent, tool_name=tool_name, status=status))
        for status in ("success", "error", "timeout", "cancelled")
    }
    return {status: n for status, n in found.items() if n}


def active(records: Recording, agent: str) -> float:
    return value(records, "agent_active_count", agent_type=agent)


def test_block_measures(records: Recording) -> None:
    """A block counts its task, its tool call and its LLM call, once each."""
    with ag.task(agent="a", agent_type="kind"):
        assert active(records, "kind") == 1
        with ag.tool_call("t"), ag.llm_call(model="m") as call:
            call.usage(prompt=3, completion=4)
    assert tasks(records, "a") == {"success": 1}
    assert tools(records, "a", "t") == {"success": 1}
    assert value(records, "agent_llm_calls_total", agent="a", model="m", status="success") == 1
    assert value(records, "agent_token_usage_total", agent="a", model="m", token_type="prompt") == 3
    assert active(records, "kind") == 0


async def test_async_block_measures(records: Recording) -> None:
    """``async with`` works like ``with``."""
    async with ag.task(agent="a"), ag.tool_call("t"):
        await asyncio.sleep(0)
    assert tasks(records, "a") == {"success": 1}
    assert tools(records, "a", "t") == {"success": 1}


@pytest.mark.parametrize(
    ("error", "task_status", "tool_status"),
    [
        (ValueError("no"), "failure", "error"),
        (TimeoutError(), "timeout", "timeout"),
        (asyncio.CancelledError(), "cancelled", "cancelled"),
        (KeyboardInterrupt(), "cancelled", "cancelled"),
    ],
)
def test_exceptions_pass_untouched(
    records: Recording, error: BaseException, task_status: str, tool_status: str
) -> None:
    """An exception ends the work its way and reaches the host as the same object."""

    @ag.task(agent="a")
    def work() -> None:
        with ag.tool_call("t"):
            raise error

    with pytest.raises(type(error)) as caught:
        work()
    assert caught.value is error
    assert tasks(records, "a") == {task_status: 1}
    assert tools(records, "a", "t") == {tool_status: 1}
    assert active(records, "a") == 0


def test_bare_decorators_use_the_function_name(records: Recording) -> None:
    """Without arguments a decorator names the work after its function."""

    @ag.tool_call
    def search(query: str, *, limit: int = 3) -> str:
        """Search."""
        return query * limit

    @ag.task
    def researcher(question: str) -> str:
        return search(question, limit=2)

    assert researcher("q") == "qq"
    assert tasks(records, "researcher") == {"success": 1}
    assert tools(records, "researcher", "search") == {"success": 1}
    assert search.__doc__ == "Search."
    assert str(inspect.signature(search)) == "(query: 'str', *, limit: 'int' = 3) -> 'str'"


async def test_decorated_functions_keep_their_kind(records: Recording) -> None:
    """Coroutines stay coroutines, generators generators, async generators async generators."""

    @ag.task
    async def coroutine() -> int:
        return 1

    @ag.task
    def generator() -> Generator[int, str, str]:
        return (yield 1)

    @ag.task
    async def async_generator() -> AsyncGenerator[int, str]:
        yield 1
        yield 2

    assert inspect.iscoroutinefunction(coroutine)
    assert inspect.isgeneratorfunction(generator)
    assert inspect.isasyncgenfunction(async_generator)
    assert await coroutine() == 1
    running = generator()
    assert next(running) == 1
    with pytest.raises(StopIteration) as stopped:
        running.send("sent")
    assert stopped.value.value == "sent"
    assert [item async for item in async_generator()] == [1, 2]
    for name in ("coroutine", "generator", "async_generator"):
        assert tasks(records, name) == {"success": 1}
        assert active(records, name) == 0


def test_generator_is_current_only_during_its_steps(records: Recording) -> None:
    """The consumer of a measured generator never runs in its task."""

    @ag.task
    def inner() -> Generator[str, None, None]:
        for _ in range(2):
            running = ag.current_task()
            assert running is not None
            yield running.agent

    with ag.task(agent="outer") as outer:
        for agent in inner():
            assert agent == "inner"
            assert ag.current_task() is outer
    assert ag.current_task() is None


async def test_async_generator_is_current_only_during_its_steps(records: Recording) -> None:
    """The consumer of a measured async generator never runs in its task."""

    @ag.task
    async def inner() -> AsyncGenerator[str, None]:
        for _ in range(2):
            await asyncio.sleep(0)
            running = ag.current_task()
            assert running is not None
            yield running.agent

    async with ag.task(agent="outer") as outer:
        async for agent in inner():
            assert agent == "inner"
            assert ag.current_task() is outer


@ag.task(agent="stream")
def stream() -> Generator[int, None, None]:
    yield from range(3)


@ag.task(agent="stream")
async def async_stream() -> AsyncGenerator[int, None]:
    for i in range(3):
        yield i


def test_generator_never_started_is_no_work(records: Recording) -> None:
    """Making a generator counts nothing; neither does throwing it away."""
    stream()
    gc.collect()
    assert tasks(records, "stream") == {}
    assert active(records, "stream") == 0


def test_generator_broken_off_is_cancelled_once(records: Recording) -> None:
    """A consumer that stops early, or fails, ends the task as cancelled, once."""
    for _ in stream():
        break
    running = stream()
    next(running)
    running.close()
    running.close()
    gc.collect()
    assert tasks(records, "stream") == {"cancelled": 2}
    assert active(records, "stream") == 0


def test_generator_lost_in_a_cycle_is_cancelled_once(records: Recording) -> None:
    """The garbage collector ends what nobody closed."""
    running = stream()
    next(running)
    cycle: list[object] = [running]
    cycle.append(cycle)
    del running, cycle
    gc.collect()
    assert tasks(records, "stream") == {"cancelled": 1}
    assert active(records, "stream") == 0


def test_generator_sees_what_is_thrown_in(records: Recording) -> None:
    """``throw`` reaches the measured generator, which may go on."""

    @ag.task(agent="patient")
    def patient() -> Generator[str, None, None]:
        try:
            yield "first"
        except ValueError:
            yield "recovered"

    running = patient()
    next(running)
    assert running.throw(ValueError()) == "recovered"
    assert list(running) == []
    assert tasks(records, "patient") == {"success": 1}


async def test_async_generator_broken_off_is_cancelled_once(records: Recording) -> None:
    """Closing, breaking off and cancelling an async generator count once each and leave no log behind."""
    running = async_stream()
    await anext(running)
    await running.aclose()
    async for _ in async_stream():
        break
    gc.collect()
    await asyncio.sleep(0)
    await asyncio.sleep(0)

    async def consume() -> None:
        async for _ in async_stream():
            await asyncio.Event().wait()

    job = asyncio.create_task(consume())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    job.cancel()
    with pytest.raises(asyncio.CancelledError):
        await job
    del job
    gc.collect()
    for _ in range(3):
        await asyncio.sleep(0)
    assert tasks(records, "stream") == {"cancelled": 3}
    assert active(records, "stream") == 0


async def test_async_generator_closed_by_another_task(records: Recording) -> None:
    """A generator that another asyncio task closes ends quietly."""
    running = async_stream()
    await anext(running)
    await asyncio.create_task(running.aclose())
    assert tasks(records, "stream") == {"cancelled": 1}


@pytest.mark.parametrize(("said", "counted"), [(2, 2), (3.0, 3), (0, 0), (-1, 0), (None, 0), ("x", 0)])
def test_tools_asked_for_are_counted_by_hand(said: Any, counted: int) -> None:
    """What a client says of its model's answer counts; what is no number is refused alone, and the call is kept."""
    with recording(strict=False) as records:
        with ag.task(agent="a"), ag.llm_call(model="m") as call:
            call.asks_for_tools(said)
        assert value(records, "agent_llm_tool_calls_requested_total", agent="a", model="m") == counted
        assert value(records, "agent_llm_calls_total", agent="a", model="m", status="success") == 1


def test_explicit_operation_ends_once(records: Recording) -> None:
    """The first end of an operation counts; later ones change nothing."""
    with ag.task(agent="a"):
        call = ag.tool_call("t").start()
        call.finish()
        call.fail(ValueError())
        call.finish("timeout")
    assert tools(records, "a", "t") == {"success": 1}


def test_explicit_operation_ends_once_beside_threads(records: Recording) -> None:
    """Of many threads that end one operation, one counts."""
    call = ag.tool_call("t").start()
    barrier = threading.Barrier(8)

    def end() -> None:
        barrier.wait()
        call.finish()

    threads = [threading.Thread(target=end) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert tools(records, "unknown", "t") == {"success": 1}


def test_dropped_operations_end_as_cancelled(records: Recording) -> None:
    """An operation that is lost ends when it is collected, and the gauge falls back."""
    ag.task(agent="a").start()
    ag.tool_call("t").start()
    gc.collect()
    at_once = records.collected()
    assert at_once['agent_active_count{agent_type="a"}'] == 0
    assert tasks(records, "a") == {"cancelled": 1}
    assert tools(records, "unknown", "t") == {"cancelled": 1}
    assert active(records, "a") == 0


def test_calls_outside_any_task_are_kept(records: Recording) -> None:
    """What runs outside any task counts under ``unknown``."""
    with ag.tool_call("t"), ag.llm_call(model="m"):
        pass
    assert tools(records, "unknown", "t") == {"success": 1}
    assert value(records, "agent_llm_calls_total", agent="unknown", model="m", status="success") == 1


def test_nested_tasks_are_sub_agents(records: Recording) -> None:
    """A task inside a task counts under its own name and is no root."""
    with (
        ag.task(agent="outer") as outer,
        ag.tool_call("delegate"),
        ag.task(agent="inner") as inner,
        ag.tool_call("t"),
    ):
        pass
    assert (outer.is_root, inner.is_root) == (True, False)
    assert tools(records, "inner", "t") == {"success": 1}
    assert tools(records, "outer", "delegate") == {"success": 1}
    assert tasks(records, "inner") == {"success": 1}


async def test_the_task_travels_through_asyncio(records: Recording) -> None:
    """``gather``, ``create_task`` and ``to_thread`` keep the current task; siblings do not see each other's."""

    async def one(agent: str) -> None:
        async with ag.task(agent=agent):
            await asyncio.gather(*(asyncio.to_thread(use) for _ in range(3)))

    def use() -> None:
        with ag.tool_call("t"):
            pass

    await asyncio.gather(one("a"), one("b"))
    assert tools(records, "a", "t") == {"success": 3}
    assert tools(records, "b", "t") == {"success": 3}


def test_the_task_travels_into_threads(records: Recording) -> None:
    """``propagate`` carries the task; a bare thread starts without it."""

    @ag.tool_call
    def t() -> None:
        pass

    with ag.task(agent="a"):
        thread = threading.Thread(target=ag.propagate(t))
        thread.start()
        thread.join()
        bare = threading.Thread(target=t)
        bare.start()
        bare.join()
        with ThreadPoolExecutor(2) as pool:
            pool.submit(ag.propagate(t)).result()
    assert tools(records, "a", "t") == {"success": 2}
    assert tools(records, "unknown", "t") == {"success": 1}


def test_times_come_from_the_clock() -> None:
    """Durations are the clock's; a clock that runs back gives zero, never less."""
    clock = FakeClock()
    with recording(clock) as records:
        with ag.task(agent="a"):
            clock.advance(1.5)
        with ag.task(agent="b"):
            clock.advance(-3)
    assert value(records, "agent_task_duration_seconds_sum", agent="a") == 1.5
    assert value(records, "agent_task_duration_seconds_sum", agent="b") == 0
    assert value(records, "agent_task_duration_seconds_count", agent="b") == 1


def test_first_token_counts_once() -> None:
    """Time to first token is that of the first report."""
    clock = FakeClock()
    with recording(clock) as records, ag.llm_call(model="m") as call:
        clock.advance(0.25)
        call.first_token()
        clock.advance(1)
        call.first_token()
        call.usage(completion=11)
    assert value(records, "agent_llm_time_to_first_token_seconds_sum", agent="unknown", model="m") == 0.25
    assert value(records, "agent_llm_time_per_output_token_seconds_sum", agent="unknown", model="m") == 0.1


@pytest.mark.parametrize("name", [None, "", 3, b"x", "x" * 10_000, ["a"], "\ud800"])
def test_strange_names_never_raise(name: object) -> None:
    """Whatever stands where a name should, the host goes on."""
    with recording(strict=False) as records:
        with ag.task(agent=name), ag.tool_call(name), ag.llm_call(model=name):  # type: ignore[call-overload]
            pass
        assert records.collected()
