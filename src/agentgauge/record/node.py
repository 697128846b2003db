"""One timed piece of a task's work, in the tree of the task; and what its seconds are charged to.

Two tables of components: fine ones for the path, five coarse ones for the live state, because a server tells the
phases of a call only when it is over.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agentgauge.model.accounts import PathKey

STATES = ("backoff", "llm", "own", "tool", "wait")
"""State components in the order of their bits, which is also the order of their names in a label."""

_COARSE = {
    "agent": "own",
    "backoff": "backoff",
    "client_wait": "wait",
    "decode": "llm",
    "llm": "llm",
    "load": "llm",
    "network": "llm",
    "own": "own",
    "prefill": "llm",
    "queue": "llm",
    "retry": "llm",
    "tool": "tool",
    "wait": "wait",
}

INDEX = {component: STATES.index(coarse) for component, coarse in _COARSE.items()}
"""Path component -> index of its state component."""

STATE_LABELS = tuple("+".join(name for i, name in enumerate(STATES) if mask >> i & 1) for mask in range(32))
"""Mask of active state components -> the label: their names, sorted, joined with ``+``."""


class Node:
    """A span of a task's tree; ``key`` is (component, name).

    ``end_ns`` is where it counts to: its own end, or an ancestor's that came first. ``done_ns`` is when its work was
    really over. Both are None before. ``n_open`` counts children that still count; a node is a leaf when it is 0.
    """

    __slots__ = ("children", "done_ns", "end_ns", "index", "key", "n_open", "parent", "start_ns")

    def __init__(self, key: PathKey, parent: Node | None = None) -> None:
        self.key = key
        self.index = INDEX[key[0]]
        self.parent = parent
        self.start_ns = 0
        self.end_ns: int | None = None
        self.done_ns: int | None = None
        self.n_open = 0
        self.children: list[Node] | None = None

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
