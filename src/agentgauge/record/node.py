"""One timed piece of a task's work, in the tree of the task; and what its seconds are charged to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentgauge.record.states import LEAF

if TYPE_CHECKING:
    from agentgauge.model.accounts import PathKey


class Node:
    """A span of a task's tree; ``key`` is (component, name), ``leaf`` what it is worth as an open leaf.

    ``end_ns`` is where it counts to: its own end, or an ancestor's that came first. ``done_ns`` is when its work was
    really over. Both are None before; ``done_ns`` alone is set of a branch that is over while something below it runs
    on, and never of a branch that an ancestor's end has cut. ``n_open`` counts children that still count; a node is a
    leaf when it is 0.
    """

    __slots__ = ("children", "done_ns", "end_ns", "key", "leaf", "n_open", "parent", "start_ns")

    start_ns: int

    n_calls = 1
    """What it adds to the calls of its key."""

    def __init__(self, key: PathKey, parent: Node | None = None) -> None:
        self.key = key
        self.leaf = LEAF[key[0]]
        self.parent = parent
        self.end_ns: int | None = None
        self.done_ns: int | None = None
        self.n_open = 0
        self.children: list[Node] | None = None

    def rename(self, key: PathKey) -> None:
        """Name a node anew, and the branches of it."""
        self.key = key
        for child in self.children or ():
            if not child.n_calls:
                child.rename(key)

    def tile(self, key: PathKey, start_ns: int, end_ns: int) -> None:
        """Add a finished child: a phase of a call, an attempt that was repeated."""
        child = Node(key, self)
        child.start_ns = start_ns
        child.end_ns = child.done_ns = end_ns
        if self.children is None:
            self.children = []
        self.children.append(child)


class BranchNode(Node):
    """A line of execution inside what it stands below, whose key it has: its time is the parent's, it is no call."""

    __slots__ = ()

    n_calls = 0
