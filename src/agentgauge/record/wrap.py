"""Functions of all four kinds, measured: plain ones, coroutines, generators and async generators.

A generator is measured from its first step, not from its making: one that never starts was no work. It is current
only while it runs a step, so that its consumer never sees it (see ``record/context.py``); closed early, by ``break``,
an exception of the consumer or the garbage collector, it ends as cancelled.
"""

from __future__ import annotations

import functools
from collections.abc import AsyncGenerator, Callable, Generator
from typing import Any, Protocol, TypeVar, cast

from agentgauge.record.context import CURRENT, Enclosing, put_back
from agentgauge.record.overhead import timed

F = TypeVar("F", bound=Callable[..., Any])


class Endable(Enclosing, Protocol):
    """An operation, as far as blocks and wrappers know it."""

    def arguments(self, *values: object, **named: object) -> None:
        """Take what a decorated function was called with."""

    def result(self, value: object) -> None:
        """Take what a decorated function returned."""

    def finish(self) -> None:
        """End it as a success."""

    def fail(self, error: BaseException) -> None:
        """End it the way an exception ends it."""


Begin = Callable[[str], Endable]
"""Starts an operation; the argument is the name to use where the user gave none."""


def wrapped(function: F, begin: Begin) -> F:
    """Return a function of the same kind and signature that measures each run."""
    import inspect  # only programs that decorate need it; it is not cheap to import

    if inspect.isasyncgenfunction(function):
        make = _async_generator
    elif inspect.isgeneratorfunction(function):
        make = _generator
    elif inspect.iscoroutinefunction(function):
        make = _coroutine
    else:
        make = _function
    name = getattr(function, "__name__", type(function).__name__)
    return cast("F", functools.wraps(function)(make(function, functools.partial(begin, name))))


def _function(function: Callable[..., Any], begin: Callable[[], Endable]) -> Callable[..., Any]:
    def run(*args: Any, **kwargs: Any) -> Any:
        operation = begin()
        operation.arguments(*args, **kwargs)
        token = CURRENT.set(operation)
        try:
            result = function(*args, **kwargs)
        except BaseException as error:
            timed(operation.recorder, operation.fail, error)
            raise
        else:
            timed(operation.recorder, operation.result, result)
            timed(operation.recorder, operation.finish)
            return result
        finally:
            put_back(token)

    return run


def _coroutine(function: Callable[..., Any], begin: Callable[[], Endable]) -> Callable[..., Any]:
    async def run(*args: Any, **kwargs: Any) -> Any:
        operation = begin()
        operation.arguments(*args, **kwargs)
        token = CURRENT.set(operation)
        try:
            result = await function(*args, **kwargs)
        except BaseException as error:
            timed(operation.recorder, operation.fail, error)
            raise
        else:
            timed(operation.recorder, operation.result, result)
            timed(operation.recorder, operation.finish)
            return result
        finally:
            put_back(token)

    return run


def _generator(function: Callable[..., Any], begin: Callable[[], Endable]) -> Callable[..., Any]:
    def run(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        operation = begin()
        try:
            result = yield from _steps(function(*args, **kwargs), operation)
        except BaseException as error:
            timed(operation.recorder, operation.fail, error)
            raise
        timed(operation.recorder, operation.finish)
        return result

    return run


def _steps(generator: Generator[Any, Any, Any], operation: Endable) -> Generator[Any, Any, Any]:
    """Run a generator like ``yield from``, with ``operation`` current during each step and not between them."""
    step: Callable[[Any], Any] = generator.send
    value: Any = None
    while True:
        token = CURRENT.set(operation)
        try:
            item = step(value)
        except StopIteration as stop:
            return stop.value
        finally:
            put_back(token)
        try:
            value = yield item
        except GeneratorExit:
            generator.close()
            raise
        except BaseException as error:  # noqa: BLE001 -- whatever the consumer throws in is the generator's to see
            step, value = generator.throw, error
        else:
            step = generator.send


def _async_generator(function: Callable[..., Any], begin: Callable[[], Endable]) -> Callable[..., Any]:
    async def run(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        operation = begin()
        generator: AsyncGenerator[Any, Any] = function(*args, **kwargs)
        step: Callable[[Any], Any] = generator.asend
        value: Any = None
        try:
            while True:
                token = CURRENT.set(operation)
                try:
                    item = await step(value)
                except StopAsyncIteration:
                    break
                finally:
                    put_back(token)
                try:
                    value = yield item
                except GeneratorExit:
                    await generator.aclose()
                    raise
                except BaseException as error:  # noqa: BLE001 -- whatever is thrown in is the generator's to see
                    step, value = generator.athrow, error
                else:
                    step = generator.asend
        except BaseException as error:
            timed(operation.recorder, operation.fail, error)
            raise
        timed(operation.recorder, operation.finish)

    return run
