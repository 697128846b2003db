"""Order statistics with PromQL's place for NaN: lowest in quantiles, last in ``topk`` and sorts.

Source: Prometheus promql/quantile.go (quantile), functions.go (vectorByValueHeap).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from agentgauge.model.series import Values


def quantile_sorted(rows: Values, n_nan: NDArray[np.int64], q: Values, n: NDArray[np.int64] | None = None) -> Values:
    """Interpolate the q-quantile along axis 1 of sorted values.

    Shapes: rows (w, m, C), sorted by NumPy, so NaN stands last; n_nan (w, C) of them in the first ``n`` (w, C), the
    number of elements, m when None; q (w, 1) or (w, C). Result (w, C).
    Source: outside [0, 1] it is infinite, NaN for NaN; the rank is q(n - 1).
    """
    count = np.full(n_nan.shape, rows.shape[1]) if n is None else n
    inside = np.broadcast_to(np.where((q >= 0) & (q <= 1), q, 0.0), count.shape)
    rank = inside * (count - 1)
    lower = np.maximum(0, np.floor(rank)).astype(np.intp)
    upper = np.minimum(count - 1, lower + 1)
    weight = rank - np.floor(rank)
    with np.errstate(invalid="ignore", over="ignore"):
        mixed = _ranked(rows, n_nan, lower) * (1 - weight) + _ranked(rows, n_nan, upper) * weight
    outside = np.where(q < 0, -np.inf, np.where(q > 1, np.inf, np.nan))
    return np.where((q >= 0) & (q <= 1), mixed, outside)


def _ranked(rows: Values, n_nan: NDArray[np.int64], rank: NDArray[np.intp]) -> Values:
    """Return the element of a rank, when NaN counts as the lowest."""
    place = np.maximum(rank - n_nan, 0)
    found = np.take_along_axis(rows, place[:, None], axis=1)[:, 0]
    return np.where(rank < n_nan, np.nan, found)


def median_sorted(rows: Values) -> Values:
    """Return the median along axis 1 of sorted values without NaN: (w, n, C) to (w, C)."""
    shape = (rows.shape[0], rows.shape[2])
    return quantile_sorted(rows, np.zeros(shape, np.int64), np.full(shape, 0.5))


def nan_last_order(values: Values, *, descending: bool) -> NDArray[np.intp]:
    """Return the stable order of the elements along axis 0; NaN stands last both ways."""
    keys = -values if descending else values
    return np.argsort(keys, axis=0, kind="stable")
