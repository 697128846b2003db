"""Aggregations of one query that look at the same windows, found so that they are folded in one pass.

A share is asked as ``sum(rate(x{status="error"}[5m])) by (a) / sum(rate(x[5m])) by (a)``: all that the left side reads
is among what the right side reads. A *family* is such a set of aggregations: the same function over the same range,
offset and ``@``, at the same steps, whose matchers all include those of its *widest* member. Subqueries have steps of
their own, so families do not cross their border.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from agentgauge.model.labels import Labels, Matcher, label_value
from agentgauge.promql.nodes import Aggregate, Call, Node, Range, Selector, Subquery, bare, children
from agentgauge.promql.regex import compile_re2


@dataclass(frozen=True, slots=True)
class Member:
    """One aggregation of a family. ``extra``: its matchers that the widest member does not have."""

    node: Aggregate
    extra: tuple[Matcher, ...] = ()


@dataclass(frozen=True, slots=True)
class Family:
    """Aggregations that are folded in one pass over the series of the first one."""

    members: tuple[Member, ...]


def families(node: Node) -> Mapping[Aggregate, Family]:
    """Return the family of each aggregation that can share its windows with another, or stands there twice."""
    found: dict[Aggregate, Family] = {}
    for scope in _scopes(node):
        by_window: dict[object, list[tuple[Aggregate, Selector]]] = {}
        for aggregate in scope:
            selector, window = _windows(aggregate)
            if selector is not None:
                by_window.setdefault(window, []).append((aggregate, selector))
        for ones in by_window.values():
            if len(ones) > 1:
                found.update(_families_of(ones))
    return found


def selects(matchers: tuple[Matcher, ...]) -> Callable[[Labels], bool]:
    """Return a test of label sets; a missing label counts as empty."""
    tests = [(matcher.name, _test(matcher)) for matcher in matchers]
    return lambda labels: all(test(label_value(labels, name)) for name, test in tests)


def _test(matcher: Matcher) -> Callable[[str], bool]:
    known: dict[str, bool] = {}
    pattern = compile_re2(matcher.value) if matcher.op in {"=~", "!~"} else None
    positive = matcher.op in {"=", "=~"}

    def test(value: str) -> bool:
        if value not in known:
            same = value == matcher.value if pattern is None else pattern.fullmatch(value) is not None
            known[value] = same == positive
        return known[value]

    return test


def _scopes(node: Node) -> Iterator[list[Aggregate]]:
    """Yield the aggregations that are evaluated at the same steps, once for the query and for every subquery."""
    here: list[Aggregate] = []
    waiting, bodies = [node], []
    while waiting:
        one = waiting.pop()
        if isinstance(one, Subquery):
            bodies.append(one.expr)
            continue
        if isinstance(one, Aggregate):
            here.append(one)
        waiting += children(one)
    yield here
    for body in bodies:
        yield from _scopes(body)


def _windows(node: Aggregate) -> tuple[Selector | None, object]:
    """Return what an aggregation selects and what else decides its windows; None where it cannot share."""
    inner = bare(node.expr)
    if isinstance(inner, Selector):
        return inner, (None, 0, inner.offset_ms, inner.at)
    if isinstance(inner, Call) and len(inner.args) == 1:
        window = bare(inner.args[0])
        if isinstance(window, Range):
            selector = window.selector
            return selector, (inner.function, window.range_ms, selector.offset_ms, selector.at)
    return None, None


def _families_of(ones: list[tuple[Aggregate, Selector]]) -> dict[Aggregate, Family]:
    found: dict[Aggregate, Family] = {}
    ones = sorted(ones, key=lambda one: len(one[1].matchers))
    while ones:
        shared = frozenset(ones[0][1].matchers)
        inside = [one for one in ones if shared.issubset(one[1].matchers)]
        ones = [one for one in ones if not shared.issubset(one[1].matchers)]
        if len(inside) > 1:
            members = {node: Member(node, _extra(selector, shared)) for node, selector in inside}
            family = Family(tuple(members.values()))
            found.update(dict.fromkeys(members, family))
    return found


def _extra(selector: Selector, shared: frozenset[Matcher]) -> tuple[Matcher, ...]:
    return tuple(dict.fromkeys(matcher for matcher in selector.matchers if matcher not in shared))
