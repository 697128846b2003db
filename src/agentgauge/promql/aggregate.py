"""Aggregations that fold each group to one value per step: sum, avg, count, min, max, group, stddev, stdvar, quantile.

Two ways. ``aggregated`` works on a whole vector, element by element in the order of the series, which gives
Prometheus' last bits. ``fused`` folds the windows of a range function block by block, so that the matrix of series x
steps never exists; there sums are plain (at most 5e-14 relative from Prometheus', promql.md section 4).
Source: Prometheus promql/engine.go (aggregation, rangeEvalAgg).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from agentgauge.model.series import Mask, Values
from agentgauge.promql.grouping import Groups, Positions, group_key
from agentgauge.promql.nodes import Aggregate
from agentgauge.promql.order import quantile_sorted
from agentgauge.promql.scope import Scope
from agentgauge.promql.summation import RunningMean, RunningSum, RunningVariance
from agentgauge.promql.values import Scalar, Value, Vector, empty_vector, vector_of

_LONG_GROUP = 128
"""Members that are summed one after the other; a longer group is cut into parts whose sums are then summed."""


def aggregated(scope: Scope, node: Aggregate, vector: Vector, param: Value | None) -> Vector:
    """Fold the groups of a vector."""
    if node.op == "quantile":
        _check_quantile(scope, node, param)
    if vector.n_series == 0:
        return empty_vector(scope.n_steps)
    groups = Groups(group_key(node))
    numbers = groups.of(vector.labels)
    order = np.argsort(numbers, kind="stable")
    cuts = np.searchsorted(numbers[order], np.arange(len(groups)))
    present = np.logical_or.reduceat(vector.present[order], cuts, axis=0)
    if node.op == "quantile":
        assert isinstance(param, Scalar), "BUG: quantile without a scalar"
        values = _quantile(vector, Positions.of(numbers, len(groups)), param.values)
    else:
        values = _FOLDS[node.op](vector, Positions.of(numbers, len(groups)), order, cuts)
    flags = np.logical_or.reduceat(vector.drop_name[order], cuts)
    return vector_of(groups.labels, values, present, flags)


Fold = Callable[[Vector, Positions, NDArray[np.intp], NDArray[np.intp]], Values]


def _members(vector: Vector, positions: Positions) -> Iterator[tuple[slice | NDArray[np.intp], Values, Mask | None]]:
    """Yield the p-th members of all groups at once: which groups have one, its values and presence, None for all."""
    n_all, everywhere = int(positions.sizes.min()), bool(vector.present.all())
    for p in range(int(positions.sizes.max())):
        groups = slice(None) if p < n_all else np.flatnonzero(positions.sizes > p)
        rows = positions.order[positions.starts[groups] + p]
        yield groups, vector.values[rows], None if everywhere else vector.present[rows]


def _sum(vector: Vector, positions: Positions, _order: NDArray[np.intp], _cuts: NDArray[np.intp]) -> Values:
    """Add up each group in the order of its series; long groups in parts."""
    parts, owner = positions.split(_LONG_GROUP)
    running = RunningSum.zeros((len(owner), vector.values.shape[1]))
    for groups, values, present in _members(vector, parts):
        running.add(values, present, groups)
    if len(owner) == len(positions.sizes):
        return running.result()
    total = RunningSum.zeros((len(positions.sizes), vector.values.shape[1]))
    for part, group in enumerate(owner):
        total.add(running.total[part], None, group)
        total.comp[group] += running.comp[part]
    return total.result()


def _avg(vector: Vector, positions: Positions, order: NDArray[np.intp], cuts: NDArray[np.intp]) -> Values:
    """Average each group; the incremental way only where the sum overflows."""
    if positions.sizes.max() > _LONG_GROUP:
        total = _sum(vector, positions, order, cuts)
        if np.isfinite(total).all():
            return total / _count(vector, positions, order, cuts)
    running = RunningMean.zeros((len(positions.sizes), vector.values.shape[1]))
    for groups, values, present in _members(vector, positions):
        running.add(values, present, groups)
    return running.result()


def _count(vector: Vector, _positions: Positions, order: NDArray[np.intp], cuts: NDArray[np.intp]) -> Values:
    counts: Values = np.add.reduceat(vector.present[order].astype(np.float64), cuts, axis=0)
    return counts


def _group(vector: Vector, positions: Positions, _order: NDArray[np.intp], _cuts: NDArray[np.intp]) -> Values:
    return np.ones((len(positions.sizes), vector.values.shape[1]))


def _min(vector: Vector, _positions: Positions, order: NDArray[np.intp], cuts: NDArray[np.intp]) -> Values:
    """Return the smallest value; NaN, which stands in for absent cells here, only where there is no other."""
    low: Values = np.fmin.reduceat(np.where(vector.present, vector.values, np.nan)[order], cuts, axis=0)
    return low


def _max(vector: Vector, _positions: Positions, order: NDArray[np.intp], cuts: NDArray[np.intp]) -> Values:
    high: Values = np.fmax.reduceat(np.where(vector.present, vector.values, np.nan)[order], cuts, axis=0)
    return high


def _stdvar(vector: Vector, positions: Positions, _order: NDArray[np.intp], _cuts: NDArray[np.intp]) -> Values:
    running = RunningVariance.zeros((len(positions.sizes), vector.values.shape[1]))
    for groups, values, present in _members(vector, positions):
        running.add(values, present, groups)
    return running.result()


def _stddev(vector: Vector, positions: Positions, order: NDArray[np.intp], cuts: NDArray[np.intp]) -> Values:
    return np.sqrt(_stdvar(vector, positions, order, cuts))


_FOLDS: dict[str, Fold] = {
    "avg": _avg,
    "count": _count,
    "group": _group,
    "max": _max,
    "min": _min,
    "stddev": _stddev,
    "stdvar": _stdvar,
    "sum": _sum,
}


def _quantile(vector: Vector, positions: Positions, q: Values) -> Values:
    """Return each group's q-quantile. Absent cells sort behind everything, NaN values among them."""
    result = np.empty((len(positions.sizes), vector.values.shape[1]))
    for group, (start, size) in enumerate(zip(positions.starts, positions.sizes, strict=True)):
        rows = positions.order[start : start + size]
        present = vector.present[rows]
        values = np.sort(np.where(present, vector.values[rows], np.nan), axis=0)[None]
        n_nan = (np.isnan(vector.values[rows]) & present).sum(axis=0)
        n = np.maximum(present.sum(axis=0), 1)
        result[group] = quantile_sorted(values, n_nan[None], q[None], n[None])[0]
    return result


def _check_quantile(scope: Scope, node: Aggregate, param: Value | None) -> None:
    """Warn about NaN, the largest parameter above 1 and the smallest below 0."""
    assert isinstance(param, Scalar), "BUG: quantile without a scalar"
    assert node.param is not None, "BUG: quantile without a parameter"
    q = param.values
    if np.isnan(q).any():
        scope.query.annotations.bad_quantile(float("nan"), node.param.pos)
    known = q[~np.isnan(q)]
    if len(known) and known.max() > 1:
        scope.query.annotations.bad_quantile(float(known.max()), node.param.pos)
    if len(known) and known.min() < 0:
        scope.query.annotations.bad_quantile(float(known.min()), node.param.pos)
