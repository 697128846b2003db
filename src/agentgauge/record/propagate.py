"""Carry the current task into threads and pools, which start without it."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, overload

from agentgauge.record.branch import Branch
from agentgauge.record.context import CURRENT, put_back

if TYPE_CHECKING:
    from concurrent.futures import Executor

P = ParamSpec("P")
R = TypeVar("R")


@overload
def propagate(work: Executor, /) -> Executor: ...
@overload
def propagate(work: Callable[P, R], /) -> Callable[P, R]: ...
def propagate(work: Any, /) -> Any:
    """Return the function, running in the task that is current now, wherever it is called; or such an executor.

    An executor given here carries the task that is current at each ``submit``. Only agentgauge's own context travels;
    other context variables are the thread's.

    Example::

        with ag.propagate(ThreadPoolExecutor()) as pool:
            answers = list(pool.map(search, queries))

        threading.Thread(target=ag.propagate(search), args=("query",)).start()
    """
    if hasattr(work, "submit"):
        from agentgauge.record.executor import CarryingExecutor  # only programs with pools need it

        return CarryingExecutor(work)
    return carried(work)


def carried(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function, running in the task that is current now, as a branch of it."""
    enclosing = CURRENT.get()
    if enclosing is None:
        return function

    @functools.wraps(function)
    def run(*args: Any, **kwargs: Any) -> Any:
        branch = Branch(enclosing)
        token = CURRENT.set(branch)
        try:
            return function(*args, **kwargs)
        finally:
            put_back(token)
            branch.finish()

    return run
