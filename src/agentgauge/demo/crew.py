"""The crew at work: each member takes one question after another, in a thread or event loop, until told to stop."""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections.abc import Sequence
from contextlib import suppress

from agentgauge.demo.agents import Member
from agentgauge.demo.loop import Desk, noted, run_async, run_sync
from agentgauge.record.api import task


class Crew:
    """Members and their desk; ``work`` blocks until stopped or until so many tasks were started.

    Thread-safety: one ``work`` at a time; ``stop`` may be set from anywhere.
    """

    def __init__(self, members: Sequence[Member], desk: Desk, pause_s: float = 0.3) -> None:
        self._members = members
        self._desk = desk
        self._pause_s = pause_s
        self.stop = threading.Event()

    def work(self, n_tasks: int | None = None) -> None:
        """Let every member work on its share of ``n_tasks`` (for ever when None) and return when all are done."""
        n_each = None if n_tasks is None else -(-n_tasks // len(self._members))
        threads = [
            threading.Thread(target=self._work_in_thread, args=(member, n_each), name=member.persona.name, daemon=True)
            for member in self._members
            if member.style == "thread"
        ]
        threads.append(threading.Thread(target=self._work_in_loop, args=(n_each,), name="asyncio", daemon=True))
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _questions(self, member: Member, n_each: int | None) -> itertools.islice[str]:
        return itertools.islice(itertools.cycle(member.questions), n_each)

    def _work_in_thread(self, member: Member, n_each: int | None) -> None:
        name = member.persona.name
        for question in self._questions(member, n_each):
            with suppress(Exception), noted(self._desk.diary, "task", name, ""), task(agent=name):
                run_sync(member.persona, self._desk, question)
            if self.stop.wait(self._pause_s):
                return

    def _work_in_loop(self, n_each: int | None) -> None:
        async def everyone() -> None:
            members = [member for member in self._members if member.style == "asyncio"]
            try:
                await asyncio.gather(*(self._work_async(member, n_each) for member in members))
            finally:
                await self._desk.async_client.close()  # type: ignore[no-untyped-call]  # ollama does not type it

        asyncio.run(everyone())

    async def _work_async(self, member: Member, n_each: int | None) -> None:
        chance = self._desk.mischief.chance
        for question in self._questions(member, n_each):
            job = asyncio.create_task(self._one_async(member, question))
            if chance.random() < self._desk.mischief.cancel:
                asyncio.get_running_loop().call_later(chance.uniform(0.0, 0.5), job.cancel)
            await asyncio.wait([job])
            if not job.cancelled():
                job.exception()  # looked at: a task that failed is in the diary, not in the log of the event loop
            await asyncio.sleep(self._pause_s)
            if self.stop.is_set():
                return

    async def _one_async(self, member: Member, question: str) -> None:
        name = member.persona.name
        with noted(self._desk.diary, "task", name, ""):
            async with task(agent=name):
                await run_async(member.persona, self._desk, question)
