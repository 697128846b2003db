"""Kill the store's process at random moments, many times: every acknowledged row must be there, bit for bit.

A child appends rows and notes each in a file after ``append`` returned; it seals, merges, ages out and renumbers all
the time, and a reader is open beside it. The parent kills it (SIGKILL), checks the file and goes on with it.

Usage: python -m benchmarks.crash_store --rounds 200
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

from agentgauge.model.labels import labels_from_mapping
from agentgauge.model.sample import NO_SAMPLE
from agentgauge.model.series import DenseBlock, Row
from agentgauge.store.check import check_store
from agentgauge.store.store import Store

N_SERIES = 600
STEP_MS = 60_000
T0 = 1_700_000_000_000 // 7_200_000 * 7_200_000
RETENTION_MS = 48 * 3_600_000


class RowClock:
    """Shows the time of the newest row."""

    ms = T0

    def now_ms(self) -> int:
        return self.ms

    def monotonic_ns(self) -> int:
        return time.perf_counter_ns()


def labels(i: int, generation: int) -> tuple[tuple[str, str], ...]:
    # A few series live on, the others are new in every generation: churn, so that columns are renumbered.
    return labels_from_mapping({"__name__": "m", "i": str(i), "generation": str(generation if i >= 10 else 0)})


def child(path: Path, acknowledged: Path, first: int) -> None:
    clock = RowClock()
    clock.ms = T0 + first * STEP_MS
    store = Store.open(path, clock=clock, background=False, retention_ms=RETENTION_MS)
    fd = os.open(acknowledged, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    group = store.group("g")
    done = threading.Event()

    def read() -> None:
        while not done.wait(0.02):
            for _ in store.select((), T0, clock.ms):
                pass

    threading.Thread(target=read, daemon=True).start()
    column_of: dict[object, int] = {}
    epoch = -1
    n = first
    while True:
        clock.ms = T0 + n * STEP_MS
        if group.epoch != epoch:
            epoch = group.epoch
            column_of = {series: i for i, series in enumerate(group.columns)}
        wanted = [labels(i, n // 50) for i in range(N_SERIES)]
        new = [series for series in wanted if series not in column_of]
        for series in new:
            column_of[series] = len(column_of)
        values = np.full(len(column_of), NO_SAMPLE)
        values[[column_of[series] for series in wanted]] = np.arange(N_SERIES) * 0.5 + n
        group.append(Row(clock.ms, values, new))
        os.write(fd, struct.pack("<q", n))
        n += 1
        if n % 13 == 0:
            store.upkeep.step(clock.ms)
        if n % 40 == 0:
            store.upkeep.seal_all()
            store.upkeep.merge(clock.ms)
        if n % 30 == 0:
            store.upkeep._retention.run(clock.ms)


def verify(path: Path, acknowledged: Path, gone_before: int) -> tuple[int, int, int]:
    """Check the file; return the next row, how many acknowledged rows were checked, and the oldest row there."""
    body = acknowledged.read_bytes() if acknowledged.exists() else b""
    rows = [n for (n,) in struct.iter_unpack("<q", body[: len(body) // 8 * 8])]
    store = Store.open(path, background=False, retention_ms=0)
    assert not store.replaced, store.replaced
    findings = check_store(store)
    assert not findings, findings
    found: dict[int, int] = {}
    for block in store.select((), T0, 1 << 60):
        present = np.ones(block.values.shape, bool)
        columns = range(len(block.labels))
        if isinstance(block, DenseBlock):
            t_ms, values = block.t_ms, block.values
            present = present if block.present is None else block.present
            for c in columns:
                i = int(dict(block.labels[c])["i"])
                n = (t_ms[present[:, c]] - T0) // STEP_MS
                assert np.array_equal(values[present[:, c], c], i * 0.5 + n), "a wrong value"
                for one in n.tolist():
                    found[one] = found.get(one, 0) + 1
        else:
            for c in columns:
                i = int(dict(block.labels[c])["i"])
                a, b = block.offsets[c], block.offsets[c + 1]
                n = (block.t_ms[a:b] - T0) // STEP_MS
                assert np.array_equal(block.values[a:b], i * 0.5 + n), "a wrong value"
                for one in n.tolist():
                    found[one] = found.get(one, 0) + 1
    store.close()
    newest = max(found, default=-1)
    # What retention was allowed to delete: whole intervals, a day's chunk at most, beyond the retention.
    floor = max(gone_before, newest - RETENTION_MS // STEP_MS)
    missing = [n for n in rows if n >= floor and found.get(n) != N_SERIES]
    assert not missing, f"{len(missing)} acknowledged rows are not there: {missing[:5]}"
    return newest + 1, sum(n >= floor for n in rows), min(found, default=0)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--child", nargs=3, metavar=("PATH", "ACK", "FIRST"))
    options = parser.parse_args()
    if options.child:
        child(Path(options.child[0]), Path(options.child[1]), int(options.child[2]))
        return
    rng = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as folder:
        path, acknowledged = Path(folder) / "m.db", Path(folder) / "ack"
        first = n_checked = 0
        for _ in range(options.rounds):
            before = acknowledged.stat().st_size if acknowledged.exists() else 0
            process = subprocess.Popen([sys.executable, __file__, "--child", path, acknowledged, str(first)])
            while (acknowledged.stat().st_size if acknowledged.exists() else 0) == before:
                assert process.poll() is None, "the child ended by itself"
                time.sleep(0.005)
            time.sleep(rng.uniform(0.0, 0.8))
            process.send_signal(signal.SIGKILL)
            process.wait()
            first, n, _ = verify(path, acknowledged, 0)
            n_checked += n
        total = acknowledged.stat().st_size // 8
        print(f"{options.rounds} kills, {total} rows acknowledged, {n_checked} checked, 0 lost, every file clean")


if __name__ == "__main__":
    main()
