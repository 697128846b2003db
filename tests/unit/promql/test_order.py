"""NaN has its place: lowest in quantiles, last in sorts."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentgauge.promql.order import nan_last_order, quantile_sorted


def quantile(q: float, *values: float) -> float:
    rows = np.sort(np.array(values))[None, :, None]
    n_nan = np.isnan(rows).sum(axis=1)
    return float(quantile_sorted(rows, n_nan, np.array([[q]]))[0, 0])


@given(st.floats(0, 1), st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=20))
def test_quantiles_interpolate_at_q_times_n_minus_one(q: float, values: list[float]) -> None:
    """NumPy's linear method is the same, but for the last bits."""
    assert quantile(q, *values) == pytest.approx(float(np.quantile(values, q)), abs=1e-6)


def test_nan_counts_as_the_lowest() -> None:
    """It fills the low ranks, whatever stands above."""
    assert math.isnan(quantile(0, math.nan, 1, 2))
    assert quantile(1, math.nan, 1, 2) == 2
    assert quantile(0.5, math.nan, 1, 2) == 1


def test_outside_zero_and_one_is_infinite() -> None:
    """And NaN for NaN."""
    assert quantile(-0.1, 1, 2) == -math.inf
    assert quantile(1.1, 1, 2) == math.inf
    assert math.isnan(quantile(math.nan, 1, 2))


@pytest.mark.parametrize(("descending", "expected"), [(False, [2, 0, 1, 3]), (True, [1, 0, 2, 3])])
def test_nan_stands_last_both_ways(descending: bool, expected: list[int]) -> None:
    """Ascending and descending."""
    order = nan_last_order(np.array([1.0, 5.0, -3.0, np.nan]), descending=descending)
    assert order.tolist() == expected
