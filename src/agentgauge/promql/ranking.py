"""Aggregations that select elements or count values: topk, bottomk, limitk, limit_ratio, count_values.

Elements keep their labels. Source: Prometheus promql/engine.go (aggregationK, aggregationCountValues).
"""

from __future__ import annotations

import numpy as np

from agentgauge.errors import ExecutionError
from agentgauge.model.labels import Labels, labels_from_pairs
from agentgauge.model.series import Mask, Values
from agentgauge.promql.grouping import Groups, Positions, group_key
from agentgauge.promql.hashing import ratio_of_labels
from agentgauge.promql.nodes import Aggregate, String
from agentgauge.promql.numbers import format_g, format_plain
from agentgauge.promql.order import nan_last_order
from agentgauge.promql.quote import go_quote
from agentgauge.promql.scope import Scope
from agentgauge.promql.values import Scalar, Value, Vector, empty_vector, take_rows, vector_of

RANKINGS = frozenset({"topk", "bottomk", "limitk", "limit_ratio"})

_MAX_INT64, _MIN_INT64 = 9223372036854775807.0, -9223372036854775808.0


def ranked(scope: Scope, node: Aggregate, vector: Vector, param: Value | None) -> Vector:
    """Select elements of each group: topk, bottomk, limitk, limit_ratio."""
    assert isinstance(param, Scalar), f"BUG: {node.op} without a scalar"
    if node.op == "limit_ratio":
        return _limit_ratio(scope, node, vector, param.values)
    if not _check_k(param.values) or vector.n_series == 0:
        return empty_vector(scope.n_steps)
    groups = Groups(group_key(node))
    positions = Positions.of(groups.of(vector.labels), len(groups))
    k = np.trunc(param.values)
    picked = np.zeros(vector.present.shape, np.bool_)
    rows_in_order: list[int] = []
    for start, size in zip(positions.starts, positions.sizes, strict=True):
        rows = positions.order[start : start + size]
        order = _order(node.op, vector.values[rows], vector.present[rows])
        rank = np.empty(order.shape, np.intp)
        np.put_along_axis(rank, order, np.arange(len(rows))[:, None], axis=0)
        picked[rows] = vector.present[rows] & (rank < k)
        rows_in_order += [int(row) for row in rows[order[:, 0]] if picked[row, 0]]
    if scope.n_steps == 1:
        return take_rows(vector, rows_in_order, ordered=node.op != "limitk")
    return vector_of(vector.labels, vector.values, picked, vector.drop_name)


def _check_k(k: Values) -> bool:
    """Tell whether any step asks for an element. Raises ExecutionError for NaN and what no int64 holds."""
    if np.isnan(k).any():
        raise ExecutionError("Parameter value is NaN")
    if k.max() < 1:
        return False
    if k.min() <= _MIN_INT64:
        raise ExecutionError(f"Scalar value {format_g(float(k.min()))} underflows int64")
    if k.max() >= _MAX_INT64:
        raise ExecutionError(f"Scalar value {format_g(float(k.max()))} overflows int64")
    return True


def _order(op: str, values: Values, present: Mask) -> np.ndarray:
    """Return the places (size, K) of a group's elements: best first, NaN behind, absent ones last."""
    if op == "limitk":
        return np.argsort(~present, axis=0, kind="stable")
    by_value = nan_last_order(values, descending=op == "topk")
    absent = np.take_along_axis(~present, by_value, axis=0)
    return np.take_along_axis(by_value, np.argsort(absent, axis=0, kind="stable"), axis=0)


def _limit_ratio(scope: Scope, node: Aggregate, vector: Vector, ratio: Values) -> Vector:
    """Keep a share of the elements by the hash of their labels; a negative ratio keeps the complement."""
    if (ratio == 0).all():
        return empty_vector(scope.n_steps)
    if np.isnan(ratio).any():
        raise ExecutionError("Ratio value is NaN")
    assert node.param is not None, "BUG: limit_ratio without a parameter"
    for extreme, limit in ((ratio.max(), 1.0), (ratio.min(), -1.0)):
        if abs(extreme) > 1 and np.sign(extreme) == limit:
            text = f"ratio value should be between -1 and 1, got {format_g(float(extreme))}, capping to {limit:g}"
            scope.query.annotations.warn(text, node.param.pos)
    share = np.clip(ratio, -1.0, 1.0)
    place = np.array([ratio_of_labels(labels) for labels in vector.labels]).reshape(-1, 1)
    kept = np.where(share >= 0, place < share, place >= 1.0 + share)
    return vector_of(vector.labels, vector.values, vector.present & kept, vector.drop_name)


def count_values(scope: Scope, node: Aggregate, vector: Vector) -> Vector:
    """Count the elements of each group that share a value; the value becomes a label."""
    name = _label_name(scope, node)
    key = group_key(
        node if node.without else Aggregate(node.op, node.expr, None, (*node.grouping, name), False, node.pos)
    )
    counts: dict[Labels, Values] = {}
    for row, labels in enumerate(vector.labels):
        scope.query.check()
        rest = [pair for pair in labels if pair[0] != name]
        for value, steps in _distinct(vector.values[row], vector.present[row]):
            group = key(labels_from_pairs([*rest, (name, format_plain(value))]))
            if group not in counts:
                scope.query.budget.hold(scope.n_steps)
                counts[group] = np.zeros(scope.n_steps)
            counts[group][steps] += 1
    if not counts:
        return empty_vector(scope.n_steps)
    values = np.array(list(counts.values()))
    return vector_of(list(counts), values, values > 0)


def _distinct(values: Values, present: Mask) -> list[tuple[float, Mask]]:
    """Return the distinct values of a row and where they are; -0 and 0 differ, all NaN are one."""
    bits = np.where(np.isnan(values), np.nan, values).view(np.int64)
    return [(float(np.int64(one).view(np.float64)), (bits == one) & present) for one in np.unique(bits[present])]


def _label_name(scope: Scope, node: Aggregate) -> str:
    assert isinstance(node.param, String), "BUG: the planner lets count_values without a string through"
    name = node.param.value
    if not scope.query.options.allows_label(name):
        raise ExecutionError(f"invalid label name {go_quote(name)}")
    return name
