"""The closing summary: what each agent did, asked in PromQL of whatever backend holds the run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

from agentgauge.backends.backend import Backend
from agentgauge.model.labels import label_value

QUANTILE = "histogram_quantile({q}, sum by (agent, le) ({metric}_bucket))"

QUERIES: Mapping[str, str] = {
    "n_tasks": "sum by (agent) (agent_tasks_total)",
    "error_share": 'sum by (agent) (agent_tasks_total{status=~"failure|timeout"}) / sum by (agent) (agent_tasks_total)',
    "task_p50_s": QUANTILE.format(q=0.5, metric="agent_task_duration_seconds"),
    "task_p95_s": QUANTILE.format(q=0.95, metric="agent_task_duration_seconds"),
    "llm_p95_s": QUANTILE.format(q=0.95, metric="agent_llm_latency_seconds"),
    "n_tokens": "sum by (agent) (agent_token_usage_total)",
}
TOOLS = "topk by (agent) (3, sum by (agent, tool_name) (agent_tool_calls_total))"


@dataclass(slots=True)
class AgentSummary:
    """One agent's line; a number is None where nothing was measured."""

    agent: str
    n_tasks: float | None = None
    error_share: float | None = None
    task_p50_s: float | None = None
    task_p95_s: float | None = None
    llm_p95_s: float | None = None
    n_tokens: float | None = None
    top_tools: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, object]:
        """Return the line as plain values."""
        return asdict(self)


async def summarize(backend: Backend, t_ms: int | None = None) -> list[AgentSummary]:
    """Ask for every agent's line, sorted by name; counts are those since the agents' processes started."""
    agents: dict[str, AgentSummary] = {}

    def line(agent: str) -> AgentSummary:
        return agents.setdefault(agent, AgentSummary(agent))

    for key, expr in QUERIES.items():
        steps = (await backend.query(expr, t_ms)).steps
        for labels, values in zip(steps.labels, steps.values, strict=True):
            if (value := float(values[0])) == value:
                setattr(line(label_value(labels, "agent")), key, value)
    steps = (await backend.query(TOOLS, t_ms)).steps
    ranked = sorted(zip(steps.values[:, 0], steps.labels, strict=True), key=lambda row: -row[0])
    for value, labels in ranked:
        line(label_value(labels, "agent")).top_tools.append(f"{label_value(labels, 'tool_name')} {value:.0f}")
    return [agents[name] for name in sorted(agents)]
