"""Nodes to canonical PromQL: planning the text again gives an equal tree.

Source: Prometheus ``promql/parser/printer.go``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from agentgauge.model.labels import METRIC_NAME, Matcher
from agentgauge.promql.nodes import (
    Aggregate,
    At,
    AtEdge,
    Binary,
    Call,
    Matching,
    Negate,
    Node,
    Number,
    Paren,
    Range,
    Selector,
    String,
    Subquery,
)
from agentgauge.promql.numbers import format_duration_ms, format_plain
from agentgauge.promql.quote import go_quote

_METRIC = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_NOT_METRICS = frozenset({
    "and", "or", "unless", "atan2", "bool", "by", "group_left", "group_right", "ignoring", "inf", "nan", "offset",
    "on", "without",
})  # fmt: skip


def render_node(node: Node) -> str:
    """Print a node and what is below it as one line of PromQL."""
    match node:
        case Number(value=value):
            return format_plain(value)
        case String(value=value):
            return go_quote(value)
        case Selector():
            return _selector(node) + _modifiers(node.offset_ms, node.at)
        case Range(selector=selector):
            window = f"[{format_duration_ms(node.range_ms)}]"
            return _selector(selector) + window + _modifiers(selector.offset_ms, selector.at)
        case Subquery():
            step = format_duration_ms(node.step_ms) if node.step_ms else ""
            window = f"[{format_duration_ms(node.range_ms)}:{step}]"
            return render_node(node.expr) + window + _modifiers(node.offset_ms, node.at)
        case Call(function=function, args=args):
            return f"{function}({', '.join(map(render_node, args))})"
        case Aggregate():
            return _aggregate(node)
        case Binary(left=left, right=right):
            word = node.op + (" bool" if node.return_bool else "")
            return f"{render_node(left)} {word}{_matching(node.matching)} {render_node(right)}"
        case Negate(expr=expr):
            return "-" + render_node(expr)
        case Paren(expr=expr):
            return f"({render_node(expr)})"


def matcher_text(matcher: Matcher) -> str:
    """Print one matcher: ``name="value"``, the name quoted when it is not an identifier."""
    return f"{_label(matcher.name)}{matcher.op}{go_quote(matcher.value)}"


def canonical_matchers(matchers: Iterable[Matcher]) -> tuple[Matcher, ...]:
    """Order matchers as they are printed, the metric's name first."""
    return tuple(sorted(matchers, key=lambda matcher: (matcher.name != METRIC_NAME, matcher_text(matcher))))


def _selector(selector: Selector) -> str:
    names = [m.value for m in selector.matchers if m.name == METRIC_NAME and m.op == "="]
    name = names[0] if len(names) == 1 and _is_metric(names[0]) else ""
    texts = [
        matcher_text(matcher)
        for matcher in selector.matchers
        if not (name and matcher.name == METRIC_NAME and matcher.op == "=")
    ]
    return name + ("{" + ",".join(sorted(texts)) + "}" if texts else "")


def _is_metric(name: str) -> bool:
    return _METRIC.fullmatch(name) is not None and name.lower() not in _NOT_METRICS


def _modifiers(offset_ms: int, at: At) -> str:
    text = ""
    if isinstance(at, AtEdge):
        text = f" @ {at.value}"
    elif at is not None:
        seconds, rest = divmod(abs(at), 1000)
        text = f" @ {'-' if at < 0 else ''}{seconds}.{rest:03d}"
    return text + (f" offset {format_duration_ms(offset_ms)}" if offset_ms else "")


def _aggregate(node: Aggregate) -> str:
    grouping = ""
    if node.without:
        grouping = f" without ({_labels(node.grouping)}) "
    elif node.grouping:
        grouping = f" by ({_labels(node.grouping)}) "
    param = "" if node.param is None else render_node(node.param) + ", "
    return f"{node.op}{grouping}({param}{render_node(node.expr)})"


def _matching(matching: Matching | None) -> str:
    if matching is None:
        return ""
    text = ""
    grouped = matching.card in ("many-to-one", "one-to-many")
    if matching.labels or matching.on or grouped:
        text = f" {'on' if matching.on else 'ignoring'} ({_labels(matching.labels)})"
    if grouped:
        side = "left" if matching.card == "many-to-one" else "right"
        text += f" group_{side} ({_labels(matching.include)})"
    return text + _fill(matching.fill_left, matching.fill_right)


def _fill(left: float | None, right: float | None) -> str:
    left_text = None if left is None else format_plain(left)
    right_text = None if right is None else format_plain(right)
    if left_text == right_text:
        return "" if left_text is None else f" fill ({left_text})"
    text = "" if left_text is None else f" fill_left ({left_text})"
    return text + ("" if right_text is None else f" fill_right ({right_text})")


def _labels(names: Iterable[str]) -> str:
    return ", ".join(map(_label, names))


def _label(name: str) -> str:
    return name if _LABEL.fullmatch(name) else go_quote(name)
