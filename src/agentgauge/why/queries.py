"""FACTS: the PromQL behind every number of the answer. Pure.

Each fact is one instant query over one window, summed over processes, so that a fleet behind a Prometheus is asked
like a file. Each family is divided by its own total later on (``report.py``): ``increase`` extrapolates every series
by itself, so a ratio of two families would only agree up to that. Two placeholders are filled in: ``$agent`` (a label
matcher) and ``$window``.
"""

from __future__ import annotations

from dataclasses import dataclass

STATE_METRIC = "agent_task_state_seconds_total"
TASKS_METRIC = "agent_tasks_total"
PATH_METRIC = "agent_task_path_seconds_total"


@dataclass(frozen=True, slots=True)
class Fact:
    """One row of FACTS; ``labels`` are those the answer is told apart by, ``agent`` first."""

    id: str
    metric: str
    labels: tuple[str, ...]
    what: str
    expr: str


def _increase(id: str, metric: str, what: str, *labels: str) -> Fact:
    by = ("agent", *labels)
    return Fact(id, metric, by, what, f"sum by ({', '.join(by)}) (increase({metric}{{$agent}}[$window]))")


_ROWS = (
    _increase("attempts", "agent_llm_attempts_total", "HTTP attempts below LLM calls", "outcome"),
    _increase("calls", "agent_task_path_calls_total", "calls of finished tasks", "component", "name", "slo"),
    _increase("detached", "agent_detached_seconds_total", "seconds of work that outlived what started it"),
    _increase("doubts", "agent_task_doubts_total", "tasks whose what-if does not hold", "reason"),
    _increase("fates", "agent_token_fate_total", "tokens by what became of them", "fate"),
    _increase("path", PATH_METRIC, "seconds on the critical path", "component", "name", "slo"),
    _increase("repeated", "agent_repeated_calls_total", "calls repeated within a task", "component", "name"),
    _increase("solo", "agent_task_solo_seconds_total", "seconds in which only this was active", "component", "name"),
    _increase("states", STATE_METRIC, "seconds of running tasks by what was active", "state"),
    _increase("tasks", TASKS_METRIC, "finished tasks and sub-agent runs", "status"),
    Fact(
        "seen",
        TASKS_METRIC,
        ("agent", "__name__"),
        "which agents and counters there are at all",
        "group by (agent, __name__) (last_over_time("
        f'{{__name__=~"{TASKS_METRIC}|{PATH_METRIC}|{STATE_METRIC}"}}[$window]))',
    ),
)

FACTS: dict[str, Fact] = {row.id: row for row in _ROWS}
"""Fact id -> its row."""


def fill(fact: Fact, agent: str, window_ms: int) -> str:
    """Return the PromQL of a fact for one agent (all when empty) over a window."""
    escaped = agent.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    matcher = f'agent="{escaped}"' if agent else 'agent!=""'
    window = f"{window_ms // 1000}s" if window_ms % 1000 == 0 else f"{window_ms}ms"
    return fact.expr.replace("$window", window).replace("$agent", matcher)
