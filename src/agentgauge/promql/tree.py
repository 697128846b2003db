"""Questions about a planned expression: what is under its parentheses, which selectors, does it vary with time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from agentgauge.model.labels import Matcher
from agentgauge.promql.functions import FUNCTIONS
from agentgauge.promql.nodes import (
    Aggregate,
    Binary,
    Call,
    Negate,
    Node,
    Number,
    Paren,
    Range,
    Selector,
    String,
    Subquery,
    bare,
    children,
)

__all__ = ["bare", "is_step_invariant", "repeated_selectors", "selectors"]


def repeated_selectors(node: Node) -> frozenset[tuple[Matcher, ...]]:
    """Return the matchers that stand in an expression more than once."""
    counts = Counter(selector.matchers for selector in selectors(node))
    return frozenset(matchers for matchers, n in counts.items() if n > 1)


def selectors(node: Node) -> Iterator[Selector]:
    """Yield all selectors, from left to right."""
    if isinstance(node, Selector):
        yield node
    elif isinstance(node, Range):
        yield node.selector
    for child in children(node):
        yield from selectors(child)


def is_step_invariant(node: Node) -> bool:
    """Tell whether a value is the same at every step: all selectors pinned, no function of time."""
    match node:
        case Number() | String():
            return True
        case Selector() | Subquery():
            return node.at is not None
        case Range():
            return node.selector.at is not None
        case Paren() | Negate():
            return is_step_invariant(node.expr)
        case Binary():
            return is_step_invariant(node.left) and is_step_invariant(node.right)
        case Aggregate():
            # The parameter does not count: Prometheus takes its first value then (preprocessExprHelper).
            return is_step_invariant(node.expr)
        case Call():
            varies = FUNCTIONS[node.function].varies if node.function in FUNCTIONS else True
            if node.function == "timestamp" and isinstance(bare(node.args[0]), Selector):
                varies = False
            return not varies and all(is_step_invariant(arg) for arg in node.args)
