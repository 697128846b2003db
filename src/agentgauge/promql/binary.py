"""Operators: between scalars, a vector and a scalar, and two vectors; set operators.

Theory of operation. ``matching`` finds all pairs of series that ever match and the steps at which they do; here one
NumPy operation computes all pairs at all steps, a comparison then narrows their presence, and rows with equal labels
are joined. A comparison keeps the *left* operand's value, against a scalar the vector's.
Source: Prometheus promql/engine.go (VectorBinop, VectorscalarBinop, scalarBinop, VectorAnd, VectorOr, VectorUnless).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from agentgauge.errors import ExecutionError
from agentgauge.model.labels import Labels
from agentgauge.model.series import Mask, Values
from agentgauge.promql.matching import (
    NOT_UNIQUE,
    Pairs,
    Sides,
    Signatures,
    count_present,
    find_pairs,
    result_labels,
    signature,
)
from agentgauge.promql.naming import RESERVED, drop_names, merged
from agentgauge.promql.nodes import Binary, Matching
from agentgauge.promql.scope import Scope
from agentgauge.promql.values import Scalar, Value, Vector, empty_vector, vector_of

_ARITHMETIC: dict[str, Callable[[Values, Values], Values]] = {
    "%": np.fmod,
    "*": np.multiply,
    "+": np.add,
    "-": np.subtract,
    "/": np.divide,
    "^": np.power,
    "atan2": np.arctan2,
}
_COMPARISONS: dict[str, Callable[[Values, Values], Mask]] = {
    "!=": np.not_equal,
    "<": np.less,
    "<=": np.less_equal,
    "==": np.equal,
    ">": np.greater,
    ">=": np.greater_equal,
}
SET_OPERATORS = frozenset({"and", "or", "unless"})


def binary(scope: Scope, node: Binary, left: Value, right: Value) -> Value:
    """Apply an operator to two evaluated operands."""
    if isinstance(left, Scalar) and isinstance(right, Scalar):
        return Scalar(_elementwise(node.op, left.values, right.values))
    if isinstance(left, Vector) and isinstance(right, Scalar):
        return _with_scalar(scope, node, left, right.values, swapped=False)
    if isinstance(left, Scalar) and isinstance(right, Vector):
        return _with_scalar(scope, node, right, left.values, swapped=True)
    assert isinstance(left, Vector), f"BUG: {node.op} on {left}"
    assert isinstance(right, Vector), f"BUG: {node.op} on {right}"
    matching = node.matching or Matching("many-to-many" if node.op in SET_OPERATORS else "one-to-one")
    if node.op in SET_OPERATORS:
        return _set_operation(node.op, left, right, matching)
    return _matched(scope, node, left, right, matching)


def _elementwise(op: str, left: Values, right: Values) -> Values:
    if op in _ARITHMETIC:
        return _ARITHMETIC[op](left, right)
    return _COMPARISONS[op](left, right).astype(np.float64)


def _with_scalar(scope: Scope, node: Binary, vector: Vector, scalar: Values, *, swapped: bool) -> Vector:
    """Combine each element with the scalar of its step."""
    left, right = (scalar, vector.values) if swapped else (vector.values, scalar)
    if node.op in _ARITHMETIC or node.return_bool:
        values = _elementwise(node.op, left, right)
        return drop_names(scope, Vector(vector.labels, values, vector.present, vector.drop_name))
    kept = _COMPARISONS[node.op](left, right) & vector.present
    return vector_of(vector.labels, vector.values, kept, vector.drop_name)


def _matched(scope: Scope, node: Binary, left: Vector, right: Vector, matching: Matching) -> Vector:
    """Combine the matching elements of two vectors."""
    sides = Sides.of(left, right, matching)
    if not sides.active_steps().any():
        return empty_vector(scope.n_steps)
    scope.query.budget.admit(sides.n_pairs() * scope.n_steps)
    pairs = find_pairs(sides, matching)
    labels = _labels(scope, node, sides, pairs, matching)
    if matching.card != "one-to-one":
        _require_unique(pairs, labels)
    many, one = _operands(sides, pairs)
    first, second = (one, many) if sides.swapped else (many, one)
    present = pairs.present
    if node.op in _ARITHMETIC or node.return_bool:
        values = _elementwise(node.op, first, second)
    else:
        values, present = first, present & _COMPARISONS[node.op](first, second)
    # Prometheus forgets the operands' flags here: only ``bool`` drops the name at the end (delayed mode).
    delayed = scope.query.options.delayed_name_removal and node.return_bool
    return merged(vector_of(labels, values, present, np.full(len(labels), delayed)))


def _operands(sides: Sides, pairs: Pairs) -> tuple[Values, Values]:
    """Return the values (P, K) of both sides, filled in where a side is missing."""
    result = []
    for vector, rows, fill in (
        (sides.many, pairs.many, sides.fill_many),
        (sides.one, pairs.one, sides.fill_one),
    ):
        if vector.n_series == 0:
            result.append(np.full(pairs.present.shape, fill))
        elif fill is None:
            result.append(vector.values[rows])
        else:
            result.append(np.where((rows < 0)[:, None], fill, vector.values[rows]))
    return result[0], result[1]


def _labels(scope: Scope, node: Binary, sides: Sides, pairs: Pairs, matching: Matching) -> list[Labels]:
    """Return the result labels of each pair; a filled-in side has the matching labels only."""
    drop_now = node.op in _ARITHMETIC or (node.return_bool and not scope.query.options.delayed_name_removal)
    reserved, matched = RESERVED if drop_now else frozenset(), signature(matching)
    result = []
    for i, j in zip(pairs.many, pairs.one, strict=True):
        many = sides.many.labels[i] if i >= 0 else matched(sides.one.labels[j])
        one = sides.one.labels[j] if j >= 0 else matched(sides.many.labels[i])
        result.append(result_labels(many, one, matching, reserved))
    return result


def _require_unique(pairs: Pairs, labels: list[Labels]) -> None:
    """Raise ExecutionError when two matches of one signature have equal labels at a step, kept or not."""
    seen: dict[tuple[int, Labels], Mask] = {}
    for number, key, present in zip(pairs.signature, labels, pairs.present, strict=True):
        before = seen.get((int(number), key))
        if before is not None and (before & present).any():
            raise ExecutionError(NOT_UNIQUE)
        seen[int(number), key] = present if before is None else before | present


def _set_operation(op: str, left: Vector, right: Vector, matching: Matching) -> Vector:
    """Apply ``and``, ``or``, ``unless``: presence only, per step and signature."""
    found = Signatures.of(left.labels, right.labels, matching)
    if op == "or":
        taken = count_present(left.present, found.left, found.n) > 0
        rest = right.present & ~taken[found.right]
        return merged(
            vector_of(
                [*left.labels, *right.labels],
                np.concatenate([left.values, right.values]),
                np.concatenate([left.present, rest]),
                np.concatenate([left.drop_name, right.drop_name]),
            )
        )
    there = (count_present(right.present, found.right, found.n) > 0)[found.left]
    present = left.present & (there if op == "and" else ~there)
    return vector_of(left.labels, left.values, present, left.drop_name)
