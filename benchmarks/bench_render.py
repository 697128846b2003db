"""What a scrape costs: our renderer beside ``generate_latest`` on the same ledger, and how long a loop waits for it."""

from __future__ import annotations

import asyncio
import gc
import statistics
import sys
import time
from collections.abc import Callable

from harness import check_budgets, print_table, wants_json, write_json
from prometheus_client import CollectorRegistry, generate_latest

from agentgauge.expose.apps import asgi_app
from agentgauge.expose.document import Document
from agentgauge.model.span import LLMCall, TokenUsage, ToolCall
from agentgauge.record.ledger import Ledger
from agentgauge.record.recorder import Recorder

SIZES = (1_000, 10_000, 100_000)
UNLIMITED = {"agent": 10_000, "model": 10_000, "tool_name": 10_000, "error_type": 10_000}


def ledger_of(n_series: int) -> Ledger:
    """Return a ledger that holds about so many series, as agents, models and tools make them."""
    ledger = Ledger(limits=UNLIMITED, series_limit=n_series)
    recorder = Recorder(ledger)
    i = 0
    while ledger.has_room(200):
        agent = f"agent-{i % 50}"
        call = LLMCall(agent, f"model-{i}", "success", 0, i * 10**6, 10**5, usage=TokenUsage(i, 2 * i))
        recorder.record(call)
        recorder.record(ToolCall(agent, f"tool-{i}", "success", 0, i * 10**6))
        i += 1
    return ledger


def least_cpu_ms(function: Callable[[], object], rounds: int) -> float:
    """Return the least CPU milliseconds of one call, the first (which fills the caches) left out."""
    function()
    best = float("inf")
    for _ in range(rounds):
        start_ns = time.thread_time_ns()
        function()
        best = min(best, (time.thread_time_ns() - start_ns) / 1e6)
    return best


async def longest_gap_ms(ledger: Ledger, n_scrapes: int) -> tuple[float, float]:
    """Return how long an event loop that only yields is kept waiting at most, alone and beside a gzipped scrape.

    The median over several scrapes: what a scrape does to the loop it does every time, what else the machine does not.
    """
    app = asgi_app(Document(ledger))
    scope = {
        "type": "http",
        "method": "GET",
        "path": "/metrics",
        "headers": [(b"accept-encoding", b"gzip"), (b"accept", b"application/openmetrics-text;version=1.0.0")],
    }
    sent: list[object] = []

    async def receive() -> dict[str, object]:
        return {"type": "http.request"}

    async def send(message: object) -> None:
        sent.append(message)

    alone = [await _longest_turn_ms(asyncio.create_task(asyncio.sleep(0.2))) for _ in range(n_scrapes)]
    beside = [await _longest_turn_ms(asyncio.create_task(app(scope, receive, send))) for _ in range(n_scrapes)]
    assert len(sent) >= 2 * n_scrapes, "the application did not answer"
    return statistics.median(alone), statistics.median(beside)


async def _longest_turn_ms(work: asyncio.Task[None]) -> float:
    """Return the longest turn of the loop while something runs."""
    longest_s = 0.0
    last = time.perf_counter()
    while not work.done():
        await asyncio.sleep(0)
        now = time.perf_counter()
        longest_s = max(longest_s, now - last)
        last = now
    await work
    return longest_s * 1000


def main() -> int:
    """Print the tables and return 1 on a regression."""
    rows, ratios = [], {}
    for n_series in SIZES:
        ledger = ledger_of(n_series)
        document = Document(ledger)
        registry = CollectorRegistry()
        registry.register(ledger)
        rounds = 3 if n_series == SIZES[-1] else 9
        gc.collect()
        cpu_ms = least_cpu_ms(document.render, rounds)
        peer_ms = least_cpu_ms(lambda registry=registry: generate_latest(registry), rounds)
        alone_ms, gap_ms = asyncio.run(longest_gap_ms(ledger, 9))
        rows.append([ledger.n_series, cpu_ms, peer_ms, cpu_ms / peer_ms, alone_ms, gap_ms])
        ratios[f"{n_series} series / generate_latest"] = cpu_ms / peer_ms
        ratios[f"{n_series} series, loop gap ms"] = gap_ms
    if wants_json():
        return write_json("render", ratios)
    head = ["series", "ours ms", "generate_latest ms", "x", "loop gap alone ms", "beside scrapes ms"]
    print_table("one scrape, CPU", head, rows)
    return check_budgets("render", ratios)


if __name__ == "__main__":
    sys.exit(main())
