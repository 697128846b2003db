"""Figures of the store, as ratios where a peer exists: size beside Prometheus' own blocks of the same samples.

Usage: python benchmarks/bench_store.py [--series 2000] [--hours 24] [--json] [--promtool promtool]
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from agentgauge.model.labels import Labels, Matcher, labels_from_mapping
from agentgauge.model.sample import NO_SAMPLE, NO_SAMPLE_BITS, STALE, STALE_BITS
from agentgauge.model.series import Row
from agentgauge.store.check import store_info
from agentgauge.store.store import Store

T0 = 1_700_000_000_000 // 7_200_000 * 7_200_000
STEP_MS = 15_000
LADDER = ("0.05", "0.1", "0.25", "0.5", "1", "2", "5", "10", "20", "30", "60", "120", "300", "600", "+Inf")


class RowClock:
    ms = T0

    def now_ms(self) -> int:
        return self.ms

    def monotonic_ns(self) -> int:
        return time.perf_counter_ns()


def mixed(n_series: int, n_rows: int, seed: int = 1) -> tuple[list[Labels], np.ndarray]:
    """Agents' real shapes: histogram buckets with their sums, counters, gauges; one in ten lives a part of the time."""
    rng = np.random.default_rng(seed)
    labels: list[Labels] = []
    columns: list[np.ndarray] = []
    agent = 0

    def add(name: str, values: np.ndarray, **more: str) -> None:
        where = {"__name__": name, "agent": f"agent-{agent}", "instance": "127.0.0.1:8001", "job": "agentgauge"}
        labels.append(labels_from_mapping({**where, **more}))
        columns.append(values)

    while len(labels) < n_series:
        busy = rng.uniform(0.02, 0.6)
        calls = rng.poisson(busy, n_rows)
        shares = np.sort(rng.dirichlet(np.ones(len(LADDER))).cumsum())
        for le, share in zip(LADDER, shares, strict=True):
            add("agent_llm_latency_seconds_bucket", rng.binomial(calls, min(share, 1.0)).cumsum().astype(float), le=le)
        add("agent_llm_latency_seconds_sum", (calls * rng.exponential(2.0, n_rows)).cumsum())
        add("agent_llm_latency_seconds_count", calls.cumsum().astype(float))
        for kind in ("prompt", "completion"):
            add("agent_token_usage_total", (calls * rng.integers(50, 4000, n_rows)).cumsum() * 1.0, token_type=kind)
        for status in ("success", "error", "timeout", "cancelled"):
            n = rng.poisson(busy * (2.0 if status == "success" else 0.01), n_rows)
            add("agent_tool_calls_total", n.cumsum().astype(float), status=status, tool_name="search")
        add("agent_active_count", np.clip(rng.normal(2, 1, n_rows).round(), 0, None))
        add("agent_cost_usd_total", np.round((calls * rng.uniform(0.001, 0.02, n_rows)).cumsum(), 6))
        add("process_cpu_seconds_total", np.round(rng.exponential(0.05, n_rows).cumsum(), 2))
        add("process_resident_memory_bytes", (rng.integers(-3, 4, n_rows).cumsum() * 4096 + 2e8).astype(float))
        agent += 1
    matrix = np.column_stack(columns[:n_series])
    for column in rng.choice(n_series, n_series // 10, replace=False):  # churn
        a, b = np.sort(rng.integers(0, n_rows, 2))
        matrix[:a, column] = NO_SAMPLE
        matrix[b:, column] = NO_SAMPLE
        if b < n_rows:
            matrix[b, column] = STALE
    return labels[:n_series], matrix


def rss_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


def commit(store: Store, labels: list[Labels], matrix: np.ndarray, clock: RowClock) -> dict[str, float]:
    """Append every row, sealing as it comes; time both."""
    group = store.group("bench")
    group.append(Row(T0, matrix[0], labels))
    append_s = upkeep_s = worst_s = 0.0
    cpu = time.process_time()
    for j in range(1, len(matrix)):
        clock.ms = T0 + j * STEP_MS
        row = Row(clock.ms, matrix[j])
        a = time.perf_counter()
        group.append(row)
        b = time.perf_counter()
        # Two minutes of simulated time: each step looks at ages and moves the log, as it does in real time.
        if j % 8 == 0:
            store.upkeep.step(clock.ms)
        c = time.perf_counter()
        append_s += b - a
        upkeep_s += c - b
        worst_s = max(worst_s, b - a)
    return {
        "cpu_million_samples_per_s_commit_seal_merge": matrix.size / (time.process_time() - cpu) / 1e6,
        "commit_million_samples_per_s": matrix.size / append_s / 1e6,
        "seal_and_merge_million_samples_per_s": matrix.size / upkeep_s / 1e6,
        "slowest_commit_ms": worst_s * 1e3,
    }


def query_times(path: Path, clock: RowClock, hours: int) -> dict[str, float]:
    """Open cold, time the first block and all of them over the whole range and the last hour."""
    a = time.perf_counter()
    store = Store.open(path, background=False, clock=clock)
    opened = time.perf_counter() - a
    matcher = [Matcher("job", "=", "agentgauge")]
    a = time.perf_counter()
    blocks = store.select(matcher, T0, clock.ms)
    next(blocks)
    first = time.perf_counter() - a
    for _ in blocks:
        pass
    whole = time.perf_counter() - a
    a = time.perf_counter()
    for _ in store.select(matcher, clock.ms - 3 * 3_600_000, clock.ms - 2 * 3_600_000):
        pass
    hour = time.perf_counter() - a
    store.close()
    return {
        "open_ms": opened * 1e3,
        f"select_{hours}h_first_block_ms": first * 1e3,
        f"select_{hours}h_ms": whole * 1e3,
        "select_1h_ms": hour * 1e3,
    }


def prometheus_bytes(labels: list[Labels], matrix: np.ndarray, promtool: str, folder: Path) -> int:
    """Return the size of the blocks that promtool makes of the same samples."""
    text = folder / "samples.txt"
    bits = matrix.view(np.uint64)
    with text.open("w") as out:
        for column, series in enumerate(labels):
            name = dict(series)["__name__"]
            pairs = ",".join(f'{k}="{v}"' for k, v in series if k != "__name__")
            for j in np.flatnonzero((bits[:, column] != NO_SAMPLE_BITS) & (bits[:, column] != STALE_BITS)).tolist():
                out.write(f"{name}{{{pairs}}} {float(matrix[j, column])!r} {(T0 + j * STEP_MS) / 1000}\n")
        out.write("# EOF\n")
    data = folder / "prometheus"
    subprocess.run([promtool, "tsdb", "create-blocks-from", "openmetrics", text, data], check=True, capture_output=True)
    return sum(file.stat().st_size for file in data.rglob("*") if file.is_file())


def memory(n_series: int) -> float:
    """Return how much larger this process is, in bytes, for storing so many series: labels, postings, columns, ring."""
    store = Store.in_memory()
    store.group("warm").append(Row(T0, np.zeros(1), [(("__name__", "warm"),)]))
    labels, matrix = mixed(n_series, 2)
    # Labels as a scrape makes them: strings of their own until the store interns them.
    fresh = [labels_from_mapping({k: str(v) for k, v in series}) for series in labels]
    del labels
    store.close()
    with tempfile.TemporaryDirectory() as folder:
        store = Store.open(Path(folder) / "m.db", background=False)
        before = trimmed_rss()
        group = store.group("g")
        group.append(Row(T0, matrix[0], fresh))
        del fresh
        for j in range(1, 100):
            group.append(Row(T0 + j * STEP_MS, matrix[j % 2]))
        used = trimmed_rss() - before
        store.close()
    return used


def trimmed_rss() -> float:
    """Return the memory of this process in bytes, without what the allocator only keeps."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    return rss_mb() * 1e6


def memory_figures() -> dict[str, float]:
    """Measure in processes of their own: what one allocates another does not find there for nothing."""
    used = {}
    for n_series in (20_000, 40_000):
        line = [sys.executable, __file__, "--memory", str(n_series)]
        used[n_series] = float(subprocess.run(line, check=True, capture_output=True, text=True).stdout)
    return {
        "memory_bytes_per_further_series": (used[40_000] - used[20_000]) / 20_000,
        "memory_mb_at_20000_series_caches_of_sqlite_included": used[20_000] / 1e6,
    }


def restart_figures(n_series: int = 20_000) -> dict[str, float]:
    """Open what a killed process left: two hours in chunks, 100 rows in the log and the head."""
    labels, matrix = mixed(n_series, 2)
    clock = RowClock()
    with tempfile.TemporaryDirectory() as folder:
        path, left = Path(folder) / "m.db", Path(folder) / "left.db"
        store = Store.open(path, background=False, clock=clock)
        for j in range(580):
            clock.ms = T0 + j * STEP_MS
            store.group("g").append(Row(clock.ms, matrix[j % 2], () if j else labels))
            if j % 8 == 0 and j <= 480:
                store.upkeep.step(clock.ms)
        for suffix in ("", "-wal"):
            shutil.copy(path.with_name(path.name + suffix), left.with_name(left.name + suffix))
        store.close()
        began = time.perf_counter()
        store = Store.open(left, background=False, clock=clock)
        opened = time.perf_counter() - began
        assert store.n_series == n_series
        store.close()
    return {"restart_after_kill_at_20000_series_s": opened}


def cold_query(path: Path, start_ms: int, end_ms: int) -> dict[str, float]:
    """Read a day in a fresh connection; the bytes that SQLite reads beside those of the chunks that the query needs."""
    store = Store.open(path, read_only=True)
    with store.snapshot() as conn:
        (needed,) = conn.execute(
            "SELECT sum(length(times) + length(vals) + length(resets) + length(gaps)) FROM chunk"
            " WHERE t_max >= ? AND t_min <= ?",
            (start_ms, end_ms),
        ).fetchone()
    store.close()
    store = Store.open(path, read_only=True)
    before, began = read_bytes(), time.perf_counter()
    blocks = store.select([Matcher("job", "=", "agentgauge")], start_ms, end_ms)
    next(blocks)
    first_s = time.perf_counter() - began
    for _ in blocks:
        pass
    n_read = read_bytes() - before
    store.close()
    return {"cold_24h_bytes_read_over_needed": n_read / needed, "cold_24h_first_block_ms": first_s * 1e3}


def read_bytes() -> int:
    """Return how many bytes this process has read, from files or their cache."""
    lines = Path("/proc/self/io").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("rchar")))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--series", type=int, default=2000)
    parser.add_argument("--hours", type=int, default=24)
    parser.add_argument("--promtool", default=shutil.which("promtool") or "")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--memory", type=int, default=0, metavar="SERIES", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.memory:
        print(memory(options.memory))
        return
    figures: dict[str, float] = {}
    labels, matrix = mixed(options.series, options.hours * 3600_000 // STEP_MS)
    present = int((matrix.view(np.uint64) != NO_SAMPLE_BITS).sum())
    clock = RowClock()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "m.db"
        store = Store.open(path, background=False, clock=clock, retention_ms=0)
        figures |= commit(store, labels, matrix, clock)
        store.upkeep.seal_all()
        clock.ms += 7_200_000
        store.upkeep.step(clock.ms)
        info = store_info(store)
        figures["chunk_bytes_per_sample"] = info.chunk_bytes / present
        figures["free_share_of_file"] = info.free_bytes / info.size_bytes
        store.close()
        figures["bytes_per_sample"] = path.stat().st_size / present
        figures |= query_times(path, clock, options.hours)
        figures |= cold_query(path, max(T0, clock.ms - 24 * 3_600_000), clock.ms)
        if options.promtool:
            small = matrix[: min(len(matrix), 8 * 480)]
            peer = prometheus_bytes(labels, small, options.promtool, Path(folder))
            n = int((small.view(np.uint64) != NO_SAMPLE_BITS).sum())
            figures["prometheus_bytes_per_sample"] = peer / n
            figures["size_ratio_to_prometheus"] = figures["bytes_per_sample"] / (peer / n)
    figures |= memory_figures() | restart_figures()
    if options.json:
        print(json.dumps(figures, indent=2))
    else:
        for name, value in figures.items():
            print(f"{name:45} {value:10.3f}")


if __name__ == "__main__":
    main()
