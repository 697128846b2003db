"""Windows over dense and ragged tables find the right rows and fold them."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentgauge.promql.windows import RaggedIndex, Table, Windows, dense_rows


def windows(table: Table, lo: list[int], hi: list[int]) -> Windows:
    zeros = np.zeros(len(lo), np.int64)
    return Windows(table, np.array(lo), np.array(hi), zeros, zeros, 60_000)


def test_windows_are_left_open_and_closed_in_2x() -> None:
    """A sample exactly as old as the range is out; in 2.x it is in."""
    t_ms, ends = np.array([0, 10, 20, 30]), np.array([20, 30])
    lo, hi = dense_rows(t_ms, ends, 10, closed=False)
    assert (hi - lo).tolist() == [1, 1]
    lo, hi = dense_rows(t_ms, ends, 10, closed=True)
    assert (hi - lo).tolist() == [2, 2]


@given(
    st.lists(st.lists(st.integers(-10_000, 10_000), unique=True, max_size=8).map(sorted), min_size=1, max_size=5),
    st.lists(st.integers(-12_000, 12_000), min_size=1, max_size=6).map(sorted),
    st.integers(1, 5_000),
)
def test_the_ragged_index_finds_what_each_series_would(series: list[list[int]], ends: list[int], span: int) -> None:
    """One search over all series equals one search per series."""
    offsets = np.concatenate([[0], np.cumsum([len(one) for one in series])]).astype(np.int64)
    t_ms = np.array([t for one in series for t in one], np.int64)
    steps = np.array(ends, np.int64)
    lo, hi = RaggedIndex.of(t_ms, offsets).rows(steps, span, closed=False)
    for i, one in enumerate(series):
        own_lo, own_hi = dense_rows(np.array(one, np.int64), steps, span, closed=False)
        part = slice(i * len(ends), (i + 1) * len(ends))
        assert (lo[part] - offsets[i]).tolist() == own_lo.tolist()
        assert (hi[part] - offsets[i]).tolist() == own_hi.tolist()


@pytest.mark.parametrize("n_rows", [30, 200])
def test_extremes_of_short_and_long_windows(n_rows: int) -> None:
    """Row by row and by overlapping runs give the same; NaN only where all are."""
    rng = np.random.default_rng(3)
    values = rng.normal(size=(n_rows, 3))
    values[rng.random(values.shape) < 0.3] = np.nan
    values[5:9, 1] = np.nan
    lo, hi = [0, 5, 3, 0, n_rows - 1], [n_rows, 9, 20, 1, n_rows]
    asked = windows(Table(np.arange(n_rows), values), lo, hi)
    for ufunc in (np.fmax, np.fmin):
        expected = [ufunc.reduce(values[a:b], axis=0) for a, b in zip(lo, hi, strict=True)]
        np.testing.assert_array_equal(asked.extreme(ufunc), expected)


def test_running_sums_are_for_whole_numbers_that_stay_exact() -> None:
    """Fractions, NaN, infinities and sums above 2**53 are added one by one instead."""
    assert Table(np.arange(3), np.array([[1.0], [2], [3]])).summable()
    for odd in (0.5, np.nan, np.inf, 2.0**53):
        assert not Table(np.arange(2), np.array([[1.0], [odd]])).summable()


def test_reset_rows_are_found_when_nobody_looked() -> None:
    """A row counts when any column dropped; NaN drops nothing."""
    table = Table(np.arange(4), np.array([[1.0, 5], [2, np.nan], [1, 7], [1, 8]]))
    assert table.reset_rows().tolist() == [2]


def test_elements_say_which_windows_have_them() -> None:
    """The i-th sample of each window, and a mask once some windows are over."""
    asked = windows(Table(np.arange(4), np.arange(4.0)[:, None]), [0, 1], [1, 4])
    found = [
        (element[:, 0].tolist(), None if has is None else has[:, 0].tolist()) for element, has, _ in asked.elements()
    ]
    assert found[0] == ([0, 1], None)
    assert [has for _, has in found[1:]] == [[False, True], [False, True]]


@given(
    st.lists(st.integers(-1_000_000, 1_000_000), min_size=1, max_size=30),
    st.integers(0, 2**40),
    st.integers(0, 29),
    st.integers(1, 30),
)
def test_a_variance_of_whole_numbers_is_rounded_once(steps: list[int], base: int, start: int, length: int) -> None:
    """By running sums it is the exact one, wherever the values lie; equal values have none."""
    lo = min(start, len(steps) - 1)
    hi = min(lo + length, len(steps))
    table = Table(np.arange(len(steps)), np.array(steps, np.float64)[:, None] + base)
    found = windows(table, [lo], [hi]).whole_variance()
    taken = [Fraction(base + step) for step in steps[lo:hi]]
    mean = sum(taken) / len(taken)
    exact = sum((value - mean) ** 2 for value in taken) / len(taken)
    if found is None:
        assert max(abs(step - steps[0]) for step in steps) > 1_000_000
    else:
        assert found[0, 0] == float(exact)


def test_what_squares_would_round_is_not_added_up() -> None:
    """Fractions, NaN and values too far apart are taken by Welford's method instead."""
    for values in ([0.5, 1.0], [np.nan, 1.0], [np.inf, 1.0], [0.0, 2.0**27]):
        assert windows(Table(np.arange(2), np.array(values)[:, None]), [0], [2]).whole_variance() is None
