"""Kernels over counters: rate, increase, delta, irate, idelta, resets, changes.

Each takes ``Windows`` and returns (W, C). Source: Prometheus promql/functions.go (extrapolatedRate, instantValue).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from agentgauge.model.series import Values
from agentgauge.promql.windows import Windows


def rate(windows: Windows) -> Values:
    """Per-second increase of a counter, extrapolated to the window's edges. Needs two samples."""
    return _extrapolated(windows, is_counter=True, per_second=True)


def increase(windows: Windows) -> Values:
    """Increase of a counter, extrapolated to the window's edges. Needs two samples."""
    return _extrapolated(windows, is_counter=True, per_second=False)


def delta(windows: Windows) -> Values:
    """Difference of last and first value, extrapolated to the window's edges. Needs two samples."""
    return _extrapolated(windows, is_counter=False, per_second=False)


def _extrapolated(windows: Windows, *, is_counter: bool, per_second: bool) -> Values:
    """Stretch the sampled increase to the range.

    The edges are as far as they are when that is under 1.1 times the mean distance of samples, else half that
    distance; a counter is not stretched beyond the point where it would have been zero.
    """
    first = windows.first()
    grown = windows.last()
    grown -= first
    if is_counter:
        _add_resets(windows, grown)
    t_ms = windows.table.t_ms
    t_first, t_last = t_ms[windows.lo], t_ms[windows.hi - 1]
    to_start = (t_first - (windows.end_ms - windows.range_ms)) / 1000
    to_end = (windows.end_ms - t_last) / 1000
    sampled = (t_last - t_first) / 1000
    mean_gap = sampled / (windows.n - 1)
    limit = mean_gap * 1.1
    to_end = np.where(to_end >= limit, mean_gap / 2, to_end)
    range_s = windows.range_ms / 1000 if per_second else 1.0
    if is_counter and windows.closed:
        start = _clamped(to_start[:, None], sampled[:, None], first, grown)
        start = np.where(start >= limit[:, None], (mean_gap / 2)[:, None], start)
        grown *= (sampled[:, None] + start + to_end[:, None]) / sampled[:, None] / range_s
        return grown
    to_start = np.where(to_start >= limit, mean_gap / 2, to_start)
    near_zero = _near_zero(to_start, sampled, first, grown) if is_counter else None
    if near_zero is not None:
        # Few cells: only these need a way to the start, and a factor, of their own.
        rows = near_zero[0]
        start = _clamped(to_start[rows], sampled[rows], first[near_zero], grown[near_zero])
        corrected = grown[near_zero] * ((sampled[rows] + start + to_end[rows]) / sampled[rows] / range_s)
    grown *= ((sampled + to_start + to_end) / sampled / range_s)[:, None]
    if near_zero is not None:
        grown[near_zero] = corrected
    return grown


def _near_zero(
    to_start: Values, sampled: Values, first: Values, grown: Values
) -> tuple[NDArray[np.intp], NDArray[np.intp]] | None:
    """Return the cells, rows and columns, whose counter may have been zero on the way to the start; None for none."""
    reach = grown * (to_start / sampled * (1 + 1e-9))[:, None]
    near = reach >= first
    if not near.any():
        return None
    near &= grown > 0
    return np.nonzero(near)  # type: ignore[return-value]


def _clamped(to_start: Values, sampled: Values, first: Values, grown: Values) -> Values:
    """Shorten the way to the start where the counter would have been zero before."""
    rising = (grown > 0) & (first >= 0)
    to_zero = np.divide(first, grown, out=np.full_like(grown, np.inf), where=rising)
    to_zero *= sampled
    # A NaN (0 * inf of an infinite counter) shortens nothing, as in Prometheus' comparison.
    return np.fmin(to_zero, to_start)


def _add_resets(windows: Windows, grown: Values) -> None:
    """Add to each window the value before every drop inside it, one drop after the other as Prometheus does."""
    rows, values = windows.table.reset_rows(), windows.values
    first = np.searchsorted(rows, windows.lo, "right")
    n_resets = np.searchsorted(rows, windows.hi, "left") - first
    for nth in range(int(n_resets.max(initial=0))):
        having = np.flatnonzero(n_resets > nth)
        row = rows[first[having] + nth]
        above = values[row - 1]
        grown[having] += np.where(values[row] < above, above, 0.0)


def irate(windows: Windows) -> Values:
    """Per-second difference of the last two samples; after a reset the last value counts from zero."""
    last, before = windows.last(), np.take(windows.values, windows.hi - 2, axis=0)
    grown = np.where(last < before, last, last - before)
    return grown / _last_gap_s(windows)


def idelta(windows: Windows) -> Values:
    """Difference of the last two samples."""
    return windows.last() - np.take(windows.values, windows.hi - 2, axis=0)


def _last_gap_s(windows: Windows) -> Values:
    t_ms = windows.table.t_ms
    gap: Values = ((t_ms[windows.hi - 1] - t_ms[windows.hi - 2]) / 1000)[:, None]
    return gap


def resets(windows: Windows) -> Values:
    """Count the drops from one sample to the next. Comparisons with NaN are false."""
    values = windows.values
    return _count(windows, values[1:] < values[:-1])


def changes(windows: Windows) -> Values:
    """Count the samples that differ from the one before; NaN after NaN is no change."""
    above, below = windows.values[:-1], windows.values[1:]
    return _count(windows, (below != above) & ~(np.isnan(below) & np.isnan(above)))


def _count(windows: Windows, flags: np.ndarray) -> Values:
    """Count the flagged rows inside each window, its first row apart; whole numbers, so a running sum is exact."""
    running = np.zeros(windows.values.shape, np.int64)
    np.cumsum(flags, axis=0, out=running[1:])
    counted = np.take(running, windows.hi - 1, axis=0) - np.take(running, windows.lo, axis=0)
    return counted.astype(np.float64)
