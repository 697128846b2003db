"""What ``task``, ``llm_call`` and ``tool_call`` return: one thing that is a block, a decorator and a start button."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypeVar

from agentgauge.record.context import CURRENT, Enclosing, put_back
from agentgauge.record.default import default_recorder
from agentgauge.record.overhead import started, timed
from agentgauge.record.wrap import Endable, wrapped

if TYPE_CHECKING:
    from contextvars import Token
    from types import TracebackType

F = TypeVar("F", bound=Callable[..., Any])
Op = TypeVar("Op", bound=Endable)

Entered: TypeAlias = "tuple[Op, Token[Enclosing | None], Entered[Op] | None]"
"""(operation, how to leave it, the block of the same object that it nests in)."""


class Measured(Generic[Op]):
    """Work of one kind and name, measured each time it runs.

    ``with`` and ``async with`` give the running operation; as a decorator it measures functions, coroutine functions,
    generators and async generators; ``start()`` leaves the ending to the caller. Blocks of one object may nest; blocks
    of one object that overlap in other ways (two threads, two asyncio tasks) need an object each.
    """

    __slots__ = ("_entered", "_facts", "_kind", "_name", "_unnamed")

    def __init__(self, kind: Callable[..., Op], name: str, unnamed: str, *facts: object) -> None:
        """Measure a kind of operation by name, ``unnamed`` where nothing has one; ``facts`` are its other arguments."""
        self._kind = kind
        self._name = name
        self._unnamed = unnamed
        self._facts = facts
        self._entered: Entered[Op] | None = None

    def _begin(self, function_name: str) -> Op:
        name = self._name or function_name or self._unnamed
        return started(self._kind, default_recorder(), CURRENT.get(), name, *self._facts)

    def start(self) -> Op:
        """Start now and return the operation, for ``finish()`` or ``fail(error)``; it encloses nothing by itself."""
        return self._begin("")

    def __enter__(self) -> Op:
        operation = self._begin("")
        self._entered = (operation, CURRENT.set(operation), self._entered)
        return operation

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._entered is not None, "BUG: left before it was entered"
        operation, token, self._entered = self._entered
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
