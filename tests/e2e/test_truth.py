"""Metrics equal the truth: the demo's crew works, and every count is held against its diary and the server's log.

Streams are broken off, asyncio tasks cancelled, tools time out and fail, the model fails in mid-stream and stalls
past the client's patience, in threads and in an event loop at once. Nothing may be lost, doubled or invented.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import ollama
import pytest

import agentgauge
from agentgauge.demo.agents import crew
from agentgauge.demo.crew import Crew
from agentgauge.demo.diary import Diary, Entry
from agentgauge.demo.loop import Desk, Mischief
from agentgauge.demo.site import FlakySite, Weather
from agentgauge.simulator.config import SimulatorConfig
from agentgauge.simulator.faults import Fault
from agentgauge.simulator.server import run_in_thread
from agentgauge.simulator.truth import Sent
from agentgauge.testing import Recording, recording

N_TASKS = 200
MODEL = "llama3.1:8b"


@dataclass(frozen=True)
class Run:
    """What three witnesses say of one run: the metrics, the agents, the model server."""

    samples: dict[str, float]
    diary: list[Entry]
    sent: list[Sent]

    def counted(self, metric: str, *names: str) -> Counter[tuple[str, ...]]:
        """Return the non-zero samples of a metric by the values of the named labels."""
        found: Counter[tuple[str, ...]] = Counter()
        for key, value in self.samples.items():
            name, _, text = key.partition("{")
            if name == metric and value:
                labels = dict(part.split("=", 1) for part in text.rstrip("}").split(","))
                found[tuple(labels[label].strip('"') for label in names)] += int(value)
        return found

    def noted(self, kind: str) -> list[Entry]:
        """Return the diary's entries of a kind."""
        return [entry for entry in self.diary if entry.kind == kind]


@pytest.fixture(scope="module")
def run() -> Iterator[Run]:
    """Let the crew work through 200 tasks, with everything going wrong that can."""
    faults = (Fault("midstream", 0.03), Fault("crash", 0.03), Fault("early-end", 0.02), Fault("stall", 0.02, 5.0))
    config = SimulatorConfig(parallel=4, speed=40, seed=7, faults=faults)
    diary = Diary()
    with recording() as records, run_in_thread(config) as simulator, FlakySite(Weather(slow_s=1.0), seed=3) as site:
        agentgauge.instrument("ollama")
        mischief = Mischief(break_off=0.2, cancel=0.15, chance=random.Random(5))
        client = ollama.Client(host=simulator.url, timeout=1.5)
        desk = Desk(MODEL, client, ollama.AsyncClient(host=simulator.url, timeout=1.5), diary, mischief)
        Crew(crew(desk, site.url, patience_s=0.4), desk, pause_s=0.0).work(N_TASKS)
        agentgauge.uninstrument()
        client.close()
        yield Run(settled(records), diary.entries(), simulator.log)


def settled(records: Recording) -> dict[str, float]:
    """Return the samples."""
    return records.collected()


def test_the_run_was_worth_it(run: Run) -> None:
    """Every outcome of every kind occurred, so that the comparisons below compare something."""
    for kind, outcomes in {
        "task": {"success", "failure", "timeout", "cancelled"},
        "llm": {"success", "error", "timeout", "cancelled"},
        "tool": {"success", "error", "timeout"},
    }.items():
        assert outcomes <= {entry.outcome for entry in run.noted(kind)}, kind
    assert len([entry for entry in run.noted("task") if entry.agent != "summarizer"]) >= N_TASKS


def test_tasks(run: Run) -> None:
    """Tasks by agent and status, and as many durations."""
    truth = Counter((entry.agent, entry.outcome) for entry in run.noted("task"))
    assert run.counted("agent_tasks_total", "agent", "status") == truth
    by_agent = Counter((entry.agent,) for entry in run.noted("task"))
    assert run.counted("agent_task_duration_seconds_count", "agent") == by_agent
    assert run.counted("agent_task_llm_calls_count", "agent") == by_agent


def test_llm_calls(run: Run) -> None:
    """LLM calls by agent, model and status, as many latencies, and as many in the tasks' own counts."""
    truth = Counter((entry.agent, entry.name, entry.outcome) for entry in run.noted("llm"))
    assert run.counted("agent_llm_calls_total", "agent", "model", "status") == truth
    by_model = Counter((entry.agent, entry.name) for entry in run.noted("llm"))
    assert run.counted("agent_llm_latency_seconds_count", "agent", "model") == by_model
    assert run.counted("agent_task_llm_calls_sum", "agent") == Counter((e.agent,) for e in run.noted("llm"))


def test_tool_calls(run: Run) -> None:
    """Tool calls by agent, tool and status, and as many latencies."""
    truth = Counter((entry.agent, entry.name, entry.outcome) for entry in run.noted("tool"))
    assert run.counted("agent_tool_calls_total", "agent", "tool_name", "status") == truth
    by_tool = Counter((entry.agent, entry.name) for entry in run.noted("tool"))
    assert run.counted("agent_tool_latency_seconds_count", "agent", "tool_name") == by_tool
    assert run.counted("agent_task_tool_calls_sum", "agent") == Counter((e.agent,) for e in run.noted("tool"))


def test_failures(run: Run) -> None:
    """Errors by component: what failed or timed out, and nothing else."""
    for component, ending in (("task", "failure"), ("llm", "error"), ("tool", "error")):
        truth = Counter((e.agent,) for e in run.noted(component) if e.outcome in {ending, "timeout"})
        counted: Counter[tuple[str, ...]] = Counter()
        for (agent, what), n in run.counted("agent_errors_total", "agent", "component").items():
            if what == component:
                counted[(agent,)] += n
        assert counted == truth, component


def test_tokens(run: Run) -> None:
    """Tokens by agent equal what the agents were told, and each such answer is one that the server says it sent."""
    truth: Counter[tuple[str, ...]] = Counter()
    for entry in run.noted("llm"):
        if entry.n_prompt:
            truth[(entry.agent, entry.name, "prompt")] += entry.n_prompt
        if entry.n_completion:
            truth[(entry.agent, entry.name, "completion")] += entry.n_completion
    assert run.counted("agent_token_usage_total", "agent", "model", "token_type") == truth
    told = Counter((entry.n_prompt, entry.n_completion) for entry in run.noted("llm") if entry.n_prompt)
    sent = Counter((entry.n_prompt, entry.n_completion) for entry in run.sent if entry.counted)
    assert not told - sent
    n_left = sum(entry.outcome in {"cancelled", "timeout"} for entry in run.noted("llm"))
    assert (sent - told).total() <= n_left


def test_nothing_is_left_running(run: Run) -> None:
    """All tasks ended: the active gauge is back to 0 for every agent, and nothing of ours failed."""
    assert run.counted("agent_active_count", "agent_type") == Counter()
    assert run.counted("agentgauge_record_errors_total", "where") == Counter()


def test_seconds_add_up(run: Run) -> None:
    """The phases of LLM calls sum to their latencies."""
    phases = sum(value for key, value in run.samples.items() if key.startswith("agent_llm_phase_seconds_total"))
    latency = sum(value for key, value in run.samples.items() if key.startswith("agent_llm_latency_seconds_sum"))
    assert phases == pytest.approx(latency, abs=1e-6)
