"""The live state of one task: which set of components is active, for how long.

Theory of operation. A task is a tree of nodes. A node without open children is a *leaf*: its component is active; a
node with an open child waits, its children hold the second. The timeline keeps how many leaves of each of the five
state components are open, and a mask of those above zero. Every event first charges the time since the last one to
the mask that held, so each event costs the same however large the tree is, and the seconds of all masks partition the
task's time exactly: integers, no tie rule, no rounding. A scrape only advances.

A node counts inside its parent's time. When a parent ends, what still runs below it stops counting there and then;
what it goes on to use is *detached* and enters no partition, like work that starts after its parent ended.

Pure: takes nanoseconds, knows no clock and no lock. ``record/path.py`` walks the finished tree, ``record/live.py``
joins the timelines of a process. Specification and proofs: docs/why.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentgauge.record.node import Node

if TYPE_CHECKING:
    from agentgauge.model.accounts import PathKey

MAX_NODES = 10_000
"""Spans per task; later ones are not recorded and their time falls to what encloses them."""

OWN: PathKey = ("own", "")


class Timeline:
    """The state accounting of one root task; ``seconds`` (mask -> ns) may be shared with other tasks.

    Thread-safety: none of its own.
    """

    __slots__ = ("_counts", "last_ns", "mask", "n_nodes", "root", "seconds")

    def __init__(self, seconds: dict[int, int], t_ns: int) -> None:
        self.seconds = seconds
        self.root = Node(OWN)
        self.root.start_ns = self.last_ns = t_ns
        self.n_nodes = 1
        self.mask = 0
        self._counts = [0, 0, 0, 0, 0]
        self._enter(self.root.index)

    def advance(self, t_ns: int) -> None:
        """Charge the time up to now to what is active; a time before the last event changes nothing."""
        if t_ns > self.last_ns:
            self.seconds[self.mask] += t_ns - self.last_ns
            self.last_ns = t_ns

    def start(self, node: Node, t_ns: int) -> None:
        """Start a node below its parent; without an open parent it is detached and only timed."""
        if t_ns > self.last_ns:
            self.seconds[self.mask] += t_ns - self.last_ns
            self.last_ns = t_ns
        node.start_ns = self.last_ns
        parent = node.parent
        if parent is None or parent.end_ns is not None or self.n_nodes >= MAX_NODES:
            node.end_ns = self.last_ns
            return
        self.n_nodes += 1
        if parent.children is None:
            parent.children = [node]
        else:
            parent.children.append(node)
        parent.n_open += 1
        if parent.n_open > 1:
            self._enter(node.index)
        elif parent.index != node.index:
            self._swap(parent.index, node.index)

    def end(self, node: Node, t_ns: int) -> int:
        """End a node and return the nanoseconds of its work that lie outside its parent: detached."""
        if t_ns > self.last_ns:
            self.seconds[self.mask] += t_ns - self.last_ns
            self.last_ns = t_ns
        last_ns = self.last_ns
        node.done_ns = done_ns = last_ns if last_ns > node.start_ns else node.start_ns
        parent = node.parent
        if node.end_ns is None and parent is not None:
            self._end_below(parent, node)
        elif node.end_ns is None:
            self._close(node)
        if parent is None:
            return done_ns - node.start_ns if node is not self.root else 0
        return 0 if parent.done_ns is None else done_ns - max(node.start_ns, parent.done_ns)

    def _end_below(self, parent: Node, node: Node) -> None:
        """Stop counting a node; its parent is active again when it was the last."""
        parent.n_open -= 1
        if node.n_open:
            self._close(node)
            if parent.n_open == 0:
                self._enter(parent.index)
            return
        node.end_ns = self.last_ns
        if parent.n_open:
            self._leave(node.index)
        elif parent.index != node.index:
            self._swap(node.index, parent.index)

    def _close(self, node: Node) -> None:
        """Stop counting an open node and everything open below it."""
        if node.n_open == 0:
            self._leave(node.index)
        stack = [node]
        while stack:
            closing = stack.pop()
            closing.end_ns = self.last_ns
            if closing.n_open:
                closing.n_open = 0
                for child in closing.children or ():
                    if child.end_ns is None:
                        if child.n_open == 0:
                            self._leave(child.index)
                        stack.append(child)

    def _swap(self, before: int, after: int) -> None:
        """Let one leaf of a component take the place of one of another."""
        counts, mask = self._counts, self.mask
        counts[before] -= 1
        if counts[before] == 0:
            mask &= ~(1 << before)
        counts[after] += 1
        mask |= 1 << after
        self.mask = mask
        if mask not in self.seconds:
            self.seconds[mask] = 0

    def _enter(self, index: int) -> None:
        self._counts[index] += 1
        if self._counts[index] == 1:
            self.mask |= 1 << index
            self.seconds.setdefault(self.mask, 0)

    def _leave(self, index: int) -> None:
        self._counts[index] -= 1
        if self._counts[index] == 0:
            self.mask &= ~(1 << index)
            self.seconds.setdefault(self.mask, 0)
