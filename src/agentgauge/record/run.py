"""One run of an agent, from request to result: a task, root or sub-agent.

A root task owns a timeline (``record/live.py``); everything below it is a node of its tree. At its end the tree is
walked, outside every lock, and span and accounts reach the ledger in one critical section.
"""

from __future__ import annotations

import os
from threading import get_ident
from typing import TYPE_CHECKING

from agentgauge.model.accounts import TaskAccounts
from agentgauge.model.metrics import TASK_STATUSES
from agentgauge.model.span import Task
from agentgauge.record.amounts import whole
from agentgauge.record.branch import follow_running_loop
from agentgauge.record.lane import current_lane
from agentgauge.record.live import OVER, LiveTask
from agentgauge.record.once import EndsOnce, end_of
from agentgauge.record.outcome import ending, error_type
from agentgauge.record.path import forget, walk
from agentgauge.record.place import place_below, start_node
from agentgauge.record.timeline import MAX_NODES
from agentgauge.record.waste import Waste

if TYPE_CHECKING:
    from agentgauge.model.span import TaskStatus
    from agentgauge.record.context import Enclosing
    from agentgauge.record.node import Node
    from agentgauge.record.recorder import Recorder
    from agentgauge.record.rows import TaskRows


class TaskOperation(EndsOnce):
    """A running task; ``agent`` is whose, ``task_id`` tells it from others in spans and exemplars.

    Thread-safety: any thread may end it, calls inside it may end in any thread.
    """

    __slots__ = (
        "_epoch",
        "_rows",
        "agent",
        "agent_type",
        "counts",
        "is_root",
        "lane",
        "live",
        "node",
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
        trace_id: str = "",
        slo_s: float | None = None,
        detached: bool = False,
    ) -> None:
        self.recorder = recorder
        self._epoch = recorder.ledger.epoch
        outer = None if parent is None else parent.task
        if parent is not None and parent.live is not None and parent.live.epoch != self._epoch:
            outer = None  # a worker of the first request serves others after it; a forked one has trees of its own
        self.agent = agent
        self.agent_type = agent_type or agent
        self.is_root = outer is None
        self.task_id = os.urandom(8).hex()
        self.trace_id: str = trace_id or ("" if outer is None else outer.trace_id)
        self.counts = {"llm": 0, "tool": 0}
        self.waste = Waste()
        self.live: LiveTask | None
        self.node: Node | None
        self._rows: TaskRows | None = None
        self.start_ns = recorder.clock.monotonic_ns()
        if outer is None:
            follow_running_loop(recorder)
            self.lane = current_lane()
            self.live = LiveTask(agent, self.start_ns, self._epoch)
            self.node = self.live.timeline.root
        else:
            self.live, self.node, self.lane = place_below(recorder, parent, ("agent", agent), detached=detached)
        recorder.ledger.later(self._begin, None if slo_s is None else _limit_ns(recorder, slo_s))
        self._is_over = False
        self._open = True

    def _begin(self, limit_ns: int | None) -> None:
        """Count the task as running and open its tree, or its node in that of another; a step of the ledger."""
        recorder, live, node = self.recorder, self.live, self.node
        self._rows = rows = recorder.task_seen(self.agent, self.agent_type)
        if self.is_root and live is not None:
            live.paths = recorder.paths.of(rows.agent)
            recorder.live.open(live, rows.agent, limit_ns)
        elif live is not None and node is not None:
            start_node(recorder, live, node, self.start_ns)

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
        if not self.close_once() or self._epoch != self.recorder.ledger.epoch:
            return
        if self.is_root and self.live is not None:
            self.live.epoch = OVER
        try:
            end_ns = end_of(self.recorder, self.start_ns, t_ns)
            status = status if status in TASK_STATUSES else "failure"
            ledger = self.recorder.ledger
            if not self.is_root or self.live is None:
                self._finish_inner(status, error_type, end_ns)
                return
            if get_ident() in ledger.inside:
                ledger.later(self.recorder.live.close, self.live, end_ns)
                ledger.later(self._settle, status, error_type, True)
            else:
                ledger.in_order(self.recorder.live.close, self.live, end_ns)
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
        self.recorder.commit_task(self._span(status, error_type, end_ns), accounts, self._rows, was_started=True)

    def _settle(self, status: TaskStatus, error_type: str, inside_commit: bool = False) -> None:
        """Walk the finished tree and record the task; outside the lock, its tree is frozen."""
        assert self.live is not None, "BUG: only root tasks settle"
        timeline = self.live.timeline
        try:
            parts = walk(timeline.root, in_turn=timeline.in_turn)
        except Exception as error:  # noqa: BLE001 -- without its path the task still counts
            parts = {}
            self.recorder.guard.failed("walk", error)
        doubts = self.live.doubts.copy()
        if timeline.n_nodes >= MAX_NODES:
            doubts.add("capped")
        accounts = TaskAccounts(
            parts=parts,
            fates=self.waste.fates(success=status == "success"),
            repeated=self.waste.repeated,
            doubts=doubts,
            slo=self.live.slo,
        )
        forget(timeline.root)  # a context that outlives the task holds a node of it, and need not hold the tree
        # The timeline's instants, not the operation's: they never run back, so the path sums to them exactly.
        self.start_ns = timeline.root.start_ns
        span = self._span(status, error_type, timeline.root.end_ns or timeline.last_ns)
        if inside_commit:
            self.recorder.commit_task(span, accounts, self._rows, was_started=True)
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


def _limit_ns(recorder: Recorder, slo_s: float) -> int | None:
    """Return how long a task may take as given with it; None, refused, when that is no length of time."""
    limit_ns = whole(slo_s * 1e9) if isinstance(slo_s, (int, float)) else None
    if not limit_ns:
        recorder.guard.refused("slo", f"slo_s must be a positive number of seconds, not {slo_s!r}")
        return None
    return limit_ns
