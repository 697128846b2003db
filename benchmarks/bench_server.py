"""What a running server takes to scrape 20,000 series, and how late sealing makes a scrape.

One process shows the series, each scrape with other values; ``agentgauge serve`` scrapes it. First every 5 s: its CPU
by the kernel's account. Then every 0.2 s, so that rows are sealed every few seconds: how late scrapes began, by the
server's own metric, and how long the longest took that was not the first, which has every line to learn.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import Process, SimpleQueue
from pathlib import Path

from harness import check_budgets, print_table, wants_json, write_json

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench_render import ledger_of
from tests.loopback import CountingTarget, until

from agentgauge.expose.document import Document

N_SERIES = 20_000
CALM_S, BUSY_S = 40, 90
TICKS_PER_S = os.sysconf("SC_CLK_TCK")


def show(addresses: SimpleQueue[str]) -> None:
    """Show the series of a ledger that counts on between two scrapes."""
    ledger = ledger_of(N_SERIES)
    document, rng = Document(ledger), random.Random(1)

    def text(n: int) -> str:
        for slot in range(n % 3, len(ledger.values), 3):
            ledger.values[slot] += rng.randrange(1000)
        return document.render()[1].decode()

    target = CountingTarget(text)
    addresses.put(target.address)
    signal.pause()


@contextmanager
def serving(address: str, interval: str) -> Iterator[tuple[str, int]]:
    """Run a server that scrapes one target into a fresh file; yields its address and pid."""
    with tempfile.TemporaryDirectory() as folder:
        line = [sys.executable, "-m", "agentgauge", "serve", "--no-discovery", "--listen", "127.0.0.1:0"]
        line += ["--db", f"{folder}/m.db", "--target", address, "--interval", interval]
        process = subprocess.Popen(line, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        try:
            yield next(word for word in process.stdout.readline().split() if word.startswith("http://")), process.pid
        finally:
            process.terminate()
            process.wait()
            process.stdout.close()


def value(url: str, query: str) -> float:
    """Return the one value that a query answers with, 0 when there is none."""
    with urllib.request.urlopen(f"{url}/api/v1/query?{urllib.parse.urlencode({'query': query})}", timeout=30) as body:
        found = json.load(body)["data"]["result"]
    return float(found[0]["value"][1]) if found else 0.0


def cpu_s(pid: int) -> float:
    """Return the processor seconds of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_S


def share_of_a_core(address: str) -> float:
    """Return what the whole server takes while it scrapes every 5 s."""
    with serving(address, "5s") as (url, pid):
        until_scraped(url, address)
        start_ns, before_s = time.perf_counter_ns(), cpu_s(pid)
        time.sleep(CALM_S)
        return (cpu_s(pid) - before_s) * 1e9 / (time.perf_counter_ns() - start_ns)


def lateness_ms(address: str) -> tuple[float, float, float]:
    """Return how late scrapes began at worst, the longest one, and how many there were, while rows are sealed."""
    with serving(address, "200ms") as (url, _):
        until_scraped(url, address)
        time.sleep(BUSY_S)
        window = f"[{BUSY_S - 5}s]"
        return (
            value(url, f"max_over_time(agentgauge_scrape_lag_seconds{window})") * 1000,
            value(url, f"max_over_time(scrape_duration_seconds{of(address)}{window})") * 1000,
            value(url, f"sum_over_time(up{of(address)}{window})"),
        )


def until_scraped(url: str, address: str) -> None:
    """Wait for two scrapes that brought all series."""
    query = f"count_over_time((scrape_samples_scraped{of(address)} > {0.9 * N_SERIES})[1m:200ms])"
    until(f"two scrapes of {N_SERIES} series", lambda: value(url, query) >= 2)


def of(address: str) -> str:
    """Return the selector of a target's series."""
    return f'{{instance="{address}"}}'


def main() -> int:
    """Print the table and return 1 on a regression."""
    addresses: SimpleQueue[str] = SimpleQueue()
    shown = Process(target=show, args=(addresses,))
    shown.start()
    try:
        address = addresses.get()
        share = share_of_a_core(address)
        late_ms, longest_ms, n_scrapes = lateness_ms(address)
    finally:
        shown.terminate()
        shown.join()
    figures = {"share of a core at 5 s": share, "a scrape late by, ms": late_ms}
    if wants_json():
        return write_json("server", figures)
    rows = [["every 5 s, share of a core", share], ["every 0.2 s, scrapes", n_scrapes]]
    rows += [["  late at worst, ms", late_ms], ["  longest, ms", longest_ms]]
    print_table(f"{N_SERIES:,} series", ["", ""], rows)
    return check_budgets("server", figures)


if __name__ == "__main__":
    sys.exit(main())
