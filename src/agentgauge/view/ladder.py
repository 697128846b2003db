"""Better bucket bounds from what a histogram has observed. Pure.

The bounds that stand are the grid: what lies inside a bucket is not known. Proposed are round numbers, at most
``MAX_STEP`` apart over the range that observations fill, one beyond it, and every bound that is an objective.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

OVERFLOW_RATIO = 0.05
MAX_STEP = 2.0
"""A bound at most this many times the one before: the bucket is no wider than its lower bound."""

_ROUND = (1.0, 2.0, 3.0, 5.0)
_LOWEST, _HIGHEST = 0.01, 0.999
"""The quantiles between which a bound must be near any observation."""


@dataclass(frozen=True, slots=True)
class Ladder:
    """What is proposed for one histogram, and why."""

    metric: str
    bounds: tuple[float, ...]
    proposed: tuple[float, ...]
    n_observed: float
    overflow_ratio: float
    reasons: tuple[str, ...]


def ladder_from_counts(metric: str, cumulative: Mapping[float, float], *, keep: Iterable[float] = ()) -> Ladder | None:
    """Propose bounds from cumulative bucket counts by upper bound, ``+Inf`` included; None without observations.

    Args:
        metric: the histogram's name.
        cumulative: upper bound -> observations at or below it.
        keep: objectives, which are always bounds.
    """
    bounds = sorted(cumulative)
    finite = tuple(bound for bound in bounds if math.isfinite(bound))
    n_observed = cumulative[bounds[-1]] if bounds else 0.0
    if not finite or n_observed <= 0:
        return None
    counts = _counts(bounds, cumulative)
    n_over = counts[-1] + (counts[-2] if len(counts) > 1 else 0.0)
    overflow_ratio = n_over / n_observed if len(finite) > 1 else 0.0
    low, high = _range(finite, counts, n_observed)
    proposed = _proposed(low, high, overflow_ratio > OVERFLOW_RATIO, finite, keep)
    reasons = tuple(_reasons(finite, counts, n_observed, overflow_ratio, proposed))
    return Ladder(metric, finite, proposed if reasons else finite, n_observed, overflow_ratio, reasons)


def toml_line(ladder: Ladder) -> str:
    """Return the line of configuration that sets the proposed bounds, for below ``[tool.agentgauge.buckets]``."""
    return f"{ladder.metric} = [{', '.join(f'{bound:g}' for bound in ladder.proposed)}]"


def _counts(bounds: Sequence[float], cumulative: Mapping[float, float]) -> list[float]:
    counts, before = [], 0.0
    for bound in bounds:
        counts.append(max(0.0, cumulative[bound] - before))
        before = max(before, cumulative[bound])
    return counts


def _range(finite: Sequence[float], counts: Sequence[float], n: float) -> tuple[float, float]:
    """Return the bounds around nearly all observations."""
    low = high = finite[0]
    passed = 0.0
    is_low_found = False
    for i, count in enumerate(counts):
        passed += count
        if not is_low_found and passed >= _LOWEST * n:
            is_low_found = True
            low = finite[max(0, i - 1)] if i < len(finite) else finite[-1]
            if i == 0:
                low = finite[0] / 10  # all that is known: below the first bound
        if passed >= _HIGHEST * n:
            high = finite[min(i, len(finite) - 1)]
            break
    return low, high


def _proposed(
    low: float, high: float, overflows: bool, finite: Sequence[float], keep: Iterable[float]
) -> tuple[float, ...]:
    # Past the last bound nothing is known but that more is needed: eight times as far, in the same steps.
    top = finite[-1] * 8 if overflows else high
    exponent = math.floor(math.log10(low)) if low > 0 else -3
    chosen = {bound for bound in keep if bound > 0}
    while True:
        for factor in _ROUND:
            bound = round(factor * 10.0**exponent, 12)
            if bound >= low * 0.999:
                chosen.add(bound)
            if bound > top * 0.999:
                return tuple(sorted(chosen))
        exponent += 1


def _reasons(
    finite: Sequence[float], counts: Sequence[float], n: float, overflow_ratio: float, proposed: Sequence[float]
) -> Iterable[str]:
    if overflow_ratio > OVERFLOW_RATIO:
        yield f"{overflow_ratio:.0%} of the observations are in or above the last bucket, {finite[-1]:g}"
    if counts[0] > 0.5 * n:
        yield f"{counts[0] / n:.0%} of the observations are below the first bound, {finite[0]:g}"
    passed = 0.0
    for i, count in enumerate(counts[: len(finite)]):
        passed += count
        if passed >= 0.95 * n:
            if i and finite[i] > MAX_STEP * finite[i - 1]:
                yield f"the p95 is in the bucket {finite[i - 1]:g} to {finite[i]:g}, wider than its lower bound"
            return
