"""Kernels that fit a trend: deriv, predict_linear, double_exponential_smoothing.

Each takes ``Windows`` and returns (W, C). Source: Prometheus promql/functions.go (linearRegression).
"""

from __future__ import annotations

import numpy as np

from agentgauge.errors import ExecutionError
from agentgauge.model.series import Mask, Times, Values
from agentgauge.promql.summation import RunningSum
from agentgauge.promql.windows import Windows


def deriv(windows: Windows) -> Values:
    """Return the slope per second of a least-squares line. Needs two samples."""
    slope, _ = _regression(windows, windows.table.t_ms[windows.lo])
    return slope


def predict_linear(windows: Windows, ahead_s: Values) -> Values:
    """Return the value of a least-squares line so many seconds after the step's time. Needs two samples."""
    slope, intercept = _regression(windows, windows.eval_ms)
    return slope * ahead_s[:, None] + intercept


def _regression(windows: Windows, origin_ms: Times) -> tuple[Values, Values]:
    """Return slope and value at the origin of the least-squares lines, (W, C) each.

    Equal samples have slope 0 exactly; equal infinite ones have none (NaN).
    """
    n, shape = windows.n[:, None].astype(np.float64), windows.shape()
    add = _add_exactly if _is_exact(windows, origin_ms) else RunningSum.add
    sum_x, sum_xx = RunningSum.zeros((shape[0], 1)), RunningSum.zeros((shape[0], 1))
    sum_y, sum_xy = RunningSum.zeros(shape), RunningSum.zeros(shape)
    first, constant = windows.first(), np.ones(shape, np.bool_)
    for y, has, rows in windows.elements():
        x = ((windows.table.t_ms[rows] - origin_ms) / 1e3)[:, None]
        add(sum_x, x, has)
        add(sum_xx, x * x, has)
        add(sum_y, y, has)
        add(sum_xy, x * y, has)
        # A first NaN is never compared with itself; any later sample differs from it.
        constant &= ~((y != first) & (rows > windows.lo)[:, None])
    x, y, xx, xy = (total.total + total.comp for total in (sum_x, sum_y, sum_xx, sum_xy))
    slope = (xy - x * y / n) / (xx - x * x / n)
    intercept = y / n - slope * x / n
    flat = np.where(np.isinf(first), np.nan, first)
    return np.where(constant, np.where(np.isinf(first), np.nan, 0.0), slope), np.where(constant, flat, intercept)


def _is_exact(windows: Windows, origin_ms: Times) -> bool:
    """Tell whether all sums of a regression are whole numbers that a float holds: then nothing is lost on the way."""
    t_ms = windows.table.t_ms
    if not windows.table.summable() or (t_ms % 1000).any() or (origin_ms % 1000).any():
        return False
    far_s = (float(np.abs(t_ms[windows.lo] - origin_ms).max()) + windows.range_ms) / 1000
    top = max(far_s, float(np.abs(windows.values).max())) * far_s
    return bool(top * int(windows.n.max()) < 2.0**53)


def _add_exactly(total: RunningSum, element: Values, take: Mask | None) -> None:
    total.total += element if take is None else np.where(take, element, 0.0)


def double_exponential_smoothing(windows: Windows, smoothing: Values, trend: Values) -> Values:
    """Return the last smoothed value (Holt's method). Needs two samples. Raises ExecutionError for bad factors."""
    _check_factor("smoothing", "sf", smoothing)
    _check_factor("trend", "tf", trend)
    sf, tf = smoothing[:, None], trend[:, None]
    before, level = np.zeros(windows.shape()), windows.first()
    slope = np.take(windows.values, windows.lo + 1, axis=0) - level
    for i, (element, has, _rows) in enumerate(windows.elements()):
        if i == 0:
            continue
        new_slope = slope if i == 1 else tf * (level - before) + (1 - tf) * slope
        new_level = sf * element + (1 - sf) * (level + new_slope)
        if has is None:
            before, level, slope = level, new_level, new_slope
        else:
            before, slope = np.where(has, level, before), np.where(has, new_slope, slope)
            level = np.where(has, new_level, level)
    return level


def _check_factor(name: str, short: str, factor: Values) -> None:
    bad = factor[(factor <= 0) | (factor >= 1)]
    if len(bad):
        raise ExecutionError(f"invalid {name} factor. Expected: 0 < {short} < 1, got: {_go_fixed(float(bad[0]))}")


def _go_fixed(value: float) -> str:
    """Print as Go's ``%f``."""
    if np.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return f"{value:f}"
