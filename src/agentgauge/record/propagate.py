"""Carry the current task into threads and pools, which start without it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, overload

from agentgauge.record.carried import carried

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
