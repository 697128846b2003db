"""Semaphores, locks and queues whose waits are spans: unrecorded waits break the upper bound of a what-if.

``limit`` gives back something that is used like what it was given; only the blocking calls are timed.
"""

from __future__ import annotations

from typing import Any

from agentgauge.record.context import CURRENT
from agentgauge.record.operation import WaitOperation


class Limited:
    """A semaphore, lock or queue of threading, queue or asyncio, with its waits recorded.

    Everything that never waits is reached through ``inner``.
    """

    __slots__ = ("_reason", "inner")

    def __init__(self, inner: Any, reason: str) -> None:
        self.inner = inner
        self._reason = reason

    def _timed(self, call: Any, *args: Any, **kwargs: Any) -> Any:
        enclosing = CURRENT.get()
        if enclosing is None:
            return call(*args, **kwargs)
        wait = WaitOperation(enclosing.recorder, enclosing, self._reason)
        try:
            answer = call(*args, **kwargs)
        except BaseException:
            wait.finish()
            raise
        if hasattr(answer, "__await__"):
            return _awaited(answer, wait)
        wait.finish()
        return answer

    def acquire(self, *args: Any, **kwargs: Any) -> Any:
        """Wait for a semaphore or lock; to be awaited when it is asyncio's."""
        return self._timed(self.inner.acquire, *args, **kwargs)

    def release(self, *args: Any) -> None:
        """Give a semaphore or lock back."""
        self.inner.release(*args)

    def get(self, *args: Any, **kwargs: Any) -> Any:
        """Wait for an item of a queue; to be awaited when it is asyncio's."""
        return self._timed(self.inner.get, *args, **kwargs)

    def put(self, *args: Any, **kwargs: Any) -> Any:
        """Wait for room in a queue; to be awaited when it is asyncio's."""
        return self._timed(self.inner.put, *args, **kwargs)

    def join(self) -> Any:
        """Wait until a queue is worked off; to be awaited when it is asyncio's."""
        return self._timed(self.inner.join)

    def __enter__(self) -> Any:
        return self._timed(self.inner.__enter__)

    def __exit__(self, *facts: Any) -> Any:
        return self.inner.__exit__(*facts)

    async def __aenter__(self) -> Any:
        return await self._timed(self.inner.__aenter__)

    async def __aexit__(self, *facts: Any) -> Any:
        return await self.inner.__aexit__(*facts)


async def _awaited(waiting: Any, wait: WaitOperation) -> Any:
    try:
        return await waiting
    finally:
        wait.finish()


def limit(inner: Any, reason: str = "") -> Limited:
    """Return a semaphore, lock or queue whose waits are recorded in the task that waits.

    Example::

        slots = ag.limit(asyncio.Semaphore(4), "llm slots")
        async with slots:
            ...

    Args:
        inner: of threading, queue or asyncio, or anything with the same methods.
        reason: what the wait is called; the kind of ``inner`` when left out.
    """
    return Limited(inner, reason or type(inner).__name__.lower())
