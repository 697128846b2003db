"""Compensated sums, means and variances have the bits they must have."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentgauge.promql.summation import RunningMean, RunningSum, RunningVariance, RunningWindowVariance


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """Infinities meet here on purpose; the engine turns these warnings off too."""
    with np.errstate(all="ignore"):
        yield


finite = st.floats(-1e100, 1e100)


def summed(values: list[float]) -> float:
    running = RunningSum.zeros((1,))
    for value in values:
        running.add(np.array([value]), None)
    return float(running.result()[0])


def averaged(values: list[float]) -> float:
    running = RunningMean.zeros((1,))
    for value in values:
        running.add(np.array([value]), None)
    return float(running.result()[0])


def test_a_sum_that_cancels_is_exact() -> None:
    """The textbook case that plain addition gets wrong."""
    assert summed([1.0, 1e100, 1.0, -1e100]) == 2.0


def test_a_lone_negative_zero_becomes_zero() -> None:
    """The compensation, +0, is added at the end, as in Prometheus."""
    assert math.copysign(1, summed([-0.0])) == 1


@pytest.mark.parametrize(
    ("values", "expected"), [([math.inf, 1.0], math.inf), ([math.inf, -math.inf], math.nan), ([math.nan, 1], math.nan)]
)
def test_infinities_and_nan_pass_through(values: list[float], expected: float) -> None:
    """An infinite sum has no compensation that could turn it to NaN."""
    assert summed(values) == expected or (math.isnan(expected) and math.isnan(summed(values)))


@given(st.lists(finite, min_size=1, max_size=30))
def test_a_sum_is_close_to_the_exact_one(values: list[float]) -> None:
    """Within rounding of the exactly rounded sum."""
    assert summed(values) == pytest.approx(math.fsum(values), rel=1e-12, abs=1e-12 * max(map(abs, values)))


def test_a_mean_whose_sum_overflows_is_still_finite() -> None:
    """It turns to the incremental mean."""
    assert averaged([1.7e308, 1.7e308, 1.7e308]) == pytest.approx(1.7e308)
    assert averaged([1.0, 2.0, 6.0]) == 3.0
    assert averaged([math.inf]) == math.inf


def test_the_variance_of_equal_values_is_zero() -> None:
    """Exactly, compensated or not; one value that is not finite gives NaN."""
    plain, compensated = RunningVariance.zeros((1,)), RunningWindowVariance.zeros((1,))
    for _ in range(7):
        plain.add(np.array([0.1]), np.array([True]))
        compensated.add(np.array([0.1]), None)
    assert plain.result() == [0.0]
    assert compensated.result() == [0.0]
    single = RunningVariance.zeros((1,))
    single.add(np.array([np.inf]), np.array([True]))
    assert np.isnan(single.result()[0])


def test_elements_that_a_sequence_has_not_are_left_out() -> None:
    """A mask keeps sums, means and variances of shorter sequences as they were."""
    total, mean = RunningSum.zeros((2,)), RunningMean.zeros((2,))
    for value, take in ((4.0, [True, True]), (6.0, [True, False])):
        total.add(np.full(2, value), np.array(take))
        mean.add(np.full(2, value), np.array(take))
    assert total.result().tolist() == [10, 4]
    assert mean.result().tolist() == [5, 4]
