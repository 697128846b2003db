"""Pictures for a terminal: numbers, sparklines, plots with their gaps."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from agentgauge.model.series import StepMatrix
from agentgauge.view.text import format_labels, format_value, render_plot, sparkline, value_range


def matrix(values: list[float], present: list[bool] | None = None) -> StepMatrix:
    shown = np.array([values], np.float64)
    mask = np.ones_like(shown, np.bool_) if present is None else np.array([present])
    return StepMatrix([()], np.arange(len(values), dtype=np.int64), shown, mask)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (1.5, "1.5"), (9999, "9999"), (12345, "12.35k"), (-2.5e6, "-2.5M"), (1e-7, "1e-07"), (math.inf, "+Inf")],
)
def test_numbers_are_short(value: float, text: str) -> None:
    """Four digits, with a prefix from ten thousand on."""
    assert format_value(value) == text


def test_labels_are_promql() -> None:
    """A series reads as it would be asked for."""
    assert format_labels((("__name__", "m"), ("a", 'x"y'))) == 'm{a="x\\"y"}'
    assert format_labels(()) == "{}"


def test_a_sparkline_rises() -> None:
    """The smallest is the lowest bar, the largest the highest, what is not finite a blank."""
    assert sparkline([0, math.nan, 7]) == "▁ █"


def test_a_gap_stays_open() -> None:
    """Absent steps draw nothing and are not bridged."""
    joined = render_plot(matrix([1.0] * 20), 0, 0.0, 2.0, 10, 2)
    gap = render_plot(matrix([1.0] * 20, [True] * 5 + [False] * 10 + [True] * 5), 0, 0.0, 2.0, 10, 2)
    assert " " not in joined[0] + joined[1] or all(a != " " or b != " " for a, b in zip(*joined, strict=True))
    assert any(a == b == " " for a, b in zip(*gap, strict=True))


@given(hnp.arrays(np.float64, st.integers(1, 40), elements=st.floats(allow_nan=True, width=64)), st.integers(1, 30))
def test_any_values_can_be_drawn(values: np.ndarray, width: int) -> None:
    """NaN, infinities, huge and constant values give a plot of the asked size."""
    steps = matrix(list(values))
    low, high = value_range(steps)
    lines = render_plot(steps, 0, low, high, width, 3)
    assert [len(line) for line in lines] == [width] * 3
