"""Thirty days of 2,000 series at 15 s in compressed time: generated, kept, queried, aged out.

Counters, buckets and gauges; every six hours a fortieth of the series ends and others begin. Every simulated hour the
last hour is asked for, every day the last day; one series shows its row's number, so every answer is checked. At the
end the file and the memory of the last half must be flat.

Usage: python -m benchmarks.soak_store [--days 30] [--series 2000] [--retention-days 7] [--step-s 15]
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import resource
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from agentgauge.model.labels import Labels, labels_from_mapping
from agentgauge.model.sample import NO_SAMPLE, STALE
from agentgauge.model.series import DenseBlock, Row, SeriesBlock
from agentgauge.store.check import check_store
from agentgauge.store.store import Store

T0 = 1_700_000_000_000 // 86_400_000 * 86_400_000
HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
UPKEEP_MS = 120_000
CHURN_MS = 6 * HOUR_MS
FLAT = 1.05
"""How far the last quarter may lie above the one before, in memory and on disk."""


class RowClock:
    """Shows the time of the newest row."""

    ms = T0

    def now_ms(self) -> int:
        """Return the time of the newest row."""
        return self.ms

    def monotonic_ns(self) -> int:
        """Return the real clock's."""
        return time.perf_counter_ns()


class Target:
    """A process whose series change: a third counts, a third are buckets, a third are gauges; series 0 counts rows."""

    def __init__(self, n_series: int, seed: int) -> None:
        self._rng = np.random.default_rng(seed)
        self._n = n_series
        self._born = np.zeros(n_series, np.int64)
        self._values = np.zeros(n_series)
        self.column_of: dict[Labels, int] = {}
        self._columns = np.zeros(n_series, np.int64)
        self._ended: list[int] = []

    def lay_out(self, columns: list[Labels]) -> None:
        """Take the numbers that the store gives the series now."""
        self.column_of = {labels: i for i, labels in enumerate(columns)}
        self._columns = np.array([self.column_of.get(self._labels(i), -1) for i in range(self._n)], np.int64)

    def churn(self, generation: int) -> None:
        """End a fortieth of the series, begin as many."""
        gone = self._rng.choice(np.arange(1, self._n), self._n // 40, replace=False)
        self._ended = [int(c) for c in self._columns[gone] if c >= 0]
        self._born[gone], self._values[gone], self._columns[gone] = generation, 0, -1

    def scrape(self, number: int) -> tuple[np.ndarray, list[Labels]]:
        """Return a row and the series that are new in it."""
        third = self._n // 3
        self._values[: 2 * third] += self._rng.poisson(0.3, 2 * third)
        self._values[2 * third :] = np.round(self._rng.normal(50, 1, self._n - 2 * third), 1)
        self._values[0] = number
        new = [self._labels(int(i)) for i in np.flatnonzero(self._columns < 0)]
        self._columns[self._columns < 0] = np.arange(len(self.column_of), len(self.column_of) + len(new))
        self.column_of.update({labels: len(self.column_of) + i for i, labels in enumerate(new)})
        row = np.full(len(self.column_of), NO_SAMPLE)
        row[self._ended] = STALE
        self._ended = []
        row[self._columns] = self._values
        return row, new

    def _labels(self, i: int) -> Labels:
        return labels_from_mapping({"__name__": f"m{i % 40}", "i": str(i), "process": str(self._born[i])})


@dataclass(frozen=True)
class Day:
    """What a day ended with."""

    rss_mb: float
    file_mb: float
    n_series: int
    day_query_s: float


def ask(store: Store, clock: RowClock, span_ms: int, step_ms: int, start_ms: int) -> None:
    """Read everything of a span; check the series that counts rows."""
    start = max(clock.ms - span_ms + 1, start_ms)
    for block in store.select([], start, clock.ms):
        for i, labels in enumerate(block.labels):
            if dict(labels)["i"] == "0":
                expected = np.arange((start - T0 + step_ms - 1) // step_ms, (clock.ms - T0) // step_ms + 1)
                assert np.array_equal(values_of(block, i), expected), "the rows of the last span are not all there"


def values_of(block: SeriesBlock, i: int) -> np.ndarray:
    """Return a series' values; one that lived in two groups comes ragged."""
    if isinstance(block, DenseBlock):
        return block.values[:, i] if block.present is None else block.values[block.present[:, i], i]
    return block.values[block.offsets[i] : block.offsets[i + 1]]


def run(options: argparse.Namespace, path: Path) -> list[Day]:
    """Live through the days."""
    clock, step_ms = RowClock(), int(options.step_s * 1000)
    store = Store.open(
        path, clock=clock, background=False, retention_ms=int(options.retention_days * DAY_MS), cache_bytes=8 << 20
    )
    group, target, days, epoch = store.group("soak"), Target(options.series, 1), [], None
    slowest_s = 0.0
    for number in range(int(options.days * DAY_MS / step_ms)):
        clock.ms = T0 + number * step_ms
        since_ms = clock.ms - T0
        if since_ms and since_ms % CHURN_MS == 0:
            target.churn(since_ms // CHURN_MS)
        if group.epoch != epoch:
            epoch = group.epoch
            target.lay_out(list(group.columns))
        row, new = target.scrape(number)
        began = time.perf_counter()
        group.append(Row(clock.ms, row, new))
        slowest_s = max(slowest_s, time.perf_counter() - began)
        if since_ms % UPKEEP_MS == 0:
            store.upkeep.step(clock.ms)
        if since_ms % HOUR_MS == HOUR_MS - step_ms:
            ask(store, clock, HOUR_MS, step_ms, T0)
        if since_ms % DAY_MS == DAY_MS - step_ms:
            began = time.perf_counter()
            ask(store, clock, DAY_MS, step_ms, T0)
            days.append(measure(store, path, time.perf_counter() - began))
            if not options.quiet:
                print(f"day {len(days):3}: {days[-1]}", flush=True)
    findings = check_store(store)
    assert not findings, findings
    store.close()
    print(f"slowest append {slowest_s * 1e3:.0f} ms")
    return days


def measure(store: Store, path: Path, day_query_s: float) -> Day:
    """Look at memory and disk.

    What the allocator keeps of the last query for the next one is given back first: it swings by 40 MB from day to day
    and says nothing of what the store holds on to.
    """
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    resident = int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
    size = sum(file.stat().st_size for file in (path, path.with_name(path.name + "-wal")) if file.exists())
    return Day(round(resident / 1e6, 1), round(size / 1e6, 1), store.n_series, round(day_query_s, 3))


def judge(days: list[Day]) -> list[str]:
    """Compare the last quarter with the one before; return what is not flat."""
    quarter = max(len(days) // 4, 1)
    wrong = []
    for what in ("rss_mb", "file_mb"):
        before = np.mean([getattr(day, what) for day in days[-2 * quarter : -quarter]])
        after = np.mean([getattr(day, what) for day in days[-quarter:]])
        print(f"{what}: {before:.1f} in the third quarter, {after:.1f} in the last: {after / before:.3f}")
        if after > before * FLAT:
            wrong.append(f"{what} grows")
    return wrong


def main() -> None:
    """Soak, print, fail when something is not flat."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--days", type=float, default=30)
    parser.add_argument("--series", type=int, default=2000)
    parser.add_argument("--retention-days", type=float, default=7)
    parser.add_argument("--step-s", type=float, default=15)
    parser.add_argument("--quiet", action="store_true")
    options = parser.parse_args()
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        days = run(options, Path(folder) / "m.db")
    n_samples = int(options.days * DAY_MS / (options.step_s * 1000)) * options.series
    print(f"{n_samples / 1e6:.1f} M samples in {time.perf_counter() - began:.0f} s")
    wrong = judge(days)
    if wrong:
        sys.exit("; ".join(wrong))


if __name__ == "__main__":
    main()
