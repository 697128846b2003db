"""Kill the running server at random moments, many times: every sample it ever answered with must be in its file.

A target here counts its scrapes; the server (``agentgauge serve``, with sealing, merging and checkpoints forced to run
all the time) scrapes it five times a second. What a query has answered was acknowledged: after each kill all of them
must be there, each once, the file clean, and the next server answers with them.

Usage: python -m benchmarks.crash_server --rounds 50
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

from tests.loopback import CountingTarget

from agentgauge.model.labels import Matcher
from agentgauge.store.check import check_store
from agentgauge.store.store import Store

N_SERIES = 500
SERVER = """
import sys
from agentgauge.store import sealing, upkeep
upkeep.SEAL_ROWS, upkeep.TICK_S, upkeep.CHECKPOINT_MS, upkeep.RETENTION_MS = 4, 0.02, 100, 300
upkeep.DAY_MERGE_AGE_MS = 0
sealing.INTERVAL_MS = upkeep.INTERVAL_MS = sealing.LEVEL_SPAN_MS[0] = sealing.LEVEL_SPAN_MS[1] = 2_000
sealing.LEVEL_SPAN_MS[2] = 10_000
from agentgauge.__main__ import main
sys.exit(main())
"""


def many_counters(n: int) -> str:
    """Return counters that all show how often they were scraped."""
    return "".join(f'seen_total{{i="{i}"}} {n}\n' for i in range(N_SERIES))


def answer(url: str) -> set[int]:
    """Ask the server for the counts that it has stored."""
    query = f"{url}/api/v1/query?query=seen_total%7Bi%3D%220%22%7D%5B1h%5D"
    with urllib.request.urlopen(query, timeout=30) as body:
        found = json.load(body)["data"]["result"]
    return {int(value) for _, value in found[0]["values"]} if found else set()


def one_round(db: Path, target: CountingTarget, rng: random.Random, answered: set[int]) -> float:
    """Serve, watch, kill; add what was answered; return the seconds until the first answer."""
    line = [sys.executable, "-c", SERVER, "serve", "--listen", "127.0.0.1:0", "--db", str(db), "--no-discovery"]
    line += ["--target", target.address, "--interval", "200ms"]
    began = time.perf_counter()
    process = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, bufsize=1)
    assert process.stdout is not None
    try:
        banner = process.stdout.readline()
        url = next(word for word in banner.split() if word.startswith("http://"))
        now = answer(url)
        ready_s = time.perf_counter() - began
        assert now >= answered, f"{sorted(answered - now)[:5]} were answered, the next server does not know them"
        enough = len(now) + rng.randint(1, 10)
        while len(now) < enough:
            assert process.poll() is None, "the server ended by itself"
            now = answer(url)
            answered |= now
        time.sleep(rng.uniform(0, 0.2))
        process.send_signal(signal.SIGKILL)
        process.wait()
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        process.stdout.close()
    return ready_s


def verify(db: Path, answered: set[int]) -> int:
    """Check the file and that all counts are there, in every series; return how many samples there are."""
    store = Store.open(db, read_only=True)
    try:
        findings = check_store(store)
        assert not findings, findings
        n_series = n_samples = 0
        for block in store.select([Matcher("__name__", "=", "seen_total")], 0, 1 << 60):
            for i in range(len(block.labels)):
                counts = _column(block, i)
                n_samples += len(counts)
                n_series += 1
                assert len(counts) == len(set(counts)), "a sample stands there twice"
                missing = answered - set(counts)
                assert not missing, f"acknowledged and not there: {sorted(missing)[:5]}"
        assert n_series == N_SERIES
    finally:
        store.close()
    return n_samples


def _column(block: Any, i: int) -> list[int]:
    if hasattr(block, "offsets"):
        values = block.values[block.offsets[i] : block.offsets[i + 1]]
    else:
        values = block.values[:, i] if block.present is None else block.values[block.present[:, i], i]
    return [int(value) for value in values[values == values]]


def main() -> None:
    """Run the rounds and print one line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    rng, target = random.Random(options.seed), CountingTarget(many_counters)
    answered: set[int] = set()
    n_samples, slowest_s = 0, 0.0
    try:
        with tempfile.TemporaryDirectory() as folder:
            db = Path(folder) / "m.db"
            for _ in range(options.rounds):
                slowest_s = max(slowest_s, one_round(db, target, rng, answered))
                n_samples = verify(db, answered)
    finally:
        target.close()
    print(
        f"{options.rounds} kills of the server, {n_samples} samples of {len(answered)} scrapes checked, 0 lost,"
        f" every file clean; slowest from start to first answer {slowest_s:.2f} s"
    )


if __name__ == "__main__":
    main()
