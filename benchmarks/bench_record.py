"""What recording one LLM call costs, beside the same four updates through prometheus_client's ``labels()``.

Thread CPU, operations interleaved, the least of many rounds: what others do on the machine only ever adds.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

from harness import check_budgets, print_table, wants_json, write_json
from prometheus_client import CollectorRegistry, Counter, Histogram

from agentgauge.model.metrics import DURATION_BUCKETS_S
from agentgauge.model.span import LLMCall, Phases, Task, TokenUsage, ToolCall
from agentgauge.record.api import llm_call, task, use_recorder
from agentgauge.record.recorder import Recorder

N_CALLS = 5_000
N_ROUNDS = 15


def peers() -> dict[str, Callable[[], None]]:
    """Return the four updates of a call by hand, and one observation of a cached histogram."""
    registry = CollectorRegistry()
    latency = Histogram("latency", "-", ["agent", "model"], buckets=DURATION_BUCKETS_S, registry=registry)
    calls = Counter("calls", "-", ["agent", "model", "status"], registry=registry)
    tokens = Counter("tokens", "-", ["agent", "model", "token_type"], registry=registry)
    cached = latency.labels("a", "m")

    def by_labels() -> None:
        latency.labels("a", "m").observe(1.0)
        calls.labels("a", "m", "success").inc()
        tokens.labels("a", "m", "prompt").inc(412)
        tokens.labels("a", "m", "completion").inc(96)

    return {"prometheus_client, labels()": by_labels, "prometheus_client, cached observe": lambda: cached.observe(1.0)}


def ours() -> dict[str, Callable[[], None]]:
    """Return commits of the ledger, and whole operations through the public API."""
    recorder = Recorder()
    use_recorder(recorder)
    plain = LLMCall("a", "m", "success", 0, 10**9, usage=TokenUsage(412, 96))
    full = LLMCall(
        "a",
        "m",
        "success",
        0,
        10**9,
        first_token_ns=10**8,
        usage=TokenUsage(412, 96, 300),
        phases=Phases(0, 0, 0, 10**8, 8 * 10**8, 10**8),
        task_id="0123456789abcdef",
    )
    tool = ToolCall("a", "t", "success", 0, 10**9)
    run = Task("a", "a", "success", 0, 10**9)
    recorder.record(plain)
    rows, tool_rows, task_rows = (
        recorder.llm_rows("a", "m"),
        recorder.tool_rows("a", "t"),
        recorder.task_started("a", "a"),
    )

    def operation() -> None:
        with llm_call("m") as call:
            call.usage(412, 96)

    def explicit() -> None:
        call = llm_call("m").start()
        call.usage(412, 96)
        call.finish()

    def whole_task() -> None:
        with task(agent="a"):
            pass

    return {
        "commit": lambda: recorder.record_llm(plain, rows),
        "commit, every field": lambda: recorder.record_llm(full, rows),
        "commit, tool": lambda: recorder.record_tool(tool, tool_rows),
        "commit, task": lambda: recorder.record_task(run, None, task_rows),
        "operation": operation,
        "operation, start and finish": explicit,
        "task": whole_task,
    }


def measure(functions: dict[str, Callable[[], None]]) -> dict[str, float]:
    """Return nanoseconds per call by name."""
    best = dict.fromkeys(functions, float("inf"))
    for _ in range(N_ROUNDS):
        for name, function in functions.items():
            start_ns = time.thread_time_ns()
            for _ in range(N_CALLS):
                function()
            best[name] = min(best[name], (time.thread_time_ns() - start_ns) / N_CALLS)
    return best


def main() -> int:
    """Print the table and return 1 on a regression."""
    times = measure({**peers(), **ours()})
    base = times["prometheus_client, labels()"]
    ratios = {f"{name} / labels()": ns / base for name, ns in times.items() if not name.startswith("prometheus")}
    if wants_json():
        return write_json("record", ratios)
    print_table("one LLM call", ["", "ns", "x"], [[name, ns, ns / base] for name, ns in times.items()])
    return check_budgets("record", ratios)


if __name__ == "__main__":
    sys.exit(main())
