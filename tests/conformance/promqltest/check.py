"""Compare an engine's answer with what a script expects; a difference is a sentence, agreement is None."""

from __future__ import annotations

import sys

import numpy as np
from tests.conformance.promqltest.script import Eval, Expectation, Note, Text

from agentgauge.model.labels import Labels
from agentgauge.model.sample import float_bits, is_stale
from agentgauge.model.series import Result
from agentgauge.promql.quote import go_quote

_EPSILON = 1e-6
_SMALLEST_NORMAL = sys.float_info.min

Points = dict[int, float]


def close(a: float, b: float) -> bool:
    """Compare two floats as Prometheus' tests do."""
    if is_stale(a) or is_stale(b):
        return float_bits(a) == float_bits(b)
    if a != a or b != b:
        return a != a and b != b
    if a == b:
        return True
    total, difference = abs(a) + abs(b), abs(a - b)
    if a == 0 or b == 0 or total < _SMALLEST_NORMAL:
        return difference < _EPSILON * _SMALLEST_NORMAL
    return difference / min(total, sys.float_info.max) < _EPSILON


def notes(result: Result, expected: Expectation) -> str | None:
    """Compare warnings and infos."""
    actual: dict[Note, tuple[str, ...]] = {"warn": result.warnings, "info": result.infos}
    for kind, messages in actual.items():
        wanted = expected.notes.get(kind)
        if kind in expected.none_of and messages:
            return f"expected no {kind}, got {list(messages)}"
        if wanted is None:
            continue
        if not messages:
            return f"expected {kind} {wanted}, got none"
        for text in wanted:
            if not any(text.fits(message) for message in messages):
                return f"expected {kind} {text}, got {list(messages)}"
        for message in messages:
            if not any(text.fits(message) for text in wanted):
                return f"unexpected {kind} {message!r}"
    return None


def failure(error: Exception, expected: list[Text]) -> str | None:
    """Compare an error with what was expected of it."""
    message = str(error)
    if all(text.fits(message) for text in expected):
        return None
    return f"expected an error {expected}, got {message!r}"


def answer(result: Result, case: Eval) -> str | None:
    """Compare the values of a result."""
    expected = case.expected
    if expected.string is not None:
        got = (result.kind, result.text)
        return None if got == ("string", expected.string) else f"expected string {expected.string!r}, got {got}"
    if expected.scalar is not None:
        return _scalar(result, expected.scalar)
    if expected.grid is not None:
        return _matrix(result, case, *expected.grid)
    if case.step_ms:
        return _matrix(result, case, case.start_ms, case.end_ms, case.step_ms)
    if result.kind != "vector":
        return f"expected a vector, got a {result.kind}"
    found = ordered_rows(result, 0)
    if expected.ordered:
        wrong_order = [labels for labels, _ in found] != [line.labels for line in expected.series]
        if wrong_order:
            return f"expected the order {[show(line.labels) for line in expected.series]}, got {_show_rows(found)}"
    return vector(found, expected)


def vector(found: list[tuple[Labels, float]], expected: Expectation) -> str | None:
    """Compare one step's elements with an instant eval's lines, in any order."""
    rows = dict(found)
    if len(rows) != len(found):
        return f"a label set twice: {_show_rows(found)}"
    for line in expected.series:
        value = line.values[0] if line.values else None
        if value is None:
            continue
        if line.labels not in rows:
            return f"missing {show(line.labels)} {value}; got {_show_rows(found)}"
        if not close(rows.pop(line.labels), value):
            return f"expected {show(line.labels)} {value}, got {_show_rows(found)}"
    return f"unexpected {_show_rows(list(rows.items()))}" if rows else None


def middle(result: Result, case: Eval) -> str | None:
    """Compare the middle step of a range query with the instant query's lines."""
    if list(result.steps.labels) != sorted(result.steps.labels):
        return "the matrix is not sorted by labels"
    if case.expected.ordered:
        return None
    found = ordered_rows(result, 1)
    if case.expected.scalar is not None:
        got = found[0][1] if [labels for labels, _ in found] == [()] else None
        return None if got is not None and close(got, case.expected.scalar) else f"range: got {_show_rows(found)}"
    return vector(found, case.expected)


def ordered_rows(result: Result, step: int) -> list[tuple[Labels, float]]:
    """Return the elements present at one step, in the result's order."""
    steps = result.steps
    return [
        (labels, float(steps.values[row, step])) for row, labels in enumerate(steps.labels) if steps.present[row, step]
    ]


def show(labels: Labels) -> str:
    """Print a label set."""
    return "{" + ", ".join(f"{name}={go_quote(value)}" for name, value in labels) + "}"


def _scalar(result: Result, expected: float) -> str | None:
    if result.kind != "scalar":
        return f"expected a scalar, got a {result.kind}"
    got = float(result.steps.values[0, 0])
    return None if close(got, expected) else f"expected {expected}, got {got}"


def _matrix(result: Result, case: Eval, start_ms: int, end_ms: int, step_ms: int) -> str | None:
    if result.kind != "matrix":
        return f"expected a matrix, got a {result.kind}"
    times = range(start_ms, end_ms + 1, step_ms)
    series = _raw_points(result) if result.samples is not None else _step_points(result)
    if [labels for labels, _ in series] != sorted(labels for labels, _ in series):
        return "the matrix is not sorted by labels"
    found = dict(series)
    for line in case.expected.series:
        wanted = {t: value for t, value in zip(times, line.values, strict=False) if value is not None}
        if len(line.values) > len(times):
            return f"{show(line.labels)} expects {len(line.values)} values for {len(times)} steps"
        points = found.pop(line.labels, {})
        if points.keys() != wanted.keys() or not all(close(points[t], value) for t, value in wanted.items()):
            return f"expected {show(line.labels)} {wanted}, got {points}"
    return f"unexpected {[(show(labels), points) for labels, points in found.items()]}" if found else None


def _step_points(result: Result) -> list[tuple[Labels, Points]]:
    steps = result.steps
    found = []
    for row, labels in enumerate(steps.labels):
        at = np.flatnonzero(steps.present[row])
        points = {int(steps.t_ms[i]): float(steps.values[row, i]) for i in at}
        if points:
            found.append((labels, points))
    return found


def _raw_points(result: Result) -> list[tuple[Labels, Points]]:
    samples = result.samples
    assert samples is not None
    found = []
    for row, labels in enumerate(samples.labels):
        cut = slice(int(samples.offsets[row]), int(samples.offsets[row + 1]))
        found.append((labels, dict(zip(samples.t_ms[cut].tolist(), samples.values[cut].tolist(), strict=True))))
    return found


def _show_rows(rows: list[tuple[Labels, float]]) -> str:
    return "[" + ", ".join(f"{show(labels)} {value!r}" for labels, value in rows) + "]"
