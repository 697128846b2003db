"""Query results on a terminal: tables, raw samples, plots."""

from __future__ import annotations

from datetime import datetime

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from rich.text import Text

from agentgauge.model.labels import METRIC_NAME, Labels
from agentgauge.model.series import Result, StepMatrix
from agentgauge.view.text import format_labels, format_value, render_axes, render_plot, sparkline, value_range

MAX_PLOTTED = 6
"""Series in one plot, as on the page; the others stay in the table."""

_COLOURS = ("cyan", "yellow", "green", "magenta", "blue", "red")


def print_instant(console: Console, result: Result) -> None:
    """Print an instant query's answer: a table, raw samples, a number or a text."""
    if result.kind == "string":
        console.print(result.text, markup=False)
    elif result.kind == "scalar":
        console.print(format_value(float(result.steps.values[0, 0])))
    elif result.samples is not None:
        _print_samples(console, result)
    else:
        steps = result.steps
        rows = [
            (labels, [format_value(float(value[0]))])
            for labels, value, present in zip(steps.labels, steps.values, steps.present, strict=True)
            if present[0]
        ]
        _print_table(console, rows, ["value"])


def _print_samples(console: Console, result: Result) -> None:
    block = result.samples
    assert block is not None, "BUG: raw samples were asked for"
    for number, labels in enumerate(block.labels):
        console.print(format_labels(labels), markup=False)
        for at in range(int(block.offsets[number]), int(block.offsets[number + 1])):
            shown = datetime.fromtimestamp(int(block.t_ms[at]) / 1000).astimezone().isoformat(timespec="milliseconds")
            console.print(f"  {shown}  {format_value(float(block.values[at]))}", markup=False)
    if not block.labels:
        console.print("no series matches")


def _print_table(console: Console, rows: list[tuple[Labels, list[str]]], heads: list[str]) -> None:
    """Print one column per label name, then the values."""
    if not rows:
        console.print("no series matches")
        return
    names = sorted({name for labels, _ in rows for name, _ in labels}, key=lambda name: (name != METRIC_NAME, name))
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in names:
        table.add_column("metric" if name == METRIC_NAME else name, overflow="fold")
    for head in heads:
        table.add_column(head, justify="right", no_wrap=True)
    for labels, values in rows:
        have = dict(labels)
        table.add_row(*(Text(have.get(name, "")) for name in names), *(Text(value) for value in values))
    console.print(table)


def print_range(console: Console, steps: StepMatrix) -> None:
    """Draw a range query's answer and put each series' numbers below."""
    if not len(steps.labels) or not steps.present.any():
        console.print("no series matches")
        return
    order = np.argsort(-_last(steps), kind="stable")
    width, height = max(20, min(console.width - 12, 120)), 10
    low, high = value_range(steps)
    canvas = [Text(" " * width) for _ in range(height)]
    for nth, row in enumerate(order[:MAX_PLOTTED]):
        for number, line in enumerate(render_plot(steps, int(row), low, high, width, height)):
            canvas[number] = _laid_over(canvas[number], line, _COLOURS[nth])
    zone = datetime.now().astimezone().tzinfo
    assert zone is not None, "BUG: astimezone gives a zone"
    framed = render_axes([line.plain for line in canvas], low, high, steps, zone)
    for drawn, frame in zip(canvas, framed, strict=False):
        console.print(Text(frame[: len(frame) - len(drawn)]) + drawn, no_wrap=True, crop=True)
    console.print(framed[-1], markup=False)
    rows = [
        (
            steps.labels[row],
            [sparkline(_thinned(steps, int(row))), *map(format_value, _summary(steps, int(row)))],
        )
        for row in order
    ]
    _print_table(console, rows, ["trend", "min", "mean", "max", "last"])


def _last(steps: StepMatrix) -> NDArray[np.float64]:
    """Return each series' newest value, for ordering: what is not finite comes last."""
    last = steps.present.shape[1] - 1 - np.argmax(steps.present[:, ::-1], axis=1)
    values = steps.values[np.arange(len(last)), last]
    return np.where(np.isfinite(values) & steps.present.any(axis=1), values, -np.inf)


def _summary(steps: StepMatrix, row: int) -> list[float]:
    values = steps.values[row][steps.present[row]]
    if not len(values):
        return [float("nan")] * 4
    return [float(values.min()), float(values.mean()), float(values.max()), float(values[-1])]


def _thinned(steps: StepMatrix, row: int, n: int = 24) -> list[float]:
    shown = np.where(steps.present[row], steps.values[row], np.nan)
    picked = np.linspace(0, len(shown) - 1, min(n, len(shown))).astype(int)
    return [float(value) for value in shown[picked]]


def _laid_over(under: Text, line: str, colour: str) -> Text:
    """Draw a line of a plot over another: where both have ink, the later colour shows both shapes' dots."""
    text = Text()
    for at, character in enumerate(line):
        below = under.plain[at]
        if character == " ":
            text.append_text(under[at : at + 1])
        elif below == " ":
            text.append(character, colour)
        else:
            text.append(chr(0x2800 | (ord(below) & 0xFF) | (ord(character) & 0xFF)), colour)
    return text
