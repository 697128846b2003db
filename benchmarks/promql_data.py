"""The samples of ``bench_promql``, in a file of ours and in blocks of Prometheus, made once and kept under ``.bench``.

A scrape per 15 s for 24 h with two restarts: N tool-call counters and N bucket series of ten bounds. ``promtool`` reads
its whole input once per block, so the text is handed over two hours at a time, which is ten times faster.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from tests.conformance.differential.samples import series_text

from agentgauge.model.labels import Labels, labels_from_mapping
from agentgauge.model.series import Row
from agentgauge.store.store import Store

START_MS = 236_112 * 7_200_000
HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
STEP_MS = 15_000
BOUNDS = ("0.1", "0.5", "1", "2", "5", "10", "30", "60", "120", "+Inf")
FOLDER = Path(__file__).resolve().parent.parent / ".bench" / "promql"
VERSION = 1
"""Goes up with every change of the samples or of the store's format, so that what was kept is made again."""

_UPKEEP_EVERY_ROWS = 8


class RowClock:
    """A clock that shows the time of the newest row."""

    def __init__(self, ms: int) -> None:
        self.ms = ms

    def now_ms(self) -> int:
        """Return the time of the newest row."""
        return self.ms

    def monotonic_ns(self) -> int:
        """Return the real clock's."""
        return time.perf_counter_ns()


def labels(n: int) -> list[Labels]:
    """Return the label sets of N counters and N bucket series."""
    tools = [
        {
            "__name__": "agent_tool_calls_total",
            "agent": f"agent{i // 20}",
            "tool_name": f"tool{i % 10}",
            "status": ("success", "error")[i // 10 % 2],
        }
        for i in range(n)
    ]
    buckets = [
        {"__name__": "agent_llm_latency_seconds_bucket", "agent": f"agent{i // 10}", "model": "m", "le": BOUNDS[i % 10]}
        for i in range(n)
    ]
    return [labels_from_mapping(one) for one in [*tools, *buckets]]


def rows(n: int) -> Iterator[tuple[int, np.ndarray]]:
    """Yield the time and the values of every scrape."""
    rng = np.random.default_rng(1)
    total = np.zeros(2 * n)
    n_rows = DAY_MS // STEP_MS
    for i in range(n_rows + 1):
        if i in {n_rows // 3, 2 * n_rows // 3}:
            total[:] = 0
        total[:n] += rng.poisson(0.5, n)
        total[n:] += np.cumsum(rng.poisson(0.2, (n // 10, 10)), axis=1).ravel()
        yield START_MS + i * STEP_MS, total.copy()


def data_folder(n: int) -> Path:
    """Return the folder that holds ``ours.db`` and ``prometheus/`` of N series; made when it is not there."""
    folder = FOLDER / f"{n}-{VERSION}"
    if not folder.exists():
        making = folder.with_suffix(f".{os.getpid()}")
        shutil.rmtree(making, ignore_errors=True)
        making.mkdir(parents=True)
        began = time.perf_counter()
        write_ours(making / "ours.db", n)
        write_blocks(making, n)
        print(f"made the samples of {n} series in {time.perf_counter() - began:.0f} s", flush=True)
        making.rename(folder)
    return folder


def write_ours(path: Path, n: int) -> None:
    """Fill a database file as scrapes do, upkeep as time goes by; at the end everything is in chunks."""
    clock = RowClock(START_MS)
    store = Store.open(path, retention_ms=0, background=False, clock=clock)
    group, new = store.group("bench"), labels(n)
    for i, (t_ms, values) in enumerate(rows(n)):
        clock.ms = t_ms
        group.append(Row(t_ms, values, new))
        new = []
        if i % _UPKEEP_EVERY_ROWS == 0:
            store.upkeep.step(t_ms)
    store.upkeep.seal_all()
    store.close()


def write_blocks(folder: Path, n: int) -> None:
    """Backfill Prometheus with the same samples."""
    names = [series_text(one) for one in labels(n)]
    text = folder / "samples.txt"
    file, block = None, -1
    for t_ms, values in rows(n):
        if t_ms // (2 * HOUR_MS) != block:
            _backfill(file, text, folder)
            file, block = text.open("w"), t_ms // (2 * HOUR_MS)
        assert file is not None, "BUG: a row before the first block"
        seconds = f"{t_ms / 1000:.3f}\n"
        file.writelines(f"{name} {value} {seconds}" for name, value in zip(names, values.tolist(), strict=True))
    _backfill(file, text, folder)
    text.unlink()


def _backfill(file: object, text: Path, folder: Path) -> None:
    """End a piece of text and turn it into a block."""
    if file is None:
        return
    file.write("# EOF\n")  # type: ignore[attr-defined]
    file.close()  # type: ignore[attr-defined]
    command = ["promtool", "tsdb", "create-blocks-from", "openmetrics", str(text), str(folder / "prometheus")]
    subprocess.run(command, check=True, capture_output=True)
