"""PromQL text to nodes: the only module that knows the parser's wheel.

``rewrite.py`` hands the wheel a skeleton and keeps what it would get wrong; the wheel's tree is walked once, in
source order, and every placeholder is turned back. Its objects are opaque and each attribute access makes a new one,
so nothing of it is kept.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any

import promql_parser

from agentgauge.errors import BadQuery
from agentgauge.model.labels import Matcher
from agentgauge.promql.matchers import pinned_labels
from agentgauge.promql.nodes import (
    Aggregate,
    At,
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
    Window,
)
from agentgauge.promql.render import canonical_matchers
from agentgauge.promql.rewrite import Gates, LiteralEntry, NamesEntry, SelectorEntry, Skeleton, rewrite
from agentgauge.promql.tokens import Token, parse_error

MAX_TEXT_BYTES = 64 * 1024

_CARDINALITIES = {
    "OneToOne": "one-to-one",
    "ManyToOne": "many-to-one",
    "OneToMany": "one-to-many",
    "ManyToMany": "many-to-many",
}
_SET_OPERATORS = frozenset({"and", "or", "unless"})
_TYPE_WORDS = {"matrix": "range vector", "vector": "instant vector", "scalar": "scalar", "string": "string"}


@dataclass(frozen=True, slots=True)
class PlanOptions:
    """Which optional parts of the language are on; ``fold_window`` False keeps ``start()`` and kin as calls."""

    experimental_functions: bool = False
    fill_modifiers: bool = False
    fold_window: bool = True


def plan(text: str, window: Window, options: PlanOptions = PlanOptions()) -> Node:
    """Turn a query's text into nodes.

    Raises:
        BadQuery: the text is not PromQL, or larger or deeper than the limits; ``line:column`` where it is known.
        NotSupported: stable PromQL that the embedded engine leaves out.
    """
    if len(text) > MAX_TEXT_BYTES or len(text.encode("utf-8", "replace")) > MAX_TEXT_BYTES:
        raise BadQuery(f"1:1: parse error: query text is larger than {MAX_TEXT_BYTES // 1024} KiB")
    gates = Gates(options.experimental_functions, options.fill_modifiers, options.fold_window)
    skeleton = rewrite(text, window, gates)
    return _Conversion(text, skeleton).node(_parse(text, skeleton))


def selector_matchers(text: str) -> tuple[Matcher, ...]:
    """Read a series selector, as ``match[]`` carries it.

    Raises:
        BadQuery: anything but an instant vector selector.
    """
    node = plan(text, Window(0, 0))
    while isinstance(node, Paren):
        node = node.expr
    if not isinstance(node, Selector) or node.offset_ms or node.at is not None:
        raise BadQuery("1:1: parse error: a series selector is a metric name or label matchers, without modifiers")
    return node.matchers


def result_type(node: Node) -> str:
    """Return ``scalar``, ``string``, ``vector`` or ``matrix``: what an instant query of the node gives."""
    match node:
        case Number():
            return "scalar"
        case String():
            return "string"
        case Range() | Subquery():
            return "matrix"
        case Paren(expr=expr) | Negate(expr=expr):
            return result_type(expr)
        case Call(function=function):
            return "scalar" if function in _SCALAR_FUNCTIONS else "vector"
        case Binary(left=left, right=right):
            return "scalar" if result_type(left) == result_type(right) == "scalar" else "vector"
    return "vector"


_SCALAR_FUNCTIONS = frozenset({"time", "pi", "scalar", "min_of", "max_of", "start", "end", "range", "step"})


def _parse(text: str, skeleton: Skeleton) -> Any:
    try:
        return promql_parser.parse(skeleton.text)
    except ValueError as error:
        raise _translated(text, skeleton, str(error)) from None
    except BaseException as error:
        if type(error).__name__ != "PanicException":  # the wheel's panics are no Exception and have no public name
            raise
        raise parse_error(text, 0, "the parser gave up on this expression") from None


def _translated(text: str, skeleton: Skeleton, message: str) -> BadQuery:
    """Give the wheel's message Prometheus' words, and the column of the call it is about."""
    message = re.sub(r"'([^']*)'", r'"\1"', message)
    message = re.sub(
        r"expected type (\w+)(.*), got (\w+)",
        lambda m: f"expected type {_typed(m[1])}{m[2]}, got {_typed(m[3])}",
        message,
    )
    called = re.search(r'"(\w+)"', message)
    pos = next((name.pos for name in skeleton.names if called and name.text == called[1]), 0)
    return parse_error(text, pos, message)


def _typed(word: str) -> str:
    return _TYPE_WORDS.get(word, word)


class _Conversion:
    """Walks the wheel's tree in source order and turns placeholders back."""

    def __init__(self, text: str, skeleton: Skeleton) -> None:
        self._text = text
        self._skeleton = skeleton
        self._names = iter(skeleton.names)
        self._parens = iter(skeleton.parens)

    def node(self, expr: Any) -> Node:
        """Convert one node and what is below it."""
        convert = getattr(self, f"_{type(expr).__name__}")
        converted: Node = convert(expr)
        return converted

    def _NumberLiteral(self, expr: Any) -> Node:
        placeholder = expr.val
        entry = self._literal(abs(placeholder))
        value = float(entry.value)  # type: ignore[arg-type]
        pos = self._before_signs(entry.pos) if placeholder < 0 else entry.pos
        return Number(math.copysign(1, placeholder) * value if value == value else value, pos)

    def _StringLiteral(self, expr: Any) -> Node:
        entry = self._literal(int(expr.val))
        return String(str(entry.value), entry.pos)

    def _VectorSelector(self, expr: Any) -> Selector:
        entry = self._skeleton.entries[int(expr.name[1:])]
        assert isinstance(entry, SelectorEntry), f"BUG: {expr.name} is {entry}"
        matchers, pinned = canonical_matchers(entry.matchers), pinned_labels(entry.matchers)
        return Selector(matchers, self._offset(expr), self._at(expr), entry.pos, pinned)

    def _MatrixSelector(self, expr: Any) -> Node:
        selector = self._VectorSelector(expr.vector_selector)
        return Range(selector, self._milliseconds(expr.range), selector.pos)

    def _SubqueryExpr(self, expr: Any) -> Node:
        inner = self.node(expr.expr)
        step = expr.step
        step_ms = 0 if step is None else self._milliseconds(step)
        return Subquery(inner, self._milliseconds(expr.range), step_ms, self._offset(expr), self._at(expr), inner.pos)

    def _ParenExpr(self, expr: Any) -> Node:
        pos = next(self._parens)
        return Paren(self.node(expr.expr), pos)

    def _UnaryExpr(self, expr: Any) -> Node:
        inner = self.node(expr.expr)
        pos = self._skeleton.signs.get(inner.pos, inner.pos)
        while pos not in self._skeleton.minus and pos in self._skeleton.signs:
            pos = self._skeleton.signs[pos]
        return Negate(inner, pos)

    def _Call(self, expr: Any) -> Node:
        name = self._name(str(expr.func.name))
        return Call(str(expr.func.name), tuple(self.node(arg) for arg in expr.args), name.pos)

    def _AggregateExpr(self, expr: Any) -> Node:
        op = str(expr.op)
        name = self._name(op)
        param, modifier = expr.param, expr.modifier
        converted = None if param is None else self.node(param)
        grouping = () if modifier is None else self._label_names(modifier.labels)
        without = modifier is not None and str(modifier.type).endswith("Without")
        return Aggregate(op, self.node(expr.expr), converted, grouping, without, name.pos)

    def _BinaryExpr(self, expr: Any) -> Node:
        left, right = self.node(expr.lhs), self.node(expr.rhs)
        op, modifier = str(expr.op), expr.modifier
        return_bool = modifier is not None and bool(modifier.return_bool)
        matching = None
        if result_type(left) == result_type(right) == "vector":
            matching = self._matching(op, modifier)
        return Binary(op, left, right, matching, return_bool, left.pos)

    def _matching(self, op: str, modifier: Any) -> Matching:
        if modifier is None:
            return Matching("many-to-many" if op in _SET_OPERATORS else "one-to-one")
        card: Any = _CARDINALITIES[str(modifier.card).rpartition(".")[2]]
        labels: tuple[str, ...] = ()
        on, written = False, modifier.matching
        if written is not None:
            labels, on = self._label_names(written.labels), str(written.type).endswith("Include")
        fill = modifier.fill_values
        return Matching(
            "many-to-many" if op in _SET_OPERATORS else card,
            on,
            labels,
            self._label_names(modifier.group_labels or ()),
            None if fill is None else self._fill(fill.lhs),
            None if fill is None else self._fill(fill.rhs),
        )

    def _fill(self, placeholder: float | None) -> float | None:
        return None if placeholder is None else float(self._literal(placeholder).value)  # type: ignore[arg-type]

    def _label_names(self, placeholders: Any) -> tuple[str, ...]:
        names: tuple[str, ...] = ()
        for placeholder in placeholders:
            entry = self._skeleton.entries[int(placeholder[1:])]
            assert isinstance(entry, NamesEntry), f"BUG: {placeholder} is {entry}"
            names += entry.names
        return names

    def _name(self, called: str) -> Token:
        token = next(self._names)
        assert token.word == called.lower(), f"BUG: {called} met at {token}"
        return token

    def _literal(self, placeholder: float) -> LiteralEntry:
        entry = self._skeleton.entries[int(placeholder)]
        assert isinstance(entry, LiteralEntry), f"BUG: {placeholder} is {entry}"
        return entry

    def _milliseconds(self, placeholder: Any) -> int:
        return int(self._literal(placeholder.total_seconds()).value)  # type: ignore[arg-type]

    def _offset(self, expr: Any) -> int:
        offset = expr.offset
        return 0 if offset is None else self._milliseconds(offset)

    def _at(self, expr: Any) -> At:
        at = expr.at
        if at is None:
            return None
        return self._literal(float(str(at)[2:])).value  # type: ignore[return-value]

    def _before_signs(self, pos: int) -> int:
        return self._skeleton.signs.get(pos, pos)
