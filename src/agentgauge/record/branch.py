"""Branches: a node for each line of execution inside a task, so that the steps of siblings do not mix.

An asyncio task gets one by itself when its first operation starts, until it is done. A thread gets one from
``propagate``, which sees it begin and end; under ``asyncio.to_thread`` or a copied context alone there is none, so
several operations of one such thread stand directly below the task: harmless for one, a looser what-if for more.
"""

from __future__ import annotations

import functools
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from agentgauge.record.lane import running_asyncio_task
from agentgauge.record.node import BranchNode

if TYPE_CHECKING:
    from agentgauge.record.context import Enclosing
    from agentgauge.record.live import LiveTask
    from agentgauge.record.node import Node
    from agentgauge.record.recorder import Recorder

_STEPPED: ContextVar[Node | None] = ContextVar("agentgauge_stepped", default=None)
"""Below which node this job of a thread has taken a step already."""


def node_below(recorder: Recorder, parent: Enclosing, task: LiveTask, lane: int) -> Node | None:
    """Return the node that an operation of this lane stands below: the parent's, or its branch for the lane."""
    node = parent.node
    if node is None or (parent.lane == lane and not task.branches):
        return node
    branches = task.branches.get(id(node))
    if parent.lane == lane:
        if branches:
            _end_stale(recorder, task, branches)
        return node
    if branches is not None and lane in branches:
        return branches[lane][1]
    asyncio_task = running_asyncio_task()
    if asyncio_task is None:
        _note_step(recorder, task, node)
        return node
    return _branch_off(recorder, task, node, lane, asyncio_task)


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


def _branch_off(recorder: Recorder, task: LiveTask, parent: Node, lane: int, asyncio_task: Any) -> Node:
    branch = BranchNode(parent.key, parent)
    recorder.live.start(task, branch, recorder.clock.monotonic_ns())
    task.branches.setdefault(id(parent), {})[lane] = (asyncio_task, branch)
    asyncio_task.add_done_callback(functools.partial(_done, recorder, task, id(parent), lane))
    return branch


def _done(recorder: Recorder, task: LiveTask, parent_id: int, lane: int, _: Any) -> None:
    with recorder.guard("branch"):
        _end(recorder, task, task.branches.get(parent_id), lane)


def _end_stale(recorder: Recorder, task: LiveTask, branches: dict[int, tuple[Any, Node]]) -> None:
    """End branches that are over: who awaits a task may run before its callback does."""
    for lane, (asyncio_task, _) in list(branches.items()):
        if asyncio_task.done():
            _end(recorder, task, branches, lane)


def _end(recorder: Recorder, task: LiveTask, branches: dict[int, tuple[Any, Node]] | None, lane: int) -> None:
    found = branches.pop(lane, None) if branches else None
    if found is not None:
        recorder.live.end(task, found[1], recorder.clock.monotonic_ns())
