"""A function that runs in another thread, in the task that sent it there: a branch of it, from call to return."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from agentgauge.record.context import CURRENT, Enclosing, put_back
from agentgauge.record.lane import current_lane
from agentgauge.record.node import BranchNode


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


class Branch:
    """A function's run in another thread, inside the task that sent it there."""

    __slots__ = ("lane", "live", "node", "recorder", "task")

    def __init__(self, parent: Enclosing) -> None:
        self.recorder = recorder = parent.recorder
        self.task = parent.task
        self.live = parent.live
        self.lane = current_lane()
        self.node = None if parent.node is None else BranchNode(parent.node.key, parent.node)
        if self.live is not None and self.node is not None:
            recorder.live.start(self.live, self.node, recorder.clock.monotonic_ns())

    def finish(self) -> None:
        """End the branch."""
        if self.live is not None and self.node is not None:
            self.recorder.live.end(self.live, self.node, self.recorder.clock.monotonic_ns())
