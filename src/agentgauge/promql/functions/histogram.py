"""Classic histograms: quantiles and fractions of ``le`` buckets.

A histogram is a group of series that differ in ``le`` only. Its buckets are a table, bounds x steps; where series are
absent at some steps, each set of present buckets is a histogram of its own for these steps.
Source: Prometheus promql/quantile.go (BucketQuantile, BucketFraction), functions.go.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agentgauge.model.labels import METRIC_NAME, Labels, label_value, labels_from_pairs
from agentgauge.model.series import Mask, Values
from agentgauge.promql.annotations import Repair
from agentgauge.promql.functions.elementwise import scalar_arg, vector_arg
from agentgauge.promql.naming import drop_names
from agentgauge.promql.nodes import Call, String
from agentgauge.promql.numbers import format_open_metrics
from agentgauge.promql.scope import Scope
from agentgauge.promql.values import Value, Vector, empty_vector, vector_of

_FLOAT = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?|[+-]?inf(?:inity)?|nan", re.IGNORECASE | re.ASCII)
_TOLERANCE = 1e-12
"""Relative differences below this are rounding, not data."""
_SMALLEST_NORMAL = 2.2250738585072014e-308


@dataclass(slots=True)
class Buckets:
    """One histogram at the steps where the same buckets are present.

    Shapes: bounds (B,) ascending, distinct; counts (B, k) cumulative; steps (k,).
    """

    labels: Labels
    bounds: Values
    counts: Values
    steps: NDArray[np.intp]


def parse_bound(text: str) -> float | None:
    """Read an ``le`` value as Go's ParseFloat does; None when it is no number."""
    if _FLOAT.fullmatch(text):
        return float(text)
    try:
        return float.fromhex(text) if re.fullmatch(r"[+-]?0[xX].*[pP][+-]?\d+", text) else None
    except (ValueError, OverflowError):
        return None


def histograms(scope: Scope, vector: Vector, pos: int) -> Iterator[Buckets]:
    """Yield the histograms of a vector; series without a usable ``le`` are skipped with a warning."""
    for labels, rows_and_bounds in _groups(scope, vector, pos).items():
        rows_and_bounds.sort(key=lambda item: item[0])
        rows = np.array([row for _, row in rows_and_bounds])
        bounds = np.array([bound for bound, _ in rows_and_bounds])
        values, present = vector.values[rows], vector.present[rows]
        for steps, here in _by_presence(present):
            if here.any():
                yield _coalesced(labels, bounds[here], values[here][:, steps], steps)


def _groups(scope: Scope, vector: Vector, pos: int) -> dict[Labels, list[tuple[float, int]]]:
    groups: dict[Labels, list[tuple[float, int]]] = {}
    delayed = scope.query.options.delayed_name_removal
    for row, labels in enumerate(vector.labels):
        le = label_value(labels, "le")
        bound = parse_bound(le)
        if bound is None:
            scope.query.annotations.bad_bucket(le, label_value(labels, METRIC_NAME) if delayed else "", pos)
        else:
            key = tuple(pair for pair in labels if pair[0] != "le")
            groups.setdefault(key, []).append((bound, row))
    return groups


def _by_presence(present: Mask) -> Iterator[tuple[NDArray[np.intp], Mask]]:
    """Group the steps at which the same rows are present."""
    if present.all():
        yield np.arange(present.shape[1]), np.ones(len(present), np.bool_)
        return
    patterns, which = np.unique(present, axis=1, return_inverse=True)
    which = which.ravel()
    for i in range(patterns.shape[1]):
        yield np.flatnonzero(which == i), patterns[:, i]


def _coalesced(labels: Labels, bounds: Values, counts: Values, steps: NDArray[np.intp]) -> Buckets:
    """Add up the buckets of equal bounds, such as ``1`` and ``1.0``."""
    distinct, first = np.unique(bounds, return_index=True)
    if len(distinct) == len(bounds):
        return Buckets(labels, bounds, counts, steps)
    return Buckets(labels, distinct, np.add.reduceat(counts, first, axis=0), steps)


def histogram_quantile(scope: Scope, call: Call, args: Sequence[Value]) -> Value:
    """Return the q-quantile of each histogram."""
    q, pos = scalar_arg(args[0]), call.args[1].pos
    _check_quantiles(scope, q, call.args[0].pos)
    return _folded(scope, vector_arg(args[1]), pos, lambda buckets: quantile_of(scope, buckets, q[buckets.steps], pos))


def histogram_quantiles(scope: Scope, call: Call, args: Sequence[Value]) -> Value:
    """Return several quantiles of each histogram, told apart by a label."""
    vector, pos = vector_arg(args[0]), call.args[0].pos
    name = call.args[1]
    assert isinstance(name, String), "BUG: the planner lets a quantile label through that is no string"
    parts: list[Vector] = []
    for value, node in zip(args[2:], call.args[2:], strict=True):
        q = scalar_arg(value)
        _check_quantiles(scope, q, node.pos)
        for one in np.unique(q):
            at = (q == one) | (np.isnan(q) & np.isnan(one))
            part = _plain(scope, vector, pos, _quantile_fold(scope, q, pos))
            labels = [_with(labels, name.value, format_open_metrics(float(one))) for labels in part.labels]
            parts.append(vector_of(labels, part.values, part.present & at, part.drop_name))
    return drop_names(scope, _stacked(scope, parts))


def _quantile_fold(scope: Scope, q: Values, pos: int) -> Callable[[Buckets], Values]:
    return lambda buckets: quantile_of(scope, buckets, q[buckets.steps], pos)


def _stacked(scope: Scope, parts: Sequence[Vector]) -> Vector:
    if not parts:
        return empty_vector(scope.n_steps)
    return Vector(
        [labels for part in parts for labels in part.labels],
        np.concatenate([part.values for part in parts]),
        np.concatenate([part.present for part in parts]),
        np.concatenate([part.drop_name for part in parts]),
    )


def _with(labels: Labels, name: str, value: str) -> Labels:
    return labels_from_pairs([*(pair for pair in labels if pair[0] != name), (name, value)])


def histogram_fraction(scope: Scope, call: Call, args: Sequence[Value]) -> Value:
    """Return the fraction of each histogram's observations between two bounds."""
    lower, upper = scalar_arg(args[0]), scalar_arg(args[1])

    def fold(buckets: Buckets) -> Values:
        return fraction_of(buckets, lower[buckets.steps], upper[buckets.steps])

    return _folded(scope, vector_arg(args[2]), call.args[2].pos, fold)


def native_only(scope: Scope, _call: Call, _args: Sequence[Value]) -> Value:
    """Return nothing: the function reads native histograms, and there are floats only."""
    return empty_vector(scope.n_steps)


def _check_quantiles(scope: Scope, q: Values, pos: int) -> None:
    for value in q[~((q >= 0) & (q <= 1))]:
        scope.query.annotations.bad_quantile(float(value), pos)


def _folded(scope: Scope, vector: Vector, pos: int, fold: Callable[[Buckets], Values]) -> Vector:
    return drop_names(scope, _plain(scope, vector, pos, fold))


def _plain(scope: Scope, vector: Vector, pos: int, fold: Callable[[Buckets], Values]) -> Vector:
    """Fold each histogram to one value per step; names are kept."""
    rows: dict[Labels, int] = {}
    found = [(buckets, fold(buckets)) for buckets in histograms(scope, vector, pos)]
    for buckets, _ in found:
        rows.setdefault(buckets.labels, len(rows))
    values, present = np.zeros((len(rows), scope.n_steps)), np.zeros((len(rows), scope.n_steps), np.bool_)
    for buckets, folded in found:
        row = rows[buckets.labels]
        values[row, buckets.steps] = folded
        present[row, buckets.steps] = True
    return vector_of(list(rows), values, present)


def quantile_of(scope: Scope, buckets: Buckets, q: Values, pos: int) -> Values:
    """Return the q-quantile (k,) of one histogram; infinite for q outside [0, 1]."""
    outside = np.where(q < 0, -np.inf, np.where(q > 1, np.inf, np.nan))
    inside = (q >= 0) & (q <= 1)
    if buckets.bounds[-1] != np.inf or not inside.any():
        return np.where(inside, np.nan, outside)
    counts = _monotonic(scope, buckets, inside, pos)
    if len(buckets.bounds) < 2:
        return np.where(inside, np.nan, outside)
    with np.errstate(all="ignore"):
        result = _interpolated(buckets.bounds, counts, np.where(inside, q, 0.0) * counts[-1])
    result = np.where(counts[-1] == 0, np.nan, result)
    return np.where(inside, result, outside)


def _interpolated(bounds: Values, counts: Values, rank: Values) -> Values:
    """Find the bucket of each rank and go linearly through it, from 0 in the first one."""
    last, steps = len(bounds) - 1, np.arange(counts.shape[1])
    at = _first_reaching(counts[:last], rank)
    below = np.maximum(at - 1, 0)
    start = np.where(at > 0, bounds[below], 0.0)
    under = np.where(at > 0, counts[below, steps], 0.0)
    inner = np.minimum(at, last)
    value = start + (bounds[inner] - start) * ((rank - under) / (counts[inner, steps] - under))
    value = np.where((at == 0) & (bounds[0] <= 0), bounds[0], value)
    return np.where(at == last, bounds[last - 1], value)


def _first_reaching(counts: Values, rank: Values) -> NDArray[np.intp]:
    """Return for each step the first bucket whose count reaches the rank, by bisection as Go's sort.Search."""
    low, high = np.zeros(len(rank), np.intp), np.full(len(rank), len(counts), np.intp)
    steps = np.arange(len(rank))
    while (low < high).any():
        middle = (low + high) // 2
        reached = counts[np.minimum(middle, len(counts) - 1), steps] >= rank
        searching = low < high
        high = np.where(searching & reached, middle, high)
        low = np.where(searching & ~reached, middle + 1, low)
    return low


def _monotonic(scope: Scope, buckets: Buckets, inside: Mask, pos: int) -> Values:
    """Return counts that never fall: small differences are ironed out silently, real falls are told."""
    if _rises_clearly(buckets.counts):
        return buckets.counts
    counts = buckets.counts.copy()
    bound_low = np.full(counts.shape[1], np.inf)
    bound_high, diff_max = np.full(counts.shape[1], -np.inf), np.zeros(counts.shape[1])
    fell = np.zeros(counts.shape[1], np.bool_)
    close = scope.query.options.semantics == "3.x"
    for i in range(1, len(counts)):
        before, here = counts[i - 1], counts[i]
        flat = (here == before) | (_almost_equal(before, here) if close else False)
        falls = ~flat & (here < before)
        bound_low = np.where(falls, np.minimum(bound_low, buckets.bounds[i]), bound_low)
        bound_high = np.where(falls, np.maximum(bound_high, buckets.bounds[i]), bound_high)
        diff_max = np.where(falls, np.fmax(diff_max, before - here), diff_max)
        fell |= falls
        counts[i] = np.where(flat | falls, before, here)
    told = np.flatnonzero(fell & inside)
    if len(told) and close:
        _tell(scope, buckets, told, (bound_low, bound_high, diff_max), pos)
    return counts


def _rises_clearly(counts: Values) -> bool:
    """Tell whether every count is the one below it, or above it by more than rounding: then nothing is to be done."""
    below, above = counts[:-1], counts[1:]
    rise = above - below
    clear = (rise > 10 * _TOLERANCE * (np.abs(above) + np.abs(below))) & (rise > _SMALLEST_NORMAL)
    return bool((clear | (rise == 0)).all())


def _tell(
    scope: Scope, buckets: Buckets, told: NDArray[np.intp], found: tuple[Values, Values, Values], pos: int
) -> None:
    times = scope.t_ms[buckets.steps[told]]
    low, high, diff = (array[told] for array in found)
    repair = Repair(
        int(times.min()), int(times.max()), float(low.min()), float(high.max()), float(diff.max()), len(told)
    )
    delayed = scope.query.options.delayed_name_removal
    scope.query.annotations.repaired(repair, label_value(buckets.labels, METRIC_NAME) if delayed else "", pos)


def _almost_equal(a: Values, b: Values) -> Mask:
    """Tell which pairs differ by rounding only. Source: Prometheus util/almost."""
    with np.errstate(all="ignore"):
        total, diff = np.abs(a) + np.abs(b), np.abs(a - b)
        tiny = (a == 0) | (b == 0) | (total < _SMALLEST_NORMAL)
        close = diff / np.minimum(total, np.finfo(np.float64).max) < _TOLERANCE
        near = np.where(tiny, diff < _TOLERANCE * _SMALLEST_NORMAL, close)
    equal: Mask = (np.isnan(a) & np.isnan(b)) | (a == b) | near
    return equal


def fraction_of(buckets: Buckets, lower: Values, upper: Values) -> Values:
    """Return the fraction (k,) of observations between two bounds.

    No repair here, and one bucket is enough. A first bucket with a bound <= 0 counts as wholly below a value inside it.
    """
    if buckets.bounds[-1] != np.inf:
        return np.full(len(lower), np.nan)
    total = buckets.counts[-1]
    with np.errstate(all="ignore"):
        share = (_rank_of(buckets, upper) - _rank_of(buckets, lower)) / total
    share = np.where(lower >= upper, 0.0, share)
    return np.where((total == 0) | np.isnan(lower) | np.isnan(upper), np.nan, share)


def _rank_of(buckets: Buckets, value: Values) -> Values:
    """Return how many observations lie below a value, at most the total."""
    bounds, counts = buckets.bounds, buckets.counts
    rank, found = np.zeros(len(value)), np.zeros(len(value), np.bool_)
    before = np.zeros(len(value))
    start = 0.0 if bounds[0] > 0 else -np.inf
    for i, end in enumerate(bounds):
        at_start = ~found & (start >= value)
        rank = np.where(at_start, before, rank)
        found |= at_start
        within = ~found & (start < value) & (end > value)
        step_up = counts[i] if start == -np.inf else (counts[i] - before) * (value - start) / (end - start) + before
        rank = np.where(within, step_up, rank)
        found |= within
        before, start = counts[i], float(end)
    return np.where(~found | (rank > counts[-1]), counts[-1], rank)
