"""Numbers and pictures for a terminal: values with units, sparklines, plots in braille dots. Pure.

A plot's cell holds 2 × 4 dots, so 60 columns show 120 steps. Absent steps are gaps; NaN and infinities are not drawn.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime, tzinfo

import numpy as np
from numpy.typing import NDArray

from agentgauge.model.labels import METRIC_NAME, Labels
from agentgauge.model.series import StepMatrix, Values

BARS = "▁▂▃▄▅▆▇█"
_DOTS = np.array([[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]])
_PREFIXES = ((1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))


def format_value(value: float) -> str:
    """Write a number for people: about four digits, with a prefix from ten thousand on."""
    if value != value:
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    if abs(value) >= 1e18:
        return f"{value:.3g}"
    for size, prefix in _PREFIXES:
        if abs(value) >= size and abs(value) >= 1e4:
            return f"{value / size:.4g}{prefix}"
    return f"{value:.4g}" if value != int(value) else str(int(value))


def format_labels(labels: Labels) -> str:
    """Write a series as PromQL does: ``name{label="value"}``."""
    name = next((value for key, value in labels if key == METRIC_NAME), "")
    inner = ", ".join(f'{key}="{_escaped(value)}"' for key, value in labels if key != METRIC_NAME)
    return f"{name}{{{inner}}}" if inner or not name else name


def sparkline(values: Sequence[float]) -> str:
    """Draw one line of bars, from the smallest to the largest; what is not finite is a blank."""
    finite = [value for value in values if math.isfinite(value)]
    if not finite:
        return " " * len(values)
    low, high = min(finite), max(finite)
    scale = (len(BARS) - 1) / (high - low) if high > low else 0.0
    return "".join(BARS[round((value - low) * scale)] if math.isfinite(value) else " " for value in values)


def render_plot(matrix: StepMatrix, row: int, low: float, high: float, width: int, height: int) -> list[str]:
    """Draw one series of a matrix as lines of braille, oldest step left; neighbours are joined, gaps stay open."""
    dots = np.zeros((height * 4, width * 2), np.bool_)
    n_steps = len(matrix.t_ms)
    drawn = matrix.present[row] & np.isfinite(matrix.values[row])
    columns = np.zeros(n_steps, np.int64) if n_steps < 2 else np.arange(n_steps) * (width * 2 - 1) // (n_steps - 1)
    levels = _levels(matrix.values[row], low, high, height * 4)
    last = -2
    for step in np.flatnonzero(drawn):
        if step == last + 1:
            _join(dots, columns[last], levels[last], columns[step], levels[step])
        dots[levels[step], columns[step]] = True
        last = int(step)
    cells = (dots.reshape(height, 4, width, 2) * _DOTS[None, :, None, :]).sum(axis=(1, 3))
    return ["".join(chr(0x2800 + int(cell)) if cell else " " for cell in line) for line in cells]


def value_range(matrix: StepMatrix) -> tuple[float, float]:
    """Return the smallest and largest finite value, widened to zero when zero is near, never of no height."""
    values = matrix.values[matrix.present]
    values = values[np.isfinite(values)]
    if not len(values):
        return 0.0, 1.0
    low, high = float(values.min()), float(values.max())
    if 0 < low < high / 2 or low == high > 0:
        low = 0.0
    if low / 2 < high < 0 or low == high < 0:
        high = 0.0
    return (low, high) if high > low else (low, low + 1.0)


def render_axes(lines: Sequence[str], low: float, high: float, matrix: StepMatrix, zone: tzinfo) -> list[str]:
    """Put the largest and smallest value left of a plot and its first and last time below."""
    top, bottom = format_value(high), format_value(low)
    margin = max(len(top), len(bottom))
    labels = [top, *[""] * (len(lines) - 2), bottom] if len(lines) > 1 else [top]
    framed = [f"{label:>{margin}} ┤{line}" for label, line in zip(labels, lines, strict=True)]
    first, last = (
        datetime.fromtimestamp(int(matrix.t_ms[at]) / 1000, zone).strftime("%m-%d %H:%M:%S") for at in (0, -1)
    )
    width = max(len(lines[0]), len(first) + len(last) + 1)
    return [*framed, " " * (margin + 2) + first + " " * (width - len(first) - len(last)) + last]


def _levels(values: Values, low: float, high: float, n_levels: int) -> NDArray[np.int64]:
    """Return the row of dots of each value, 0 on top."""
    with np.errstate(all="ignore"):  # halves, because the difference of the two largest floats is none
        scaled = np.nan_to_num((values / 2 - low / 2) / (high / 2 - low / 2), nan=0.0, posinf=1.0, neginf=0.0)
    return (n_levels - 1) - np.rint(np.clip(scaled, 0.0, 1.0) * (n_levels - 1)).astype(np.int64)


def _join(dots: NDArray[np.bool_], x0: int, y0: int, x1: int, y1: int) -> None:
    n = max(abs(int(x1) - int(x0)), abs(int(y1) - int(y0)), 1)
    along = np.arange(n + 1) / n
    dots[np.rint(y0 + (y1 - y0) * along).astype(int), np.rint(x0 + (x1 - x0) * along).astype(int)] = True


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
