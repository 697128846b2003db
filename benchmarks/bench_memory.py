"""What a label set costs in memory once it has been scraped, beside prometheus_client's children."""

from __future__ import annotations

import gc
import sys
import tracemalloc
from collections.abc import Callable

from harness import check_budgets, print_table, wants_json, write_json
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

from agentgauge.expose.document import Document
from agentgauge.model.metrics import CALL_STATUSES, DURATION_BUCKETS_S
from agentgauge.record.ledger import Ledger

N_SETS = 2_000
LIMITS = {"agent": 10**6, "tool_name": 10**6, "model": 10**6}


def bytes_per_set(fill: Callable[[int, int], object]) -> float:
    """Return the bytes that each of ``N_SETS`` label sets adds after the first hundred."""
    fill(0, 100)
    gc.collect()
    tracemalloc.start()
    kept = fill(100, 100 + N_SETS)
    gc.collect()
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    del kept
    return size / N_SETS


def labels_of(i: int) -> tuple[str, str, str]:
    """Return the labels of one counter: four of them for each tool, as both sides make them."""
    return f"agent-{i // 4 % 50}", f"tool-{i // 4}", CALL_STATUSES[i % 4]


def ours(kind: str) -> Callable[[int, int], object]:
    """Return what makes label sets of a counter or a histogram of the ledger and scrapes them."""
    ledger = Ledger(limits=LIMITS, series_limit=10**9)
    document = Document(ledger)

    def fill(first: int, last: int) -> object:
        for i in range(first, last):
            if kind == "counter":
                ledger.add("agent_tool_calls_total", labels_of(i), 1_000_000 + i)
            else:
                ledger.apply(ledger.observe, "agent_llm_latency_seconds", (f"agent-{i % 50}", f"model-{i}"), i * 10**6)
        document.render()
        return document

    return fill


def peer(kind: str) -> Callable[[int, int], object]:
    """Return the same with prometheus_client."""
    registry = CollectorRegistry()
    counter = Counter("tool_calls", "-", ["agent", "tool_name", "status"], registry=registry)
    histogram = Histogram("latency", "-", ["agent", "model"], buckets=DURATION_BUCKETS_S, registry=registry)

    def fill(first: int, last: int) -> object:
        for i in range(first, last):
            if kind == "counter":
                counter.labels(*labels_of(i)).inc(1_000_000 + i)
            else:
                histogram.labels(f"agent-{i % 50}", f"model-{i}").observe(i / 1000)
        generate_latest(registry)
        return registry

    return fill


def main() -> int:
    """Print the table and return 1 on a regression."""
    rows, ratios = [], {}
    for kind in ("counter", "histogram"):
        mine, theirs = bytes_per_set(ours(kind)), bytes_per_set(peer(kind))
        rows.append([kind, mine, theirs, mine / theirs])
        ratios[f"{kind} / prometheus_client"] = mine / theirs
    if wants_json():
        return write_json("memory", ratios)
    print_table("bytes per label set, scraped once", ["", "ours", "prometheus_client", "x"], rows)
    return check_budgets("memory", ratios)


if __name__ == "__main__":
    sys.exit(main())
