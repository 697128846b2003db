"""PANELS: what is shown, once, for every view: the page, the terminal, the command line, Grafana.

A panel asks one question and answers it with PromQL. The queries hold three placeholders that a view fills in:
``$window`` (the rate window), ``$range`` (the whole span of time on display) and ``$agent`` (a regular expression).
What only one view needs stands in the panel's hints, never in a second table.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal, TypeAlias

from agentgauge.model.metrics import METRICS

PanelKind: TypeAlias = Literal["tile", "chart", "column"]
PanelPage: TypeAlias = Literal["overview", "doctor"]
Hint: TypeAlias = str | float | bool
"""What a view may want to know beyond the queries, by its own words."""

ALL_AGENTS = ".*"
STEPS_PER_RANGE = 300
RATE_WINDOW_FLOOR_S = 15.0
"""A rate over less than this is dust: single tasks show as spikes."""

_NOTHING_LOST = "No label value was folded, no sample was dropped, nothing of ours failed."
_NO_HINTS: Mapping[str, Hint] = MappingProxyType({})
_METRIC_NAME = re.compile(r"\bagent(?:gauge)?_[a-z0-9_]+(?=[{\[])")
"""In queries of ours a selector always stands behind the name; label names such as ``agent_type`` have none."""
_HISTOGRAM_SERIES = re.compile(r"_(?:bucket|sum|count)$")


@dataclass(frozen=True, slots=True)
class PanelQuery:
    """One PromQL expression of a panel; ``legend`` names its series, with ``{{label}}`` filled from the labels."""

    expr: str
    legend: str = ""


@dataclass(frozen=True, slots=True)
class Panel:
    """One row of PANELS.

    Units: ``unit`` is one of ``seconds``, ``ratio``, ``count``, or what is counted, per second when it says ``/s``.
    Hints: ``stack`` draw as stacked areas; ``min_window_s`` floor of ``$window``; ``pick`` how one value is chosen
        (``largest``: the series with the largest value is the answer, its legend a word); ``good`` is the direction
        that is an improvement (``up``, ``down``); ``drill`` the panel a tile leads to; ``none`` what it means that no
        series is there, while others are reported.
    """

    id: str
    title: str
    question: str
    kind: PanelKind
    unit: str
    help: str
    source: str
    queries: tuple[PanelQuery, ...]
    hints: Mapping[str, Hint] = field(default_factory=lambda: _NO_HINTS)
    page: PanelPage = "overview"

    @property
    def metrics(self) -> tuple[str, ...]:
        """Return the names of the metrics that the queries read, sorted, each once."""
        names = {name for query in self.queries for name in metric_names(query.expr)}
        return tuple(sorted(names))


@dataclass(frozen=True, slots=True)
class Display:
    """What fills the placeholders: the time on display, its resolution, how often targets are scraped, whose agents."""

    range_s: float
    step_s: float
    interval_s: float
    agent: str = ALL_AGENTS


def metric_names(expr: str) -> list[str]:
    """Return the metric families that an expression of ours reads, in order of appearance."""
    found = (name if name in METRICS else _HISTOGRAM_SERIES.sub("", name) for name in _METRIC_NAME.findall(expr))
    return list(dict.fromkeys(found))


def step_for(range_s: float, interval_s: float) -> float:
    """Return the step for a range: about 300 of them, whole scrape intervals, so that ticks fall on the steps."""
    n_intervals = max(1, -(-range_s // (STEPS_PER_RANGE * interval_s)))
    return n_intervals * interval_s


def rate_window_s(step_s: float, interval_s: float, floor_s: float = RATE_WINDOW_FLOOR_S) -> float:
    """Return the rate window by Grafana's rule: max(step + interval, 4 × interval), and no less than the floor."""
    return max(step_s + interval_s, 4 * interval_s, floor_s)


def fill(panel: Panel, expr: str, display: Display) -> str:
    """Replace the placeholders of one of the panel's expressions."""
    floor_s = max(RATE_WINDOW_FLOOR_S, float(panel.hints.get("min_window_s", 0)))
    window_s = rate_window_s(display.step_s, display.interval_s, floor_s)
    agent = display.agent.replace("\\", "\\\\").replace('"', '\\"')
    return (
        expr.replace("$window", _duration(window_s))
        .replace("$range", _duration(max(display.range_s, window_s)))
        .replace("$agent", agent)
    )


def legend_of(legend: str, labels: Mapping[str, str]) -> str:
    """Fill ``{{label}}`` in a legend from a series' labels; a missing label is the empty string."""
    return re.sub(r"\{\{\s*(\w+)\s*\}\}", lambda match: labels.get(match[1], ""), legend).strip()


def _duration(seconds: float) -> str:
    return f"{round(seconds)}s" if seconds >= 1 and seconds == round(seconds) else f"{round(seconds * 1000)}ms"


def _quantile(q: str, metric: str, by: str = "") -> str:
    labels = f"{by}, le" if by else "le"
    return f'histogram_quantile({q}, sum by ({labels}) (rate({metric}_bucket{{agent=~"$agent"}}[$window])))'


_TASKS = 'agent_tasks_total{agent=~"$agent"}'
_FAILED = 'agent_tasks_total{agent=~"$agent", status=~"failure|timeout"}'
_PATH = 'agent_task_path_seconds_total{agent=~"$agent"}'
_QUANTILE_HINTS: Mapping[str, Hint] = MappingProxyType({"min_window_s": 60, "good": "down"})

_ROWS = (
    # Five tiles.
    Panel(
        "tasks_rate",
        "Tasks",
        "Is anything running?",
        "tile",
        "tasks/s",
        "Tasks finished per second, root tasks and sub-agents alike.",
        "ag.task()",
        (PanelQuery(f"sum(rate({_TASKS}[$window]))"),),
        MappingProxyType({"drill": "tasks_by_agent"}),
    ),
    Panel(
        "task_p95",
        "Task time p95",
        "Are users waiting?",
        "tile",
        "seconds",
        "Nineteen of twenty tasks take no longer than this, start to end.",
        "ag.task()",
        (PanelQuery(_quantile("0.95", "agent_task_duration_seconds")),),
        MappingProxyType({**_QUANTILE_HINTS, "drill": "task_p95_by_agent"}),
    ),
    Panel(
        "ttft_p95",
        "First token p95",
        "Does the model answer soon?",
        "tile",
        "seconds",
        "Nineteen of twenty LLM calls show their first token within this time.",
        "ag.llm_call() or ag.instrument(), with streaming",
        (PanelQuery(_quantile("0.95", "agent_llm_time_to_first_token_seconds")),),
        MappingProxyType({**_QUANTILE_HINTS, "drill": "ttft"}),
    ),
    Panel(
        "failure_ratio",
        "Failures",
        "Is it broken?",
        "tile",
        "ratio",
        "Share of finished tasks that failed or timed out; cancelled ones do not count as failures.",
        "ag.task()",
        (PanelQuery(f"sum(rate({_FAILED}[$window])) / sum(rate({_TASKS}[$window]))"),),
        MappingProxyType({"min_window_s": 60, "good": "down", "drill": "agents"}),
    ),
    Panel(
        "bottleneck",
        "Bottleneck",
        "What do I fix first?",
        "tile",
        "ratio",
        "The component with the largest share of the critical path of finished tasks, over the time on display.",
        "ag.task() with ag.llm_call() and ag.tool_call() inside",
        (
            PanelQuery(
                f"sum by (component, name) (increase({_PATH}[$range]))"
                f" / on () group_left () sum(increase({_PATH}[$range]))",
                "{{component}} {{name}}",
            ),
        ),
        MappingProxyType({"pick": "largest", "min_window_s": 300, "drill": "time_by_state"}),
    ),
    # Six charts.
    Panel(
        "tasks_by_agent",
        "Tasks per second",
        "Which agents are busy?",
        "chart",
        "tasks/s",
        "Tasks finished per second, by agent.",
        "ag.task()",
        (PanelQuery(f"sum by (agent) (rate({_TASKS}[$window]))", "{{agent}}"),),
    ),
    Panel(
        "task_p95_by_agent",
        "Task time, p95",
        "Which agent keeps its users waiting?",
        "chart",
        "seconds",
        "Nineteen of twenty tasks take no longer than this, by agent.",
        "ag.task()",
        (PanelQuery(_quantile("0.95", "agent_task_duration_seconds", "agent"), "{{agent}}"),),
        _QUANTILE_HINTS,
    ),
    Panel(
        "time_by_state",
        "Where the time goes",
        "What are the running tasks doing?",
        "chart",
        "tasks",
        "Running tasks by what they do right now; the height is the number of root tasks running.",
        "ag.task() with ag.llm_call() and ag.tool_call() inside",
        (
            PanelQuery(
                'sum by (state) (rate(agent_task_state_seconds_total{agent=~"$agent"}[$window]))',
                "{{state}}",
            ),
        ),
        MappingProxyType({"stack": True}),
    ),
    Panel(
        "ttft",
        "Time to first token",
        "Does the model answer soon?",
        "chart",
        "seconds",
        "Request sent to first token, over all models: half, 95 % and 99 % of the calls are faster.",
        "ag.llm_call() or ag.instrument(), with streaming",
        tuple(
            PanelQuery(_quantile(q, "agent_llm_time_to_first_token_seconds"), name)
            for q, name in (("0.5", "p50"), ("0.95", "p95"), ("0.99", "p99"))
        ),
        _QUANTILE_HINTS,
    ),
    Panel(
        "completion_tokens",
        "Completion tokens per second",
        "How much does each model produce?",
        "chart",
        "tokens/s",
        "Tokens generated per second, by model, over all calls in flight.",
        "ag.llm_call() or ag.instrument()",
        (
            PanelQuery(
                'sum by (model) (rate(agent_token_usage_total{agent=~"$agent", token_type="completion"}[$window]))',
                "{{model}}",
            ),
        ),
    ),
    Panel(
        "tool_p95",
        "Tool time, p95",
        "Which tool is slow?",
        "chart",
        "seconds",
        "Nineteen of twenty calls of a tool take no longer than this.",
        "ag.tool_call()",
        (PanelQuery(_quantile("0.95", "agent_tool_latency_seconds", "tool_name"), "{{tool_name}}"),),
        _QUANTILE_HINTS,
    ),
    # The columns of the agent table, after the agent's name.
    Panel(
        "agent_in_flight",
        "In flight",
        "How many tasks run now?",
        "column",
        "count",
        "Tasks running now. Counted by agent type, which is the agent's name unless the code says otherwise.",
        "ag.task()",
        (
            PanelQuery(
                'sum by (agent) (label_replace(agent_active_count{agent_type=~"$agent"},'
                ' "agent", "$1", "agent_type", "(.+)"))',
                "{{agent}}",
            ),
        ),
    ),
    Panel(
        "agent_tasks",
        "Tasks/s",
        "How busy is it?",
        "column",
        "tasks/s",
        "Tasks finished per second.",
        "ag.task()",
        (PanelQuery(f"sum by (agent) (rate({_TASKS}[$window]))", "{{agent}}"),),
        MappingProxyType({"min_window_s": 60}),
    ),
    Panel(
        "agent_p95",
        "Task p95",
        "Are its users waiting?",
        "column",
        "seconds",
        "Nineteen of twenty tasks take no longer than this.",
        "ag.task()",
        (PanelQuery(_quantile("0.95", "agent_task_duration_seconds", "agent"), "{{agent}}"),),
        MappingProxyType({"min_window_s": 300, "good": "down"}),
    ),
    Panel(
        "agent_failures",
        "Failures",
        "Does it fail?",
        "column",
        "ratio",
        "Share of finished tasks that failed or timed out.",
        "ag.task()",
        (
            PanelQuery(
                f"sum by (agent) (rate({_FAILED}[$window])) / sum by (agent) (rate({_TASKS}[$window]))", "{{agent}}"
            ),
        ),
        MappingProxyType({"min_window_s": 300, "good": "down"}),
    ),
    Panel(
        "agent_tokens_per_task",
        "Tokens/task",
        "What does a task use?",
        "column",
        "tokens",
        "Prompt and completion tokens per finished task.",
        "ag.llm_call() or ag.instrument()",
        (
            PanelQuery(
                'sum by (agent) (rate(agent_token_usage_total{agent=~"$agent"}[$window]))'
                f" / sum by (agent) (rate({_TASKS}[$window]) > 0)",
                "{{agent}}",
            ),
        ),
        MappingProxyType({"min_window_s": 300, "good": "down"}),
    ),
    Panel(
        "agent_bottleneck",
        "Bottleneck",
        "What would make it faster?",
        "column",
        "ratio",
        "The component with the largest share of this agent's critical path, over the time on display.",
        "ag.task() with ag.llm_call() and ag.tool_call() inside",
        (
            PanelQuery(
                f"sum by (agent, component, name) (increase({_PATH}[$range]))"
                f" / on (agent) group_left () sum by (agent) (increase({_PATH}[$range]))",
                "{{component}} {{name}}",
            ),
        ),
        MappingProxyType({"pick": "largest", "min_window_s": 300}),
    ),
    # What the monitor costs and loses, on the doctor's page.
    Panel(
        "self_overhead",
        "Cost in agents",
        "What does recording cost?",
        "chart",
        "ratio",
        "Share of one core that recording and exposing take of each process, measured by sampling.",
        "ag.start()",
        (PanelQuery("sum by (instance) (rate(agentgauge_overhead_seconds_total{}[$window]))", "{{instance}}"),),
        MappingProxyType({"min_window_s": 60, "good": "down"}),
        "doctor",
    ),
    Panel(
        "self_cpu",
        "Server CPU",
        "What does the server cost?",
        "chart",
        "ratio",
        "Share of one core that the server takes: scraping, storing, answering.",
        "agentgauge serve",
        (PanelQuery("rate(agentgauge_process_cpu_seconds_total{}[$window])", "{{instance}}"),),
        MappingProxyType({"good": "down"}),
        "doctor",
    ),
    Panel(
        "self_memory",
        "Server memory",
        "How much memory does the server hold?",
        "chart",
        "MiB",
        "Memory of the server that is in RAM.",
        "agentgauge serve",
        (PanelQuery("agentgauge_process_resident_memory_bytes{} / 1048576", "{{instance}}"),),
        MappingProxyType({"good": "down"}),
        "doctor",
    ),
    Panel(
        "self_times",
        "Lag and query time",
        "Is the server on time?",
        "chart",
        "seconds",
        "How late scrapes begin at worst, and the time in which nineteen of twenty queries are answered.",
        "agentgauge serve",
        (
            PanelQuery("max(agentgauge_scrape_lag_seconds{})", "scrape lag"),
            PanelQuery(
                "histogram_quantile(0.95, sum by (le) (rate(agentgauge_query_duration_seconds_bucket{}[$window])))",
                "query p95",
            ),
        ),
        _QUANTILE_HINTS,
        "doctor",
    ),
    Panel(
        "self_series",
        "Series used",
        "Who is near its limit of series?",
        "chart",
        "ratio",
        "Series that each process holds, of those it may hold; past the limit new label sets become __other__.",
        "ag.start()",
        (PanelQuery("agentgauge_series{} / agentgauge_series_limit{}", "{{instance}}"),),
        MappingProxyType({"good": "down"}),
        "doctor",
    ),
    Panel(
        "self_lost",
        "Dropped and folded",
        "Is anything lost?",
        "chart",
        "per second",
        "Label values folded into __other__, samples that were not stored, and failures inside agentgauge.",
        "ag.start() and agentgauge serve",
        (
            PanelQuery("sum(rate(agentgauge_labels_folded_total{}[$window]))", "folded"),
            PanelQuery("sum(rate(agentgauge_samples_dropped_total{}[$window]))", "dropped"),
            PanelQuery("sum(rate(agentgauge_record_errors_total{}[$window]))", "failed"),
        ),
        MappingProxyType({"min_window_s": 60, "good": "down", "none": _NOTHING_LOST}),
        "doctor",
    ),
)

PANELS: dict[str, Panel] = {row.id: row for row in _ROWS}
"""Panel id -> its row, in the order in which they are shown."""
