"""What the time accounting adds to recording, per span at 20 spans per task; and what 10,000 running tasks take.

Added is what the same calls and one task cost with their place in a task's tree, its live state and its critical path,
less what they cost without: outside any task, and the bare count of a task. Thread CPU, interleaved, the least of many
rounds: what others do on the machine only ever adds. Ratios are to the four updates of a call through
prometheus_client's ``labels()``, as in ``bench_record``; the bar is in microseconds.
"""

from __future__ import annotations

import sys
import time
import tracemalloc
from collections.abc import Callable
from contextvars import Context

from bench_record import peers
from harness import check_budgets, print_table, wants_json, write_json

from agentgauge.model.span import Phases, Task
from agentgauge.record.api import llm_call, task, tool_call, use_recorder
from agentgauge.record.recorder import Recorder

N_SPANS = 20
N_ROUNDS = 25
N_RUNS = 100
N_TASKS = 10_000


def calls(n_spans: int) -> None:
    """Make an LLM call and a tool call in turn, as agents do."""
    for _ in range(n_spans // 2):
        with llm_call("m") as call:
            call.usage(412, 96)
        with tool_call("t"):
            pass


def calls_with_phases(n_spans: int) -> None:
    """The same with phases, as the hooks report them: each is a node of the tree."""
    for _ in range(n_spans // 2):
        with llm_call("m") as call:
            call.usage(412, 96)
            call.phases(Phases(queue_ns=100, prefill_ns=100, decode_ns=100))
        with tool_call("t"):
            pass


def in_a_task(make: Callable[[int], None]) -> Callable[[], None]:
    """Return the calls, run in a task."""

    def run() -> None:
        with task(agent="a"):
            make(N_SPANS)

    return run


def measure(recorder: Recorder) -> dict[str, float]:
    """Return nanoseconds per span, but for the peer: per call."""
    rows = recorder.task_started("a", "a")
    span = Task("a", "a", "success", 0, 10**9)

    def bare_task() -> None:
        recorder.task_started("a", "a")
        recorder.record_task(span, None, rows)

    functions: dict[str, tuple[Callable[[], None], int]] = {
        "labels()": (peers()["prometheus_client, labels()"], 1),
        "outside a task": (lambda: calls(N_SPANS), N_SPANS),
        "outside a task, phases": (lambda: calls_with_phases(N_SPANS), N_SPANS),
        "in a task": (in_a_task(calls), N_SPANS),
        "in a task, phases": (in_a_task(calls_with_phases), N_SPANS),
        "a task's count": (bare_task, N_SPANS),
    }
    best = dict.fromkeys(functions, float("inf"))
    for _ in range(N_ROUNDS):
        for name, (function, n_per_run) in functions.items():
            start_ns = time.thread_time_ns()
            for _ in range(N_RUNS):
                function()
            recorder.ledger.catch_up()
            best[name] = min(best[name], (time.thread_time_ns() - start_ns) / N_RUNS / n_per_run)
    return best


def running(recorder: Recorder, n_spans: int) -> tuple[float, float]:
    """Return bytes per running task with so many finished spans, and milliseconds of a scrape beside 10,000 of them."""
    tracemalloc.start()
    before_bytes, _ = tracemalloc.get_traced_memory()
    blocks = []
    for _ in range(N_TASKS):
        context = Context()  # of its own, or each task would be a part of the one before
        block = task(agent="a")
        context.run(block.__enter__)
        context.run(calls, n_spans)
        blocks.append((context, block))
    recorder.ledger.catch_up()
    after_bytes, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    start_ns = time.thread_time_ns()
    recorder.ledger.snapshot()
    scrape_ms = (time.thread_time_ns() - start_ns) / 1e6
    for context, block in blocks:
        context.run(block.__exit__, None, None, None)
    return (after_bytes - before_bytes) / N_TASKS, scrape_ms


def main() -> int:
    """Print the tables and return 1 on a regression."""
    recorder = Recorder()
    use_recorder(recorder)
    times = measure(recorder)
    base = times["labels()"]
    added_ns = times["in a task"] - times["outside a task"] - times["a task's count"]
    phases_ns = times["in a task, phases"] - times["outside a task, phases"] - times["a task's count"]
    figures = {
        "added per span, us": added_ns / 1e3,
        "added per span with phases, us": phases_ns / 1e3,
        "added per span / labels()": added_ns / base,
        "call in a task / labels()": times["in a task"] / base,
    }
    if wants_json():
        return write_json("accounting", figures)
    print_table(f"per span, {N_SPANS} spans per task", ["", "ns", "x"], [[n, ns, ns / base] for n, ns in times.items()])
    rows = [[n_spans, *running(recorder, n_spans)] for n_spans in (0, N_SPANS)]
    print_table(f"{N_TASKS} tasks running", ["spans each", "bytes per task", "scrape, ms"], rows)
    return check_budgets("accounting", figures)


if __name__ == "__main__":
    sys.exit(main())
