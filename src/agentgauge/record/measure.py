"""What ``task``, ``llm_call`` and ``tool_call`` return: one thing that is a block, a decorator and a start button."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from agentgauge.record.context import CURRENT, Enclosing, put_back
from agentgauge.record.overhead import timed
from agentgauge.record.wrap import Endable, wrapped

if TYPE_CHECKING:
    from contextvars import Token
    from types import TracebackType

F = TypeVar("F", bound=Callable[..., Any])


Op = TypeVar("Op", bound=Endable)


class Measured(Generic[Op]):
    """Work of one kind and name, measured each time it runs.

    ``with`` and ``async with`` give the running operation; as a decorator it measures functions, coroutine functions,
    generators and async generators; ``start()`` leaves the ending to the caller. Blocks of one object may nest; blocks
    of one object that overlap in other ways (two threads, two asyncio tasks) need an object each.
    """

    __slots__ = ("_begin", "_entered")

    def __init__(self, begin: Callable[[str], Op]) -> None:
        self._begin = begin
        self._entered: list[tuple[Op, Token[Enclosing | None]]] = []

    def start(self) -> Op:
        """Start now and return the operation, for ``finish()`` or ``fail(error)``; it encloses nothing by itself."""
        return self._begin("")

    def __enter__(self) -> Op:
        operation = self._begin("")
        self._entered.append((operation, CURRENT.set(operation)))
        return operation

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        operation, token = self._entered.pop()
        put_back(token)
        if error is None:
            timed(operation.recorder, operation.finish)
        else:
            timed(operation.recorder, operation.fail, error)

    async def __aenter__(self) -> Op:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, trace)

    def __call__(self, function: F) -> F:
        """Return the function, measured under its own name where no other was given; its signature stays."""
        return wrapped(function, self._begin)
