"""Bucket bounds as integers, with a user's own ladders and the thresholds that must be bounds.

A threshold (an SLO) is always a bound, so that the share under it is exact.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

from agentgauge.errors import ConfigError
from agentgauge.model.metrics import METRICS, Metric

MAX_BOUNDS = 100

SCALES: dict[str, int] = {"seconds": 1_000_000_000, "ratio": 1_000_000_000}
"""Unit -> how many of the ledger's integers make one: seconds are kept in nanoseconds; all else counts in ones."""


def scale_of(metric: Metric) -> int:
    """Return how many of the ledger's integers make one unit of a metric."""
    return SCALES.get(metric.unit, 1)


def bounds_of(
    metric: Metric,
    ladders: Mapping[str, Sequence[float]] | None = None,
    thresholds: Mapping[str, float | Iterable[float]] | None = None,
) -> tuple[int, ...]:
    """Return a histogram's finite bounds in the ledger's integers, ascending; empty for other types.

    Args:
        metric: the row of METRICS.
        ladders: metric name -> bounds that replace its own, in its unit.
        thresholds: metric name -> one or more values to add as bounds, in its unit.

    Raises:
        ConfigError: a name that is no histogram, or a bound that is not a finite number above or at zero.
    """
    if metric.type != "histogram":
        return ()
    wanted = list((ladders or {}).get(metric.name, metric.buckets))
    extra = (thresholds or {}).get(metric.name, ())
    wanted.extend([extra] if isinstance(extra, (int, float)) else extra)
    return _integers(metric, wanted)


def check_names(*settings: Mapping[str, object] | None) -> None:
    """Refuse settings for metrics that are no histograms.

    Raises:
        ConfigError: naming the metric and the histograms there are.
    """
    for setting in settings:
        for name in setting or ():
            if name not in METRICS or METRICS[name].type != "histogram":
                known = ", ".join(sorted(row.name for row in METRICS.values() if row.type == "histogram"))
                raise ConfigError(f"buckets for {name!r}: not a histogram; the histograms are {known}")


def _integers(metric: Metric, wanted: Iterable[float]) -> tuple[int, ...]:
    scale = scale_of(metric)
    bounds = set()
    for bound in wanted:
        if isinstance(bound, bool) or not isinstance(bound, (int, float)) or not math.isfinite(bound) or bound < 0:
            raise ConfigError(f"buckets for {metric.name}: {bound!r} is not a finite number at or above 0")
        bounds.add(round(bound * scale))
    if not 1 <= len(bounds) <= MAX_BOUNDS:
        raise ConfigError(f"buckets for {metric.name}: {len(bounds)} bounds; 1 to {MAX_BOUNDS} can be used")
    return tuple(sorted(bounds))
