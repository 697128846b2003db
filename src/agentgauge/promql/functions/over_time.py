"""Kernels that fold each window: the ``*_over_time`` functions.

Each takes ``Windows`` and returns (W, C). Source: Prometheus promql/functions.go.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from agentgauge.model.series import Mask, Values
from agentgauge.promql.order import median_sorted, quantile_sorted
from agentgauge.promql.summation import RunningMean, RunningSum, RunningWindowVariance
from agentgauge.promql.windows import Windows

_STACK_CELLS = 1 << 18
"""Cells of stacked windows that are sorted at once."""


def sum_over_time(windows: Windows) -> Values:
    """Add up the samples, compensated; by running sums where any order gives the same bits."""
    if windows.table.summable():
        return windows.whole_sums()
    running = RunningSum.zeros(windows.shape())
    for element, has, _rows in windows.elements():
        running.add(element, has)
    return running.result()


def avg_over_time(windows: Windows) -> Values:
    """Average the samples: sum by count, incremental where the sum overflows."""
    if windows.table.summable():
        return windows.whole_sums() / windows.n[:, None]
    running = RunningMean.zeros(windows.shape())
    for element, has, _rows in windows.elements():
        running.add(element, has)
    return running.result()


def min_over_time(windows: Windows) -> Values:
    """Return the smallest sample; NaN only where all are."""
    return windows.extreme(np.fmin)


def max_over_time(windows: Windows) -> Values:
    """Return the largest sample; NaN only where all are."""
    return windows.extreme(np.fmax)


def count_over_time(windows: Windows) -> Values:
    """Count the samples."""
    return np.broadcast_to(windows.n[:, None].astype(np.float64), windows.shape())


def present_over_time(windows: Windows) -> Values:
    """Return 1 where there is a sample."""
    return np.ones(windows.shape())


def stdvar_over_time(windows: Windows) -> Values:
    """Return the population variance, by Welford's method with compensation; of whole numbers exactly."""
    whole = windows.whole_variance()
    if whole is not None:
        return whole
    running = RunningWindowVariance.zeros(windows.shape())
    for element, has, _rows in windows.elements():
        running.add(element, has)
    return running.result()


def stddev_over_time(windows: Windows) -> Values:
    """Return the population standard deviation."""
    return np.sqrt(stdvar_over_time(windows))


def quantile_over_time(windows: Windows, q: Values) -> Values:
    """Return the q-quantile of the samples, interpolated; NaN sorts lowest."""

    def fold(stack: Values, picked: np.ndarray) -> Values:
        return quantile_sorted(np.sort(stack, axis=1), np.isnan(stack).sum(axis=1), q[picked][:, None])

    return _by_length(windows, fold)


def mad_over_time(windows: Windows) -> Values:
    """Return the median absolute deviation; NaN where a sample is NaN."""

    def fold(stack: Values, _picked: np.ndarray) -> Values:
        middle = median_sorted(np.sort(stack, axis=1))
        result = median_sorted(np.sort(np.abs(stack - middle[:, None]), axis=1))
        return np.where(np.isnan(stack).any(axis=1), np.nan, result)

    return _by_length(windows, fold)


def _by_length(windows: Windows, fold: Callable[[Values, np.ndarray], Values]) -> Values:
    """Stack the windows of equal length to (w, n, C), fold them along n."""
    n, result = windows.n, np.empty(windows.shape())
    for length in np.unique(n):
        picked = np.flatnonzero(n == length)
        n_slice = max(1, _STACK_CELLS // (int(length) * max(1, windows.shape()[1])))
        for start in range(0, len(picked), n_slice):
            part = picked[start : start + n_slice]
            stack = windows.values[windows.lo[part][:, None] + np.arange(length)]
            result[part] = fold(stack, part)
    return result


def ts_of_first_over_time(windows: Windows) -> Values:
    """Return the time of the first sample in seconds."""
    return np.broadcast_to((windows.table.t_ms[windows.lo] / 1000)[:, None], windows.shape())


def ts_of_last_over_time(windows: Windows) -> Values:
    """Return the time of the last sample in seconds."""
    return np.broadcast_to((windows.table.t_ms[windows.hi - 1] / 1000)[:, None], windows.shape())


def ts_of_max_over_time(windows: Windows) -> Values:
    """Return the time of the last of the largest samples in seconds."""
    return _time_of(windows, lambda element, best: (element >= best) | np.isnan(best))


def ts_of_min_over_time(windows: Windows) -> Values:
    """Return the time of the last of the smallest samples in seconds."""
    return _time_of(windows, lambda element, best: (element <= best) | np.isnan(best))


def _time_of(windows: Windows, better: Callable[[Values, Values], Mask]) -> Values:
    best, best_row = windows.first(), np.broadcast_to(windows.lo[:, None], windows.shape()).copy()
    for element, has, rows in windows.elements():
        taken = better(element, best) if has is None else better(element, best) & has
        best = np.where(taken, element, best)
        best_row = np.where(taken, rows[:, None], best_row)
    return windows.table.t_ms[best_row] / 1000
