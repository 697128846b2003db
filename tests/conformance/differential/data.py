"""Generated samples with everything that PromQL treats specially: resets, gaps, NaN, infinities, odd labels."""

from __future__ import annotations

import numpy as np
from tests.conformance.differential.samples import Series

from agentgauge.model.labels import labels_from_mapping

START_MS = 236_112 * 7_200_000
"""Start of the data: the start of one of Prometheus' two-hour blocks, in 2023."""
SPAN_MS = 100 * 60_000
STEP_MS = 15_000


def generated(seed: int = 7) -> list[Series]:
    """Return about 120 series over 100 minutes."""
    rng = np.random.default_rng(seed)
    return [*_counters(rng), *_gauges(rng), *_histograms(rng), *_odd(rng), *_own_times(rng)]


def _grid(step_ms: int = STEP_MS) -> np.ndarray:
    return np.arange(START_MS, START_MS + SPAN_MS + 1, step_ms, dtype=np.int64)


def _series(name: str, t_ms: np.ndarray, values: np.ndarray, **labels: str) -> Series:
    return Series(labels_from_mapping({"__name__": name, **labels}), t_ms, np.asarray(values, np.float64))


def _counters(rng: np.random.Generator) -> list[Series]:
    """Counters by agent, tool, status with resets; some have gaps."""
    series, t_ms = [], _grid()
    for agent in ("a", "b", "c"):
        for tool in ("search", "shell", "read.file"):
            for status in ("success", "error"):
                values = np.cumsum(rng.poisson(3 if status == "success" else 0.2, len(t_ms))).astype(np.float64)
                for reset in rng.choice(len(t_ms), 2, replace=False):
                    values[reset:] -= values[reset] - rng.integers(0, 3)
                values = np.maximum(values, 0)
                keep = np.ones(len(t_ms), np.bool_)
                if tool == "shell":
                    keep[100:140] = False
                    keep &= rng.random(len(t_ms)) > 0.1
                labels = {"agent": agent, "tool": tool, "status": status}
                series.append(_series("calls_total", t_ms[keep], values[keep], **labels))
    return series


def _gauges(rng: np.random.Generator) -> list[Series]:
    """Gauges with fractions, equal values, negative ones; one metric lacks a label on some series."""
    t_ms, series = _grid(), []
    for agent in ("a", "b", "c", "d"):
        values = np.round(rng.normal(0, 10, len(t_ms)), 3)
        series.append(_series("load", t_ms, values, agent=agent, host=f"h{ord(agent) % 2}"))
        series.append(_series("limit", t_ms, np.full(len(t_ms), 10.0 + ord(agent) % 3), agent=agent))
    series.append(_series("limit", t_ms, np.full(len(t_ms), 5.0)))
    series.append(_series("info_metric", t_ms, np.ones(len(t_ms)), agent="a", version="1.2", zone="x"))
    series.append(_series("info_metric", t_ms, np.ones(len(t_ms)), agent="b", version="1.10", zone="y"))
    half = len(t_ms) // 2
    series.append(_series("turns", t_ms[:half], rng.integers(0, 5, half), who="first", k="1"))
    series.append(_series("turns", t_ms[half + 25 :], rng.integers(0, 5, len(t_ms) - half - 25), who="second", k="1"))
    return series


def _histograms(rng: np.random.Generator) -> list[Series]:
    """Classic histograms, one with bad bounds, one not monotonic, one without +Inf."""
    t_ms, series = _grid(), []
    bounds = ("0.1", "0.5", "1", "5", "+Inf")
    for agent in ("a", "b"):
        counts = np.cumsum(np.cumsum(rng.poisson(2, (len(t_ms), len(bounds))), axis=0), axis=1)
        for i, le in enumerate(bounds):
            series.append(_series("latency_bucket", t_ms, counts[:, i], agent=agent, le=le))
        series.append(_series("latency_count", t_ms, counts[:, -1], agent=agent))
        series.append(_series("latency_sum", t_ms, np.cumsum(rng.random(len(t_ms)) * 3), agent=agent))
    for le, value in (("-5", 2), ("-1", 5), ("1.0", 7), ("1", 1), ("+Inf", 20)):
        series.append(_series("signed_bucket", t_ms, np.full(len(t_ms), float(value)), le=le))
    for le, value in (("1", 10), ("2", 8), ("3", 15), ("x", 3), ("+Inf", 12)):
        series.append(_series("broken_bucket", t_ms, np.full(len(t_ms), float(value)), le=le))
    series.append(_series("broken_bucket", t_ms, np.ones(len(t_ms))))
    for le, value in (("1", 1), ("2", 2)):
        series.append(_series("endless_bucket", t_ms, np.full(len(t_ms), float(value)), le=le))
    return series


def _odd(rng: np.random.Generator) -> list[Series]:
    """Values that are not numbers, not finite, huge, tiny, zero with a sign."""
    t_ms = _grid(30_000)
    pool = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 1e300, 1e-300, 1.5, -2.25, 1e17, 3.0])
    series = [
        _series("odd", t_ms, pool[rng.integers(0, len(pool), len(t_ms))], i=str(i), grp=f"g{i % 2}") for i in range(6)
    ]
    series.append(_series("odd_nan", t_ms, np.full(len(t_ms), np.nan), i="0"))
    series.append(_series("odd_inf", t_ms, np.full(len(t_ms), np.inf), i="0"))
    series.append(_series("constant", t_ms, np.full(len(t_ms), 4.25), i="0"))
    return series


def _own_times(rng: np.random.Generator) -> list[Series]:
    """Series with timestamps of their own, irregular and at odd milliseconds."""
    series = []
    for i in range(4):
        gaps = rng.integers(1_000, 60_000, 150)
        t_ms = START_MS + np.cumsum(gaps)
        t_ms = t_ms[t_ms <= START_MS + SPAN_MS].astype(np.int64)
        values = np.cumsum(rng.random(len(t_ms)))
        series.append(_series("pushed_total", t_ms, values, source=f"s{i}", path=f"/a{i}/b"))
        series.append(_series("temp", t_ms + 7, np.sin(values), source=f"s{i}"))
    return series
