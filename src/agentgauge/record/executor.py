"""A pool whose jobs run in the task that submitted them."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import ParamSpec, TypeVar

from agentgauge.record.carried import carried

P = ParamSpec("P")
R = TypeVar("R")


class CarryingExecutor(Executor):
    """Another executor's ``submit``, ``map`` and ``shutdown``, each job carried into the submitter's task.

    Not for pools of processes: a task stays in its process.
    """

    def __init__(self, executor: Executor) -> None:
        self._executor = executor

    def submit(self, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Future[R]:
        """Submit a job of the current task."""
        return self._executor.submit(carried(fn), *args, **kwargs)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Shut the other executor down."""
        self._executor.shutdown(wait, cancel_futures=cancel_futures)
