"""What a task is doing, told by the leaves of its tree: counts of open leaves, packed into one integer.

Two tables of components: fine ones for the path, five coarse ones for the live state, because a server tells the
phases of a call only when it is over.

A leaf that opens or ends is one addition, whatever else is open. Which components are active is asked at a scrape:
those whose field is not zero.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

STATES = ("backoff", "llm", "own", "tool", "wait")
"""State components in the order of their fields and bits, which is also the order of their names in a label."""

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

FIELD_BITS = 15
"""Bits of one count: more than a task may have spans."""

LEAF = {component: 1 << FIELD_BITS * STATES.index(coarse) for component, coarse in _COARSE.items()}
"""Path component -> what one open leaf of it adds to the packed counts."""

_FIELD = (1 << FIELD_BITS) - 1

AT_FIRST = (*STATES, "llm+tool")
"""States that exist at 0 as soon as an agent is seen, so that their first seconds show in ``rate()``."""

MAX_KNOWN = 1_000
"""Combinations of counts that are kept apart before they are added up by label."""


def state_label(leaves: int) -> str:
    """Return the label of packed counts: the names that have a leaf, joined with ``+``; empty when nothing is open."""
    return "+".join(name for i, name in enumerate(STATES) if leaves >> FIELD_BITS * i & _FIELD)


class StateSeconds:
    """The nanoseconds of an agent's tasks by what was active in them.

    ``by_leaves`` (packed counts -> ns) is what timelines charge. Thread-safety: under the lock of the ledger.
    """

    __slots__ = ("_by_label", "by_leaves")

    def __init__(self) -> None:
        self.by_leaves: defaultdict[int, int] = defaultdict(int)
        self._by_label = dict.fromkeys(AT_FIRST, 0)

    def by_label(self) -> Mapping[str, int]:
        """Return all nanoseconds so far by state label."""
        by_label = self._by_label
        for leaves, duration_ns in self.by_leaves.items():
            if leaves:
                label = state_label(leaves)
                by_label[label] = by_label.get(label, 0) + duration_ns
        self.by_leaves.clear()
        return by_label

    def bound(self) -> None:
        """Keep the combinations few in a process that nobody scrapes."""
        if len(self.by_leaves) > MAX_KNOWN:
            self.by_label()
