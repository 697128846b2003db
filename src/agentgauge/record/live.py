"""The tasks running now: their registry, and what a scrape shows of work in flight.

Every event of an operation reaches its task's ``Timeline`` as a step of the ledger's batch (see ``record/ledger.py``):
in order, with the time it happened, under the ledger's lock, and before any scrape looks. Steps may use everything
here; nobody else reads the timelines.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from agentgauge.model.metrics import OTHER
from agentgauge.record.concurrency import Concurrency
from agentgauge.record.node import STATE_LABELS, STATES
from agentgauge.record.objectives import Objectives
from agentgauge.record.timeline import Timeline

if TYPE_CHECKING:
    from agentgauge.record.ledger import Ledger, LiveRow
    from agentgauge.record.node import Node
    from agentgauge.record.objectives import SloSide

LLM_AND_TOOL = 1 << STATES.index("llm") | 1 << STATES.index("tool")
AT_FIRST = (*(1 << i for i in range(len(STATES))), LLM_AND_TOOL)
"""States that exist at 0 as soon as an agent is seen, so that their first seconds show in ``rate()``."""


class LiveTask:
    """A root task while it runs: its timeline, its target and the branches open in it.

    ``branches``: id of a node -> lane -> (asyncio task, branch node). ``doubts``: why what-if intervals do not hold
    for it.
    """

    __slots__ = ("agent", "branches", "doubts", "limit_ns", "slo", "timeline")

    def __init__(self, agent: str, timeline: Timeline, limit_ns: int | None) -> None:
        self.agent = agent
        self.timeline = timeline
        self.limit_ns = limit_ns
        self.branches: dict[int, dict[int, tuple[Any, Node]]] = {}
        self.slo: SloSide | None = None
        self.doubts: set[str] = set()


class LiveTasks:
    """All running root tasks of a process, and the seconds of their states by agent.

    Thread-safety: ``open``, ``start`` and ``end`` from any thread, finaliser or signal handler; the others are steps.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self.objectives = Objectives()
        self._start_empty()
        ledger.live.append(self._rows)
        ledger.when_forked.append(self._start_empty)

    def _start_empty(self) -> None:
        self._open: set[LiveTask] = set()
        self._seconds: dict[str, dict[int, int]] = {}
        self.concurrency = Concurrency()

    def open(self, agent: str, t_ns: int, limit_s: float | None) -> LiveTask:
        """Return a root task, running from now on."""
        seconds = self._seconds.get(agent)
        if seconds is None:
            seconds = self._seconds.setdefault(agent, dict.fromkeys(AT_FIRST, 0))
        limit_ns = self.objectives.limit_ns(agent) if limit_s is None else round(limit_s * 1e9)
        task = LiveTask(agent, Timeline(seconds, t_ns), limit_ns)
        self._ledger.later(self._open.add, task)
        return task

    def start(self, task: LiveTask, node: Node, t_ns: int) -> None:
        """Start a node of a task."""
        self._ledger.later(task.timeline.start, node, t_ns)

    def end(self, task: LiveTask, node: Node, t_ns: int) -> None:
        """End a node of a task."""
        self._ledger.later(self.ended, task, node, t_ns)

    def ended(self, task: LiveTask, node: Node, t_ns: int) -> None:
        """End a node, as a step."""
        detached_ns = task.timeline.end(node, t_ns)
        if detached_ns:
            self._ledger.values_add("agent_detached_seconds_total", (task.agent,), detached_ns)

    def close(self, task: LiveTask, t_ns: int) -> None:
        """End a root task, as a step: from now on its tree does not change."""
        timeline = task.timeline
        timeline.end(timeline.root, t_ns)
        self._open.discard(task)
        task.branches.clear()
        task.slo = self.objectives.side(task.agent, timeline.last_ns - timeline.root.start_ns, task.limit_ns)

    def _rows(self, now_ns: int) -> Iterator[LiveRow]:
        """Return what the ledger shows of work in flight; the ledger's lock is held and its batch is worked off."""
        overdue = dict.fromkeys(self.objectives.agents(), 0)
        for task in self._open:
            task.timeline.advance(now_ns)
            if task.limit_ns is not None and now_ns - task.timeline.root.start_ns > task.limit_ns:
                overdue[task.agent] = overdue.get(task.agent, 0) + 1
        for agent, seconds_by_mask in list(self._seconds.items()):
            for mask, state_ns in seconds_by_mask.items():
                if mask:
                    yield "agent_task_state_seconds_total", (agent, STATE_LABELS[mask]), state_ns
        for agent, n_tasks in overdue.items():
            yield "agent_tasks_overdue", (agent,), n_tasks
        is_admitted = self._ledger.folding.is_admitted
        for name, labels, total in self.concurrency.rows(now_ns):
            if labels[0] == OTHER or is_admitted("model", labels[0]):
                yield name, labels, total
