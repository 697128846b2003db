"""A function that runs in another thread, in the task that sent it there: a branch of it, from call to return."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from agentgauge.record.branch import Branch
from agentgauge.record.context import CURRENT, put_back
from agentgauge.record.lane import current_lane


def carried(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function, running in the task that is current now, as a branch of it."""
    enclosing = CURRENT.get()
    if enclosing is None:
        return function

    @functools.wraps(function)
    def run(*args: Any, **kwargs: Any) -> Any:
        branch = Branch(enclosing, current_lane())
        token = CURRENT.set(branch)
        try:
            return function(*args, **kwargs)
        finally:
            put_back(token)
            branch.finish()

    return run
