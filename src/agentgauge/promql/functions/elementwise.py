"""Functions of one instant vector that look at each value alone, and those between vectors and scalars.

A kernel takes (scope, call, args) and returns a value; see ``FUNCTIONS``. Source: Prometheus promql/functions.go.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from agentgauge.model.labels import Labels
from agentgauge.model.series import Mask, Values
from agentgauge.promql.naming import drop_names
from agentgauge.promql.nodes import Call, Node, Paren, Range, Selector
from agentgauge.promql.order import nan_last_order
from agentgauge.promql.scope import Scope
from agentgauge.promql.values import Scalar, Value, Vector, empty_vector, take_rows, vector_of

_EXP_IS_ALL = 21
"""From here on e^-x does not show in e^x + e^-x. Source: Go math/sinh.go."""

CallKernel = Callable[[Scope, Call, Sequence[Value]], Value]


def mapped(fn: Callable[[Values], Values]) -> CallKernel:
    """Make a kernel that applies a NumPy function to each value and drops the names."""

    def kernel(scope: Scope, _call: Call, args: Sequence[Value]) -> Value:
        vector = vector_arg(args[0])
        return drop_names(scope, with_values(vector, fn(vector.values)))

    return kernel


def with_values(vector: Vector, values: Values, present: Mask | None = None) -> Vector:
    """Return the same series with other values."""
    if present is None:
        return Vector(vector.labels, values, vector.present, vector.drop_name)
    return vector_of(vector.labels, values, present, vector.drop_name)


def vector_arg(value: Value) -> Vector:
    """Return an argument that the planner has checked to be an instant vector."""
    assert isinstance(value, Vector), f"BUG: {type(value).__name__} where the planner allows vectors only"
    return value


def scalar_arg(value: Value) -> Values:
    """Return the values (K,) of an argument that the planner has checked to be a scalar."""
    assert isinstance(value, Scalar), f"BUG: {type(value).__name__} where the planner allows scalars only"
    return value.values


def sgn(values: Values) -> Values:
    """Return -1, 1, or the value itself when it is zero or NaN."""
    return np.where(values < 0, -1.0, np.where(values > 0, 1.0, values))


def cosh(values: Values) -> Values:
    """Return the hyperbolic cosine as Go computes it: half of e^|x| where that is all, so infinite from 709.8 on."""
    size = np.abs(values)
    return np.where(size > _EXP_IS_ALL, np.exp(size) * 0.5, np.cosh(values))


def sinh(values: Values) -> Values:
    """Return the hyperbolic sine as Go computes it; see ``cosh``."""
    size = np.abs(values)
    return np.where(size > _EXP_IS_ALL, np.copysign(np.exp(size) * 0.5, values), np.sinh(values))


def degrees(values: Values) -> Values:
    """Turn radians to degrees."""
    return values * 180 / np.pi


def radians(values: Values) -> Values:
    """Turn degrees to radians."""
    return values * np.pi / 180


def rounded(scope: Scope, _call: Call, args: Sequence[Value]) -> Value:
    """Round to a multiple, ties up: floor(x * (1 / n) + 0.5) / (1 / n)."""
    vector = vector_arg(args[0])
    inverse = 1.0 / scalar_arg(args[1]) if len(args) > 1 else 1.0
    return drop_names(scope, with_values(vector, np.floor(vector.values * inverse + 0.5) / inverse))


def go_max(a: Values, b: Values) -> Values:
    """Return the larger one as Go's math.Max does: +Inf beats NaN, NaN beats the rest."""
    return np.where((a == np.inf) | (b == np.inf), np.inf, np.maximum(a, b))


def go_min(a: Values, b: Values) -> Values:
    """Return the smaller one as Go's math.Min does: -Inf beats NaN, NaN beats the rest."""
    return np.where((a == -np.inf) | (b == -np.inf), -np.inf, np.minimum(a, b))


def clamp(scope: Scope, _call: Call, args: Sequence[Value]) -> Value:
    """Limit values to [min, max]; nothing at steps where min is above max."""
    return _clamped(scope, vector_arg(args[0]), scalar_arg(args[1]), scalar_arg(args[2]))


def clamp_min(scope: Scope, _call: Call, args: Sequence[Value]) -> Value:
    """Raise values to a minimum."""
    return _clamped(scope, vector_arg(args[0]), scalar_arg(args[1]), np.array(np.inf))


def clamp_max(scope: Scope, _call: Call, args: Sequence[Value]) -> Value:
    """Lower values to a maximum."""
    return _clamped(scope, vector_arg(args[0]), np.array(-np.inf), scalar_arg(args[1]))


def _clamped(scope: Scope, vector: Vector, low: Values, high: Values) -> Vector:
    values = go_max(low, go_min(high, vector.values))
    return drop_names(scope, with_values(vector, values, vector.present & ~(high < low)))


def scalar(_scope: Scope, _call: Call, args: Sequence[Value]) -> Value:
    """Return the only element's value at each step; NaN where there is none or more than one."""
    vector = vector_arg(args[0])
    lone = vector.present.sum(axis=0) == 1
    total = np.where(vector.present, vector.values, 0.0)
    row = np.argmax(vector.present, axis=0) if vector.n_series else np.zeros(len(lone), np.intp)
    picked = total[row, np.arange(len(lone))] if vector.n_series else np.zeros(len(lone))
    return Scalar(np.where(lone, picked, np.nan))


def vector(_scope: Scope, _call: Call, args: Sequence[Value]) -> Value:
    """Return a scalar as a vector with one element without labels."""
    values = scalar_arg(args[0])[None, :]
    return vector_of([()], values, np.ones(values.shape, np.bool_))


def pi(scope: Scope, _call: Call, _args: Sequence[Value]) -> Value:
    """Return pi."""
    return Scalar(np.full(scope.n_steps, np.pi))


def max_of(_scope: Scope, _call: Call, args: Sequence[Value]) -> Value:
    """Return the larger of two scalars."""
    return Scalar(go_max(scalar_arg(args[0]), scalar_arg(args[1])))


def min_of(_scope: Scope, _call: Call, args: Sequence[Value]) -> Value:
    """Return the smaller of two scalars."""
    return Scalar(go_min(scalar_arg(args[0]), scalar_arg(args[1])))


def absent(scope: Scope, call: Call, args: Sequence[Value]) -> Value:
    """Return 1 at the steps where the vector is empty, labelled by what the selector asks for."""
    return absence(scope, call.args[0], vector_arg(args[0]).seen())


def absence(scope: Scope, node: Node, seen: Mask) -> Vector:
    """Return 1 where nothing was seen (K,); the labels are those that ``=`` matchers of a selector pin down."""
    present = ~seen[None, :]
    if not present.any():
        return empty_vector(scope.n_steps)
    return vector_of([_pinned_labels(node)], np.ones(present.shape), present)


def _pinned_labels(node: Node) -> Labels:
    while isinstance(node, Paren):
        node = node.expr
    selector = node.selector if isinstance(node, Range) else node
    return selector.pinned if isinstance(selector, Selector) else ()


def sort(scope: Scope, call: Call, args: Sequence[Value]) -> Value:
    """Order by value, NaN last."""
    return _sorted_by_value(scope, call, vector_arg(args[0]), descending=False)


def sort_desc(scope: Scope, call: Call, args: Sequence[Value]) -> Value:
    """Order by value, largest first, NaN last."""
    return _sorted_by_value(scope, call, vector_arg(args[0]), descending=True)


def _sorted_by_value(scope: Scope, call: Call, vector: Vector, *, descending: bool) -> Vector:
    warn_if_range(scope, call)
    rows = nan_last_order(vector.values[:, 0], descending=descending)
    return take_rows(vector, rows, ordered=True)  # type: ignore[arg-type]


def warn_if_range(scope: Scope, call: Call) -> None:
    """Warn that sorting does nothing at more than one step."""
    if scope.n_steps > 1:
        text = "sort is ineffective for range queries since results are always ordered by labels"
        scope.query.annotations.warn(text, call.pos)
