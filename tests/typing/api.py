"""The public API as a user writes it, for ``mypy --strict``; never run."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor

import agentgauge as ag


@ag.task
def bare(question: str, *, limit: int = 3) -> str:
    return question * limit


@ag.task(agent="researcher", agent_type="research", slo_s=30)
async def research(question: str) -> str:
    return await asyncio.to_thread(bare, question, limit=2)


@ag.tool_call
def search(query: str) -> list[str]:
    return [query]


@ag.tool_call("numbers")
def numbers() -> Iterator[int]:
    yield 1


@ag.llm_call(model="m")
async def stream() -> AsyncIterator[str]:
    yield "token"


def use() -> None:
    text: str = bare("q", limit=1)
    found: list[str] = search(text)
    total: int = sum(numbers())
    with ag.task(agent="a") as task:
        name: str = task.agent
        running: ag.TaskOperation | None = ag.current_task()
        with ag.llm_call(model="m") as call:
            call.first_token()
            call.usage(prompt=3, completion=4)
        with ag.tool_call("t"), ag.wait("approval"):
            pass
    operation: ag.ToolOperation = ag.tool_call("t").start()
    operation.finish()
    carried: list[str] = ag.propagate(search)("q")
    pool: Executor = ag.propagate(ThreadPoolExecutor())
    print(found, total, name, running, carried, pool)


async def use_async() -> None:
    answer: str = await research("q")
    async for token in stream():
        print(token, answer)
    async with ag.task(agent="a"), ag.limit(asyncio.Semaphore(2), "slots"):
        pass
