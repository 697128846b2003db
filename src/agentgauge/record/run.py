"""One run of an agent, from request to result: a task, root or sub-agent.

A root task owns a timeline (``record/live.py``); everything below it is a node of its tree. At its end the tree is
walked, outside every lock, and span and accounts reach the ledger in one critical section.
"""

from __future__ import annotations

import os
from threading import get_ident
from typing import TYPE_CHECKING

from agentgauge.model.accounts import TaskAccounts
from agentgauge.model.metrics import OTHER, TASK_STATUSES
from agentgauge.model.span import Task
from agentgauge.record.lane import current_lane
from agentgauge.record.once import abandon, close_once, end_of
from agentgauge.record.outcome import ending, error_type
from agentgauge.record.path import calls, path_and_solo
from agentgauge.record.place import take_place
from agentgauge.record.timeline import MAX_NODES
from agentgauge.record.waste import Waste

if TYPE_CHECKING:
    from agentgauge.model.span import TaskStatus
    from agentgauge.record.context import Enclosing
    from agentgauge.record.live import LiveTask
    from agentgauge.record.node import Node
    from agentgauge.record.recorder import Recorder


class TaskOperation:
    """A running task; ``agent`` is whose, ``task_id`` tells it from others in spans and exemplars.

    Thread-safety: any thread may end it, calls inside it may end in any thread.
    """

    __slots__ = (
        "_epoch",
        "_open",
        "_rows",
        "agent",
        "agent_type",
        "counts",
        "is_root",
        "lane",
        "live",
        "node",
        "recorder",
        "start_ns",
        "task_id",
        "trace_id",
        "waste",
    )

    def __init__(
        self,
        recorder: Recorder,
        parent: Enclosing | None,
        agent: str,
        agent_type: str = "",
        *,
        trace_id: str = "",
        slo_s: float | None = None,
        detached: bool = False,
    ) -> None:
        self.recorder = recorder
        self._epoch = recorder.epoch
        outer = None if parent is None else parent.task
        self.agent = agent
        self.agent_type = agent_type or agent
        self.is_root = outer is None
        self.task_id = os.urandom(8).hex()
        self.trace_id: str = trace_id or ("" if outer is None else outer.trace_id)
        self.counts = {"llm": 0, "tool": 0}
        self.waste = Waste()
        self.live: LiveTask | None
        self.node: Node | None
        self._rows = recorder.task_started(agent, self.agent_type)
        self.start_ns = recorder.clock.monotonic_ns()
        if outer is None:
            self.lane = current_lane()
            self.live = recorder.live.open(self._rows.agent if self._rows else OTHER, self.start_ns, slo_s)
            self.node = self.live.timeline.root
        else:
            key = ("agent", agent)
            self.live, self.node, self.lane = take_place(recorder, parent, key, self.start_ns, detached=detached)
        self._open = True

    @property
    def task(self) -> TaskOperation:
        """The task it belongs to: itself."""
        return self

    def arguments(self, *values: object, **named: object) -> None:
        """Take what a decorated function was called with; tasks are not compared."""

    def result(self, value: object) -> None:
        """Take what a decorated function returned; tasks are not compared."""

    def finish(self, status: TaskStatus = "success", error_type: str = "", t_ns: int | None = None) -> None:
        """End the task; only the first end counts. ``t_ns`` is when, on the monotonic clock; now when None."""
        if not close_once(self) or self._epoch != self.recorder.epoch:
            return
        try:
            end_ns = end_of(self.recorder, self.start_ns, t_ns)
            status = status if status in TASK_STATUSES else "failure"
            ledger = self.recorder.ledger
            if not self.is_root or self.live is None:
                self._finish_inner(status, error_type, end_ns)
                return
            ledger.later(self.recorder.live.close, self.live, end_ns)
            if get_ident() in ledger.inside:
                ledger.later(self._settle, status, error_type, True)
            else:
                ledger.catch_up()
                self._settle(status, error_type)
        except Exception as error:  # noqa: BLE001 -- the host never pays for our mistakes
            self.recorder.guard.failed("task", error)

    def _finish_inner(self, status: TaskStatus, error_type: str, end_ns: int) -> None:
        if self.live is not None and self.node is not None:
            self.recorder.live.end(self.live, self.node, end_ns)
        self.recorder.ledger.later(self._commit_inner, status, error_type, end_ns)

    def _commit_inner(self, status: TaskStatus, error_type: str, end_ns: int) -> None:
        """Count a sub-agent's run; a step, after the steps of all that ran in it."""
        accounts = TaskAccounts(fates=self.waste.fates(success=status == "success"), repeated=self.waste.repeated)
        self.recorder.commit_task(self._span(status, error_type, end_ns), accounts, self._rows)

    def _settle(self, status: TaskStatus, error_type: str, inside_commit: bool = False) -> None:
        """Walk the finished tree and record the task; outside the lock, its tree is frozen."""
        assert self.live is not None, "BUG: only root tasks settle"
        timeline = self.live.timeline
        n_calls = calls(timeline.root)
        path_ns, solo_ns = path_and_solo(timeline.root)
        accounts = TaskAccounts(
            path_ns=path_ns,
            path_calls=n_calls,
            solo_ns=solo_ns,
            fates=self.waste.fates(success=status == "success"),
            repeated=self.waste.repeated,
            doubts=(*self.live.doubts, "capped") if timeline.n_nodes >= MAX_NODES else self.live.doubts,
            slo=self.live.slo or "met",
        )
        # The timeline's instants, not the operation's: they never run back, so the path sums to them exactly.
        self.start_ns = timeline.root.start_ns
        span = self._span(status, error_type, timeline.root.end_ns or timeline.last_ns)
        if inside_commit:
            self.recorder.commit_task(span, accounts, self._rows)
        else:
            self.recorder.record_task(span, accounts, self._rows)

    def _span(self, status: TaskStatus, error_type: str, end_ns: int) -> Task:
        return Task(
            self.agent,
            self.agent_type,
            status,
            self.start_ns,
            end_ns,
            self.is_root,
            self.counts["llm"],
            self.counts["tool"],
            error_type,
            self.task_id,
            self.trace_id,
        )

    def fail(self, error: BaseException) -> None:
        """End the task the way an exception ends it."""
        how = ending(error)
        self.finish("failure" if how == "failed" else how, error_type(error))

    def __del__(self) -> None:
        abandon(self)
