"""The tasks running now: their registry, and what a scrape shows of work in flight.

Every event of an operation reaches its task's ``Timeline`` as a step of the ledger's batch (see ``record/ledger.py``):
in order, with the time it happened, under the ledger's lock, and before any scrape looks. Steps may use everything
here; nobody else reads the timelines.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Container, Iterator
from typing import TYPE_CHECKING, Any

from agentgauge.model.metrics import OTHER
from agentgauge.record.concurrency import Concurrency
from agentgauge.record.objectives import Objectives
from agentgauge.record.states import StateSeconds
from agentgauge.record.timeline import Timeline

if TYPE_CHECKING:
    from agentgauge.model.accounts import PathKey
    from agentgauge.record.ledger import Ledger, LiveRow
    from agentgauge.record.node import Node
    from agentgauge.record.objectives import SloSide


OVER = -1
"""The epoch of a task that has ended."""


class LiveTask:
    """A root task while it runs: its timeline, its target and the branches open in it.

    ``branches``: id of a node -> lane -> (asyncio task, ``Branch``), of those that got their line late. ``doubts``:
    why what-if intervals do not hold for it. ``epoch``: the ledger's while it runs; a task that starts in another is no
    part of it. ``agent`` is its name as it is counted, ``paths`` what is known of its agent's components, once it is
    open.

    Usable before it is open, and where it never will be: a child forked before that has no part in it, but calls below.
    """

    __slots__ = ("agent", "branches", "doubts", "epoch", "limit_ns", "paths", "slo", "timeline")

    def __init__(self, agent: str, t_ns: int, epoch: int) -> None:
        self.agent = agent
        self.epoch = epoch
        self.timeline = Timeline(defaultdict(int), t_ns)
        self.limit_ns: int | None = None
        self.paths: Container[PathKey] = ()
        self.branches: dict[int, dict[int, tuple[Any, Any]]] = {}
        self.slo: SloSide = "met"
        self.doubts: set[str] = set()


class LiveTasks:
    """All running root tasks of a process, and the seconds of their states by agent.

    Thread-safety: ``end`` from any thread, finaliser or signal handler; the others are steps.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self.objectives = Objectives()
        self._start_empty()
        ledger.live.append(self._rows)
        ledger.when_forked.append(self._start_empty)

    def _start_empty(self) -> None:
        self._open: set[LiveTask] = set()
        self._seconds: dict[str, StateSeconds] = {}
        self.concurrency = Concurrency()

    def open(self, task: LiveTask, agent: str, limit_ns: int | None) -> None:
        """Count a root task as running, its seconds as the agent's; a step, before any other of the task."""
        seconds = self._seconds.get(agent)
        if seconds is None:
            seconds = self._seconds[agent] = StateSeconds()
        task.agent = agent
        task.limit_ns = self.objectives.limit_ns(agent) if limit_ns is None else limit_ns
        task.timeline.seconds = seconds.by_leaves
        self._open.add(task)

    def end(self, task: LiveTask, node: Node, t_ns: int) -> None:
        """End a node of a task."""
        self._ledger.later(self.ended, task, node, t_ns)

    def ended(self, task: LiveTask, node: Node, t_ns: int) -> None:
        """End a node, as a step."""
        detached_ns = task.timeline.end(node, t_ns)
        if detached_ns:
            self.detached(task, detached_ns)

    def detached(self, task: LiveTask, duration_ns: int) -> None:
        """Count work outside its parent, as a step."""
        self._ledger.values_add("agent_detached_seconds_total", (task.agent,), duration_ns)

    def close(self, task: LiveTask, t_ns: int) -> None:
        """End a root task, as a step: from now on its tree does not change."""
        timeline = task.timeline
        timeline.end(timeline.root, t_ns)
        self._open.discard(task)
        self._seconds[task.agent].bound()
        task.branches.clear()
        task.slo = self.objectives.side(task.agent, timeline.last_ns - timeline.root.start_ns, task.limit_ns)

    def _rows(self, now_ns: int) -> Iterator[LiveRow]:
        """Return what the ledger shows of work in flight; the ledger's lock is held and its batch is worked off."""
        overdue = dict.fromkeys(self.objectives.agents(), 0)
        for task in self._open:
            task.timeline.advance(now_ns)
            if task.limit_ns is not None and now_ns - task.timeline.root.start_ns > task.limit_ns:
                overdue[task.agent] = overdue.get(task.agent, 0) + 1
        for agent, seconds in list(self._seconds.items()):
            for label, state_ns in seconds.by_label().items():
                yield "agent_task_state_seconds_total", (agent, label), state_ns
        for agent, n_tasks in overdue.items():
            yield "agent_tasks_overdue", (agent,), n_tasks
        is_admitted = self._ledger.folding.is_admitted
        for name, labels, total in self.concurrency.rows(now_ns):
            if labels[0] == OTHER or is_admitted("model", labels[0]):
                yield name, labels, total
