"""Samples per second and core from exposition text to the committed row: parsing and the store together."""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from agentgauge.scrape.target import Limits, TargetSeries, target_from_address
from agentgauge.store.store import Store

N_SERIES = 20_000
N_SCRAPES = 8


def body(scrape: int) -> bytes:
    lines = ["# TYPE agent_llm_latency_seconds histogram"]
    lines += [
        f'b_bucket{{agent="agent-{i % 50}",model="llama3.1:8b",tool_name="tool-{i}",status="ok",le="0.5"}} {i * scrape}'
        for i in range(N_SERIES)
    ]
    return ("\n".join(lines) + "\n").encode()


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        store = Store.open(Path(folder) / "bench.db", background=False)
        target = target_from_address("127.0.0.1:1")
        group = store.group(target.group_key)
        series = TargetSeries(target, group.columns, Limits())
        seconds = []
        for scrape in range(1, N_SCRAPES + 1):
            text, t_ms = body(scrape), store.clock.now_ms() + scrape
            start_s = time.process_time()
            group.append(series.success(text, t_ms, 0.0).row)
            seconds.append(time.process_time() - start_s)
            series.stored()
        store.close()
    first, rest = seconds[0], min(seconds[1:])
    print(f"scrape: {N_SERIES:,} series, parse and commit: {N_SERIES / rest / 1e6:.2f} M samples/s per core")
    if rest > 2 * N_SERIES / 1e6:
        sys.exit("scrape: under half of the aim of 1 M samples/s per core")
    print(f"scrape: the first text, every line new: {N_SERIES / first / 1e3:.0f} k samples/s")


if __name__ == "__main__":
    main()
