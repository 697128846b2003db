"""Carry the current task into threads and pools, which start without it."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from agentgauge.record.context import CURRENT, put_back

P = ParamSpec("P")
R = TypeVar("R")


def propagate(function: Callable[P, R]) -> Callable[P, R]:
    """Return the function, running in the task that is current now, wherever it is called.

    Only agentgauge's own context travels; other context variables are the thread's.

    Example::

        with ThreadPoolExecutor() as pool:
            jobs = [pool.submit(ag.propagate(search), query) for query in queries]
    """
    enclosing = CURRENT.get()

    @functools.wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        token = CURRENT.set(enclosing)
        try:
            return function(*args, **kwargs)
        finally:
            put_back(token)

    return run
