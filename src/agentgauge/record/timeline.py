"""The live state of one task: which set of components is active, for how long.

Theory of operation. A task is a tree of nodes. A node without open children is a *leaf*: its component is active; a
node with an open child waits, its children hold the second. The timeline keeps how many leaves of each of the five
state components are open, as one packed integer (``record/states.py``). Every event first charges the time since the
last one to the counts that held, so each event costs the same however large the tree is, and the seconds of all
counts partition the task's time exactly: integers, no tie rule, no rounding. A scrape only advances.

A node counts inside its parent's time. When a parent ends, what still runs below it stops counting there and then;
what it goes on to use is *detached* and enters no partition, like work that starts after its parent ended. Only a
branch, which is no work of its own, lasts as long as what it has begun; cut by an end above or cancelled, it was
background that nobody waited for, and its part is from the first to the last of its calls. One without calls has none.

Pure: takes nanoseconds, knows no clock and no lock. ``record/path.py`` walks the finished tree, ``record/live.py``
joins the timelines of a process. Specification and proofs: docs/why.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentgauge.record.node import Node

if TYPE_CHECKING:
    from collections import defaultdict

    from agentgauge.model.accounts import PathKey

MAX_NODES = 10_000
"""Spans per task; later ones are not recorded and their time falls to what encloses them."""

OWN: PathKey = ("own", "")


class Timeline:
    """The state accounting of one root task; ``seconds`` (packed counts -> ns) may be shared with other tasks.

    ``in_turn`` tells whether one thing at a time was active so far.
    Thread-safety: none of its own.
    """

    __slots__ = ("in_turn", "last_ns", "leaves", "n_nodes", "root", "seconds")

    def __init__(self, seconds: defaultdict[int, int], t_ns: int) -> None:
        self.seconds = seconds
        self.root = root = Node(OWN)
        root.start_ns = self.last_ns = t_ns
        self.n_nodes = 1
        self.in_turn = True
        self.leaves = root.leaf

    def advance(self, t_ns: int) -> None:
        """Charge the time up to now to what is active; a time before the last event changes nothing."""
        if t_ns > self.last_ns:
            self.seconds[self.leaves] += t_ns - self.last_ns
            self.last_ns = t_ns

    def start(self, node: Node, t_ns: int) -> None:
        """Start a node below its parent; without an open parent it is detached and only timed."""
        last_ns = self.last_ns
        if t_ns > last_ns:  # as in ``advance``: every event of every task passes here
            self.seconds[self.leaves] += t_ns - last_ns
            self.last_ns = last_ns = t_ns
        node.start_ns = last_ns
        parent = node.parent
        if parent is None or parent.end_ns is not None or self.n_nodes >= MAX_NODES:
            node.end_ns = last_ns
            return
        if parent.children is None:
            if not parent.n_calls and not self._grow(parent):
                node.end_ns = last_ns
                return
            parent.children = [node]
        else:
            parent.children.append(node)
        self.n_nodes += 1
        n_open = parent.n_open
        parent.n_open = n_open + 1
        if n_open:
            self.in_turn = False
            self.leaves += node.leaf
        else:
            self.leaves += node.leaf - parent.leaf

    def end(self, node: Node, t_ns: int) -> int:
        """End a node and return the nanoseconds of its work that lie outside its parent: detached."""
        last_ns = self.last_ns
        if t_ns > last_ns:
            self.seconds[self.leaves] += t_ns - last_ns
            self.last_ns = last_ns = t_ns
        node.done_ns = last_ns
        parent = node.parent
        if parent is None:
            if node.end_ns is None:
                self._close(node)
            return last_ns - node.start_ns if node is not self.root else 0
        if node.end_ns is None:
            parent.n_open = n_open = parent.n_open - 1
            if node.n_open:
                self._close(node)
                self.leaves += 0 if n_open else parent.leaf
            else:
                node.end_ns = last_ns
                self.leaves -= node.leaf if n_open else node.leaf - parent.leaf
        if parent.done_ns is None and parent.n_calls:
            return 0
        if parent.end_ns is None and parent.children is not None:
            self._end_branches(parent)
            return 0
        while not parent.n_calls and (parent.done_ns is None or parent.children is None) and parent.parent is not None:
            parent = parent.parent  # a branch that was cut or never joined the tree: what it stands in counts
        return 0 if parent.done_ns is None else last_ns - max(node.start_ns, parent.done_ns)

    def start_branch(self, branch: Node, t_ns: int) -> None:
        """Note when a branch starts; it joins the tree with its first call, for one without any says nothing."""
        self.advance(t_ns)
        branch.start_ns = self.last_ns

    def _grow(self, branch: Node) -> bool:
        """Put a branch and those it stands in into the tree; False where what they stand in is over."""
        above = branch.parent
        new = [branch]
        while above is not None and not above.n_calls:
            if above.end_ns is None and above.children is None:
                new.append(above)
            elif above.end_ns is None:
                break
            above = above.parent  # one that is over is left out: what it started stands where it stood
        if above is None or above.end_ns is not None or branch.end_ns is not None:
            return False
        for line in reversed(new):
            line.parent, line.key = above, above.key
            self._insert(line, above)
            above = line
        return True

    def _insert(self, line: Node, parent: Node) -> None:
        """Put a branch that has run for a while below its parent, open."""
        children = parent.children
        if children is None:
            children = parent.children = []
        elif children[-1].end_ns is None or children[-1].end_ns > line.start_ns:
            self.in_turn = False
        children.append(line)
        self.n_nodes += 1
        self.leaves += line.leaf if parent.n_open else line.leaf - parent.leaf
        parent.n_open += 1

    def end_branch(self, branch: Node, t_ns: int, *, was_cancelled: bool = False) -> None:
        """End a branch, now or with the last node below it."""
        self.advance(t_ns)
        if branch.end_ns is not None:
            return
        branch.done_ns = self.last_ns
        if branch.children is None:
            branch.end_ns = self.last_ns
            return
        self._end_branches(branch)
        if was_cancelled:
            _trim(branch)

    def _end_branches(self, branch: Node) -> None:
        """End a branch that is over and has nothing open, then the one that it was the last of, and so on up."""
        while branch.done_ns is not None and not branch.n_open and branch.parent is not None:
            parent = branch.parent
            branch.end_ns = branch.done_ns = self.last_ns
            parent.n_open -= 1
            self.leaves -= branch.leaf if parent.n_open else branch.leaf - parent.leaf
            branch = parent

    def _close(self, node: Node) -> None:
        """Stop counting an open node and everything open below it."""
        if node.n_open == 0:
            self.leaves -= node.leaf
        stack, branches = [node], []
        while stack:
            closing = stack.pop()
            closing.end_ns = self.last_ns
            if not closing.n_calls:
                branches.append(closing)
            if closing.n_open:
                closing.n_open = 0
                for child in closing.children or ():
                    if child.end_ns is None:
                        if child.n_open == 0:
                            self.leaves -= child.leaf
                        stack.append(child)
        for branch in reversed(branches):  # the inner ones first
            branch.done_ns = None
            _trim(branch)


def _trim(branch: Node) -> None:
    """Cut a branch that nobody waited for to its calls: before and after them it was background."""
    children = branch.children or ()
    branch.start_ns = min([child.start_ns for child in children], default=branch.start_ns)
    if branch.end_ns is not None:
        branch.end_ns = max([child.end_ns or 0 for child in children], default=branch.start_ns)
