"""Counters: extrapolation to the edges, resets, the zero point."""

from __future__ import annotations

import numpy as np
import pytest

from agentgauge.promql.functions import rate
from agentgauge.promql.windows import Table, Windows


def window(values: list[float], t_s: list[float], end_s: float, range_s: float, *, closed: bool = False) -> Windows:
    times = np.array([int(t * 1000) for t in t_s])
    end = np.array([int(end_s * 1000)])
    table = Table(times, np.array(values, np.float64)[:, None])
    return Windows(table, np.array([0]), np.array([len(values)]), end, end, int(range_s * 1000), closed)


def test_an_even_counter_is_extrapolated_to_the_whole_range() -> None:
    """Samples near both edges: the increase is the slope times the range."""
    assert rate.increase(window([10, 20, 30], [15, 30, 45], 60, 60))[0, 0] == pytest.approx(40)
    assert rate.rate(window([10, 20, 30], [15, 30, 45], 60, 60))[0, 0] == pytest.approx(40 / 60)


def test_a_counter_is_not_extrapolated_below_zero() -> None:
    """The zero point is nearer than the edge."""
    assert rate.increase(window([1, 11, 21], [15, 30, 45], 60, 60))[0, 0] == pytest.approx(20 * (30 + 1.5 + 15) / 30)


def test_far_edges_get_half_a_distance() -> None:
    """A series that starts inside the window is not stretched to its edge."""
    assert rate.delta(window([0, 10], [40, 50], 60, 60))[0, 0] == pytest.approx(10 * (10 + 5 + 10) / 10)


def test_every_drop_adds_the_value_before_it() -> None:
    """Two resets; comparisons with NaN are false."""
    asked = window([5, 2, 4, 1], [0, 15, 30, 45], 45, 45, closed=True)
    assert rate.increase(asked)[0, 0] == pytest.approx(1 - 5 + 5 + 4)
    assert rate.resets(asked)[0, 0] == 2
    assert rate.resets(window([5, np.nan, 4], [0, 15, 30], 30, 30))[0, 0] == 0


def test_changes_see_nan_after_nan_as_none() -> None:
    """From and to NaN is a change."""
    assert rate.changes(window([1, np.nan, np.nan, 1, 1], [0, 1, 2, 3, 4], 4, 5))[0, 0] == 2


def test_the_last_two_samples() -> None:
    """After a reset irate counts from zero; idelta does not know resets."""
    asked = window([7, 9, 4], [0, 10, 20], 20, 30)
    assert rate.irate(asked)[0, 0] == pytest.approx(0.4)
    assert rate.idelta(asked)[0, 0] == -5


def test_resets_count_per_column() -> None:
    """A reset of one series leaves its neighbours alone."""
    table = Table(np.arange(4) * 15_000, np.array([[1.0, 1], [5, 2], [1, 3], [2, 4]]))
    ends = np.array([45_000])
    asked = Windows(table, np.array([0]), np.array([4]), ends, ends, 45_000)
    assert rate.increase(asked)[0].tolist() == [6, 3]
