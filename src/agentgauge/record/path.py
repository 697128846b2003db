"""Who kept a finished task waiting: the critical path through its tree, and what was active alone.

Walked back from the end: the parent waited for the child that ended last; before that child's start, for the last to
end by then; gaps are the parent's own. Children that end at the same instant share equally, which does not depend on
their order. The nanoseconds of all (component, name) sum to the task's duration exactly.

Pure. Source: docs/why; uber-research/CRISP and jaeger-ui walk the same way, with other rules at the edges.
"""

from __future__ import annotations

from bisect import bisect_right
from heapq import heappop, heappush
from math import gcd, lcm
from operator import attrgetter
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from agentgauge.model.accounts import PathKey, PathPart
    from agentgauge.record.node import Node

Weight: TypeAlias = "tuple[int, int]"
"""A share as (numerator, denominator): exact, and without the import that ``Fraction`` costs."""

Shares: TypeAlias = "dict[tuple[PathKey, int], int]"
"""(component and name, denominator) -> sum of numerator times nanoseconds."""

CALLED = frozenset({"agent", "backoff", "client_wait", "llm", "retry", "tool", "wait"})
"""Components whose nodes are calls; branches and phases are parts of what they belong to."""

_end_of = attrgetter("end_ns")


def walk(root: Node, *, in_turn: bool = False) -> dict[PathKey, PathPart]:
    """Return what each (component, name) has of a finished tree, unclipped as it grew.

    ``in_turn``: one thing at a time was active, and no node reaches out of its parent. Most tasks are so; their path
    and time alone are one, the time of each node without its children, at a tenth of the work.
    """
    if in_turn:
        return _walk_in_turn(root)
    n_calls = calls(root)
    clip(root)
    path_ns, solo_ns = path_seconds(root), solo_seconds(root)
    keys = n_calls.keys() | path_ns.keys() | solo_ns.keys()
    return {key: (n_calls.get(key, 0), path_ns.get(key, 0), solo_ns.get(key, 0)) for key in keys}


def _walk_in_turn(root: Node) -> dict[PathKey, PathPart]:
    tallies: dict[PathKey, list[int]] = {root.key: [0, 0]}
    stack = [root]
    while stack:
        node = stack.pop()
        own_ns = (node.end_ns or 0) - node.start_ns
        for child in node.children or ():
            length_ns = (child.end_ns or 0) - child.start_ns
            own_ns -= length_ns
            if child.children is not None:
                stack.append(child)
                length_ns = 0
            tally = tallies.get(child.key)
            if tally is None:
                tallies[child.key] = [child.n_calls, length_ns]
            else:
                tally[0] += child.n_calls
                tally[1] += length_ns
        tallies[node.key][1] += own_ns
    parts = {key: (n if key[0] in CALLED else 0, ns, ns) for key, (n, ns) in tallies.items()}
    _, own_ns, _ = parts[root.key]
    parts[root.key] = (1, own_ns, own_ns)
    return parts


def forget(root: Node) -> None:
    """Take a walked tree apart, so that whoever holds one of its nodes holds that and what it stands in."""
    stack = [root]
    while stack:
        node = stack.pop()
        for child in node.children or ():
            if child.children is not None:
                stack.append(child)
        node.children = None


def clip(root: Node) -> None:
    """Cut every node to its parent's interval, drop what is left empty, and sort children by their ends.

    What is still open ends with its parent.
    """
    stack = [root]
    while stack:
        node = stack.pop()
        if not node.children:
            continue
        first_ns, last_ns = node.start_ns, node.end_ns or 0
        kept = []
        for child in node.children:
            child.start_ns = max(child.start_ns, first_ns)
            child.end_ns = last_ns if child.end_ns is None else min(child.end_ns, last_ns)
            if child.end_ns > child.start_ns:
                kept.append(child)
                if child.children:
                    stack.append(child)
        kept.sort(key=_end_of)
        node.children = kept


def path_seconds(root: Node) -> dict[PathKey, int]:
    """Return the nanoseconds of each (component, name) on the critical path of a clipped tree.

    They sum to the root's duration. Keys that are in the tree but not on the path are absent.
    """
    parts: Shares = {}
    stack: list[tuple[Node, Weight]] = [(root, (1, 1))]
    while stack:
        node, weight = stack.pop()
        if node.children:
            stack.extend(_step(node, weight, parts).values())
        else:
            _add(parts, node, weight, (node.end_ns or 0) - node.start_ns)
    return _whole(parts)


def _step(node: Node, weight: Weight, parts: Shares) -> dict[int, tuple[Node, Weight]]:
    """Charge a node's own time and return its children on the path, each once, with their shares."""
    children = node.children or []
    ends = [child.end_ns or 0 for child in children]
    reached: dict[int, tuple[Node, Weight]] = {}
    tokens = {node.end_ns or 0: weight}
    times = [-(node.end_ns or 0)]
    while times:
        t_ns = -heappop(times)
        weight = tokens.pop(t_ns)
        last = bisect_right(ends, t_ns)
        if last == 0:
            _add(parts, node, weight, t_ns - node.start_ns)
            continue
        end_ns = ends[last - 1]
        if end_ns < t_ns:
            _add(parts, node, weight, t_ns - end_ns)
        first = last - 1
        while first and ends[first - 1] == end_ns:
            first -= 1
        share = (weight[0], weight[1] * (last - first))
        for i in range(first, last):
            child = children[i]
            reached[i] = (child, _sum(reached[i][1], share) if i in reached else share)
            if child.start_ns > node.start_ns:
                if child.start_ns in tokens:
                    tokens[child.start_ns] = _sum(tokens[child.start_ns], share)
                else:
                    tokens[child.start_ns] = share
                    heappush(times, -child.start_ns)
    return reached


def _sum(a: Weight, b: Weight) -> Weight:
    numerator = a[0] * b[1] + b[0] * a[1]
    denominator = a[1] * b[1]
    common = gcd(numerator, denominator)
    return numerator // common, denominator // common


def _add(parts: Shares, node: Node, weight: Weight, duration_ns: int) -> None:
    key = (node.key, weight[1])
    parts[key] = parts.get(key, 0) + weight[0] * duration_ns


def _whole(parts: Shares) -> dict[PathKey, int]:
    """Round to integers that keep the sum: floors, then the missing units to the largest fractions, ties by key."""
    base = lcm(*{denominator for _, denominator in parts})
    exact: dict[PathKey, int] = {}
    for (key, denominator), numerator in parts.items():
        exact[key] = exact.get(key, 0) + numerator * (base // denominator)
    whole = {key: value // base for key, value in exact.items()}
    missing = sum(exact.values()) // base - sum(whole.values())
    if missing:
        for key in sorted(exact, key=lambda key: (-(exact[key] % base), key))[:missing]:
            whole[key] += 1
    return whole


def solo_seconds(root: Node) -> dict[PathKey, int]:
    """Return the nanoseconds in which only this (component, name) was active, from a clipped tree."""
    active: dict[PathKey, int] = {root.key: 1}
    n_open: dict[int, int] = {}
    solo: dict[PathKey, int] = {}
    last_ns = root.start_ns
    for t_ns, is_start, _, node in _events(root):
        if t_ns > last_ns:
            if len(active) == 1:
                (key,) = active
                solo[key] = solo.get(key, 0) + t_ns - last_ns
            last_ns = t_ns
        parent = id(node.parent)
        waiting = n_open.get(parent, 0)
        if is_start:
            if waiting == 0 and node.parent is not None:
                _leave(active, node.parent.key)
            n_open[parent] = waiting + 1
            active[node.key] = active.get(node.key, 0) + 1
        else:
            _leave(active, node.key)
            n_open[parent] = waiting - 1
            if waiting == 1 and node.parent is not None:
                active[node.parent.key] = active.get(node.parent.key, 0) + 1
    if root.end_ns is not None and root.end_ns > last_ns and len(active) == 1:
        solo[root.key] = solo.get(root.key, 0) + root.end_ns - last_ns
    return solo


def _leave(active: dict[PathKey, int], key: PathKey) -> None:
    count = active[key]
    if count == 1:
        del active[key]
    else:
        active[key] = count - 1


def _events(root: Node) -> list[tuple[int, int, int, Node]]:
    """Return (time, is start, order, node) of all nodes below the root: ends first and children's before parents'."""
    events: list[tuple[int, int, int, Node]] = []
    stack = [root]
    n_seen = 0
    while stack:
        node = stack.pop()
        for child in node.children or ():
            n_seen += 1
            # The running number keeps nodes out of the comparison and parents before their children.
            events.append((child.start_ns, 1, n_seen, child))
            events.append((child.end_ns or 0, 0, -n_seen, child))
            if child.children:
                stack.append(child)
    events.sort()
    return events


def calls(root: Node) -> dict[PathKey, int]:
    """Return how often each (component, name) was called, on the path or not; the root counts once as ``own``."""
    counts: dict[PathKey, int] = {root.key: 1}
    stack = [root]
    while stack:
        for child in stack.pop().children or ():
            if child.key[0] in CALLED and child.n_calls:
                counts[child.key] = counts.get(child.key, 0) + 1
            if child.children:
                stack.append(child)
    return counts
