"""The tasks running now: one lock, one registry, and what a scrape shows of work in flight.

Every event of an operation reaches its task's ``Timeline`` through ``LiveTasks.run``. A thread that is already inside
one of our locks (a finaliser, a signal handler) does not lock: its event goes to the ledger's deque (see
``record/ledger.py``). Lock order: the ledger's first, this one second; so nothing here calls the ledger while it holds
the lock, except from a thread that is marked as inside, whose calls the ledger defers.

One lock for all tasks, not one each: events are short, and the interpreter runs one thread at a time anyway.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from threading import get_ident
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

    Thread-safety: every method, from any thread, finaliser or signal handler.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._inside = ledger.inside
        self.objectives = Objectives()
        self._start_empty()
        ledger.live.append(self._rows)
        ledger.when_forked.append(self._start_empty)

    def _start_empty(self) -> None:
        self._lock = threading.Lock()
        self._open: set[LiveTask] = set()
        self._seconds: dict[str, dict[int, int]] = {}
        self.concurrency = Concurrency()

    def run(self, step: Callable[..., None], *args: Any) -> bool:
        """Run ``step(*args)`` under the lock; False when it was put off, because this thread is already inside."""
        me = get_ident()
        if me in self._inside:
            self._ledger.defer(self._run_later, step, args)
            return False
        self._inside.add(me)
        try:
            with self._lock:
                step(*args)
        finally:
            self._inside.discard(me)
        return True

    def _run_later(self, step: Callable[..., None], args: tuple[Any, ...]) -> None:
        with self._lock:
            step(*args)

    def open(self, agent: str, t_ns: int, limit_s: float | None) -> LiveTask:
        """Return a root task, running from now on."""
        seconds = self._seconds.get(agent)
        if seconds is None:
            seconds = self._seconds.setdefault(agent, dict.fromkeys(AT_FIRST, 0))
        limit_ns = self.objectives.limit_ns(agent) if limit_s is None else round(limit_s * 1e9)
        task = LiveTask(agent, Timeline(seconds, t_ns), limit_ns)
        self.run(self._open.add, task)
        return task

    def start(self, task: LiveTask, node: Node, t_ns: int) -> None:
        """Start a node of a task."""
        self.run(task.timeline.start, node, t_ns)

    def start_call(self, task: LiveTask, node: Node, t_ns: int, counts: dict[str, int]) -> None:
        """Start a node of a task that counts among the calls of its agent, by component.

        ``run`` written out, because every call of a tool or model comes through here.
        """
        me = get_ident()
        inside = self._inside
        if me in inside:
            self._ledger.defer(self._run_later, self._start_call, (task, node, t_ns, counts))
            return
        inside.add(me)
        try:
            with self._lock:
                task.timeline.start(node, t_ns)
                counts[node.key[0]] += 1
        finally:
            inside.discard(me)

    def _start_call(self, task: LiveTask, node: Node, t_ns: int, counts: dict[str, int]) -> None:
        task.timeline.start(node, t_ns)
        counts[node.key[0]] += 1

    def end(self, task: LiveTask, node: Node, t_ns: int) -> None:
        """End a node of a task."""
        self.run(self.end_inside, task, node, t_ns)

    def end_inside(self, task: LiveTask, node: Node, t_ns: int) -> None:
        """End a node, as a part of a longer step."""
        detached_ns = task.timeline.end(node, t_ns)
        if detached_ns:
            self._ledger.add("agent_detached_seconds_total", (task.agent,), detached_ns)

    def close(self, task: LiveTask, t_ns: int) -> None:
        """End a root task, as a step: from now on its tree does not change."""
        timeline = task.timeline
        timeline.end(timeline.root, t_ns)
        self._open.discard(task)
        task.branches.clear()
        task.slo = self.objectives.side(task.agent, timeline.last_ns - timeline.root.start_ns, task.limit_ns)

    def _rows(self, now_ns: int) -> Iterator[LiveRow]:
        """Return what the ledger shows of work in flight; the ledger's lock is held, this thread is inside."""
        overdue = dict.fromkeys(self.objectives.agents(), 0)
        with self._lock:
            for task in self._open:
                task.timeline.advance(now_ns)
                if task.limit_ns is not None and now_ns - task.timeline.root.start_ns > task.limit_ns:
                    overdue[task.agent] = overdue.get(task.agent, 0) + 1
            states = [(agent, list(seconds.items())) for agent, seconds in list(self._seconds.items())]
            models = self.concurrency.rows(now_ns)
        for agent, seconds_by_mask in states:
            for mask, state_ns in seconds_by_mask:
                if mask:
                    yield "agent_task_state_seconds_total", (agent, STATE_LABELS[mask]), state_ns
        for agent, n_tasks in overdue.items():
            yield "agent_tasks_overdue", (agent,), n_tasks
        is_admitted = self._ledger.folding.is_admitted
        for name, labels, total in models:
            if labels[0] == OTHER or is_admitted("model", labels[0]):
                yield name, labels, total
