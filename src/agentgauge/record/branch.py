"""Branches: a node for each line of execution inside a task, so that the steps of siblings do not mix.

An asyncio task gets one by itself when it is made, at the latest when its first operation starts, until it is done. Who
made it shows only then: a worker that fans out before its first call is else unknown, and what it waits for would stand
beside it. So the event loop of an agent's task gets a task factory around the one it has.

A thread gets a branch from ``propagate``, which sees it begin and end; under ``asyncio.to_thread`` or a copied context
alone there is none, so several operations of one such thread stand directly below the task: harmless for one, a looser
what-if for more.

A branch is current in its line (``record/context.py``), so that what the line starts in its turn stands below it.
"""

from __future__ import annotations

import functools
import sys
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from agentgauge.record.context import CURRENT, put_back
from agentgauge.record.lane import current_lane, running_asyncio_task, running_loop
from agentgauge.record.node import BranchNode

if TYPE_CHECKING:
    from agentgauge.record.context import Enclosing
    from agentgauge.record.live import LiveTask
    from agentgauge.record.node import Node
    from agentgauge.record.recorder import Recorder

NO_LANE = -1
"""The lane of a branch whose line of execution is over."""

NEW_LANE = 0
"""The lane of a branch whose asyncio task is being made; an eager one runs meanwhile."""

MAX_DEPTH = 32
"""Lines that stand in one another, each made by the one above; what a deeper one makes stands beside it."""

_STEPPED: ContextVar[Node | None] = ContextVar("agentgauge_stepped", default=None)
"""Below which node this job of a thread has taken a step already."""


class Branch:
    """A line of execution inside an operation, ``of``; it counts from when it is made."""

    __slots__ = ("depth", "lane", "live", "node", "of", "recorder", "task")

    depth: int
    of: Enclosing

    def __init__(self, of: Enclosing, lane: int) -> None:
        while isinstance(of, Branch) and of.depth >= MAX_DEPTH:
            of = of.of
        self.depth = of.depth + 1 if isinstance(of, Branch) else 0
        self.of = of
        self.recorder = recorder = of.recorder
        self.task = of.task
        self.live = of.live
        self.lane = lane
        self.node = None if of.node is None else BranchNode(of.node.key, of.node)
        if self.live is not None and self.node is not None:
            self.node.start_ns = t_ns = recorder.clock.monotonic_ns()
            recorder.ledger.later(self.live.timeline.start_branch, self.node, t_ns)

    def done(self, asyncio_task: Any) -> None:
        """Finish, told by the asyncio task whose line it is."""
        with self.recorder.guard("branch"):
            self.finish(was_cancelled=asyncio_task.cancelled())

    def finish(self, *, was_cancelled: bool = False) -> None:
        """End the line: its node ends with the last of what stands below it."""
        self.lane = NO_LANE
        if self.live is not None and self.node is not None:
            t_ns = self.recorder.clock.monotonic_ns()
            self.recorder.ledger.later(self._end, self.live, self.node, t_ns, was_cancelled)

    def _end(self, live: LiveTask, node: Node, t_ns: int, was_cancelled: bool) -> None:
        live.timeline.end_branch(node, t_ns, was_cancelled=was_cancelled)


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
    if isinstance(around, Branch) and around.lane == NEW_LANE:
        around.lane = lane
    if around.lane == lane:
        if branches:
            _end_stale(branches)
        return node
    if branches is not None and lane in branches:
        return _carry(parent, branches[lane][1])
    asyncio_task = running_asyncio_task()
    if asyncio_task is not None:
        follow_running_loop(recorder)
        return _carry(parent, _branch_off(task, around, lane, asyncio_task))
    if node is not None:
        _note_step(recorder, task, node)
    return node


def _carry(parent: Enclosing, branch: Branch) -> Node | None:
    """Make a branch current in its line, where its parent is; not in a context that two lines share."""
    if CURRENT.get() is parent and (not isinstance(parent, Branch) or parent.lane == NO_LANE):
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
    """Give an asyncio task its line late, and note it: this line may be awaited by callbacks before ours."""
    branch = Branch(around, lane)
    parent_id = id(around.node)
    task.branches.setdefault(parent_id, {})[lane] = (asyncio_task, branch)
    asyncio_task.add_done_callback(functools.partial(_done, branch, parent_id))
    return branch


def _done(branch: Branch, parent_id: int, asyncio_task: Any) -> None:
    with branch.recorder.guard("branch"):
        branches = {} if branch.live is None else branch.live.branches
        _end(branches.get(parent_id), branch.lane, was_cancelled=asyncio_task.cancelled())
        if parent_id in branches and not branches[parent_id]:
            del branches[parent_id]


def _end_stale(branches: dict[int, tuple[Any, Branch]]) -> None:
    """End branches that are over: who awaits a task may run before its callback does."""
    for lane, (asyncio_task, _) in list(branches.items()):
        if asyncio_task.done():
            _end(branches, lane, was_cancelled=asyncio_task.cancelled())


def _end(branches: dict[int, tuple[Any, Branch]] | None, lane: int, *, was_cancelled: bool) -> None:
    found = branches.pop(lane, None) if branches else None
    if found is not None:
        found[1].finish(was_cancelled=was_cancelled)


def follow_running_loop(recorder: Recorder) -> None:
    """Have the event loop that runs here, if any, give each asyncio task its line when it is made."""
    loop = running_loop()
    if loop is None:
        return
    try:
        before = loop.get_task_factory()
        if not isinstance(before, Factory):
            loop.set_task_factory(Factory(before))
    except NotImplementedError:
        return  # a loop without factories: its asyncio tasks get their lines with their first calls
    except Exception as error:  # noqa: BLE001 -- the host never pays for our mistakes
        recorder.guard.failed("branch", error)


class Factory:
    """A task factory that makes what another makes; in a context given by hand it leaves the line to the first call."""

    def __init__(self, before: Any) -> None:
        self._make = before if before is not None else _make

    def __call__(self, loop: Any, coro: Any, **options: Any) -> Any:
        """Make an asyncio task, with its line current in its context."""
        around = CURRENT.get()
        line = None if around is None or options.get("context") is not None else _line(around)
        if line is None:
            return self._make(loop, coro, **options)
        token = CURRENT.set(line)
        try:
            made = self._make(loop, coro, **options)
        except BaseException:
            line.finish()
            raise
        finally:
            put_back(token)
        with line.recorder.guard("branch"):
            line.lane = id(made)
            if made.done():
                line.done(made)
            else:
                made.add_done_callback(line.done)
        return made


def _make(loop: Any, coro: Any, **options: Any) -> Any:
    return sys.modules["asyncio"].Task(coro, loop=loop, **options)


def _line(around: Enclosing) -> Branch | None:
    """Return a new line below the one that this code runs in; None where there is nothing to be a part of."""
    recorder, live = around.recorder, around.live
    try:
        if live is None or around.node is None or live.epoch != recorder.ledger.epoch:
            return None
        if isinstance(around, Branch) and around.lane == NEW_LANE:
            return None  # a factory of ours below another's: the one above it has made the line
        lane = current_lane()
        if around.lane != lane and running_asyncio_task() is not None:
            node_below(recorder, around, live, lane)  # made before its loop was followed: it gets its line now
            around = CURRENT.get() or around
        return Branch(around, NEW_LANE)
    except Exception as error:  # noqa: BLE001 -- the host's task is made without a line
        recorder.guard.failed("branch", error)
        return None
