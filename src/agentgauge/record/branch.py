"""Branches: a node for each line of execution inside a task, so that the steps of siblings do not mix.

An asyncio task gets one by itself when its first operation starts, until it is done. A thread gets one from
``propagate``, which sees it begin and end; under ``asyncio.to_thread`` or a copied context alone there is none, so
several operations of one such thread stand directly below the task: harmless for one, a looser what-if for more.

A branch is current in its line (``record/context.py``), so that what the line starts in its turn stands below it.
"""

from __future__ import annotations

import functools
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from agentgauge.record.context import CURRENT
from agentgauge.record.lane import running_asyncio_task
from agentgauge.record.node import BranchNode

if TYPE_CHECKING:
    from agentgauge.record.context import Enclosing
    from agentgauge.record.live import LiveTask
    from agentgauge.record.node import Node
    from agentgauge.record.recorder import Recorder

NO_LANE = -1
"""The lane of a branch whose line of execution is over."""

_STEPPED: ContextVar[Node | None] = ContextVar("agentgauge_stepped", default=None)
"""Below which node this job of a thread has taken a step already."""


class Branch:
    """A line of execution inside an operation, ``of``; it counts from when it is made."""

    __slots__ = ("lane", "live", "node", "of", "recorder", "task")

    def __init__(self, of: Enclosing, lane: int) -> None:
        self.of = of
        self.recorder = recorder = of.recorder
        self.task = of.task
        self.live = of.live
        self.lane = lane
        self.node = None if of.node is None else BranchNode(of.node.key, of.node)
        if self.live is not None and self.node is not None:
            recorder.ledger.later(self.live.timeline.start_branch, self.node, recorder.clock.monotonic_ns())

    def finish(self) -> None:
        """End the line: its node ends with the last of what stands below it."""
        self.lane = NO_LANE
        if self.live is not None and self.node is not None:
            self.recorder.ledger.later(self.live.timeline.end_branch, self.node, self.recorder.clock.monotonic_ns())


def operation_around(enclosing: Enclosing | None) -> Enclosing | None:
    """Return the operation that encloses this code, whatever line of it this is."""
    while isinstance(enclosing, Branch):
        enclosing = enclosing.of
    return enclosing


def node_below(recorder: Recorder, parent: Enclosing, task: LiveTask, lane: int) -> Node | None:
    """Return the node that an operation of this lane stands below: the parent's, or its branch for the lane."""
    node = parent.node
    if node is None or (parent.lane == lane and not task.branches):
        return node
    around = parent
    while isinstance(around, Branch) and around.lane == NO_LANE:
        around = around.of  # who started this line is gone: it stands where that one stood
    node = around.node
    branches = task.branches.get(id(node))
    if around.lane == lane:
        if branches:
            _end_stale(branches)
        return node
    if branches is not None and lane in branches:
        return _carry(parent, branches[lane][1])
    asyncio_task = running_asyncio_task()
    if asyncio_task is not None:
        return _carry(parent, _branch_off(task, around, lane, asyncio_task))
    if node is not None:
        _note_step(recorder, task, node)
    return node


def _carry(parent: Enclosing, branch: Branch) -> Node | None:
    """Make a branch current in its line, where its parent is."""
    if CURRENT.get() is parent:
        CURRENT.set(branch)
    return branch.node


def _note_step(recorder: Recorder, task: LiveTask, node: Node) -> None:
    """Doubt a what-if where a job of a thread takes a second step beside others: whose waited for whose is unknown.

    The mark is the job's own: it lies in the copy of the context that the job runs in.
    """
    if _STEPPED.get() is node:
        recorder.ledger.later(_doubt_beside, task, node)
    else:
        _STEPPED.set(node)


def _doubt_beside(task: LiveTask, node: Node) -> None:
    if node.n_open:
        task.doubts.add("unwrapped")


def _branch_off(task: LiveTask, around: Enclosing, lane: int, asyncio_task: Any) -> Branch:
    branch = Branch(around, lane)
    parent_id = id(around.node)
    task.branches.setdefault(parent_id, {})[lane] = (asyncio_task, branch)
    asyncio_task.add_done_callback(functools.partial(_done, branch, parent_id))
    return branch


def _done(branch: Branch, parent_id: int, _: Any) -> None:
    with branch.recorder.guard("branch"):
        if branch.live is not None:
            _end(branch.live.branches.get(parent_id), branch.lane)


def _end_stale(branches: dict[int, tuple[Any, Branch]]) -> None:
    """End branches that are over: who awaits a task may run before its callback does."""
    for lane, (asyncio_task, _) in list(branches.items()):
        if asyncio_task.done():
            _end(branches, lane)


def _end(branches: dict[int, tuple[Any, Branch]] | None, lane: int) -> None:
    found = branches.pop(lane, None) if branches else None
    if found is not None:
        found[1].finish()
