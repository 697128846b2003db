"""Where the counts of one agent, one agent's model and one agent's tool live in the ledger.

An operation looks its rows up once, when it starts; its commit only adds integers to ``ledger.values`` at these slots.
Rows are made at 0 with every value of their closed labels, so that a first error shows in ``rate()``. Slots belong to
one ``epoch`` of the ledger: after a fork they mean nothing. A histogram's slot is its sum's; its counts follow.
"""

from __future__ import annotations

from agentgauge.model.metrics import (
    ATTEMPT_OUTCOMES,
    CALL_STATUSES,
    PHASES,
    TASK_DOUBTS,
    TASK_STATUSES,
    TOKEN_FATES,
    TOKEN_SUBSETS,
    TOKEN_TYPES,
    TRUNCATIONS,
)
from agentgauge.record.ledger import Ledger


class LLMRows:
    """Slots of one (agent, model); tuples are in the order of the closed label's values in ``model/metrics.py``.

    ``subsets``, ``phases`` and ``attempts`` are None until something is known about them: no false zeros.
    """

    __slots__ = (
        "agent",
        "attempts",
        "epoch",
        "latency",
        "latency_bounds",
        "model",
        "per_token",
        "per_token_bounds",
        "phases",
        "requested",
        "statuses",
        "subsets",
        "to_first",
        "to_first_bounds",
        "tokens",
        "truncations",
    )

    def __init__(self, ledger: Ledger, agent: str, model: str) -> None:
        pair = (agent, model)
        self.epoch = ledger.epoch
        self.agent = agent
        self.model = model
        self.latency = ledger.slot("agent_llm_latency_seconds", pair)
        self.latency_bounds = ledger.families["agent_llm_latency_seconds"].bounds
        self.to_first = ledger.slot("agent_llm_time_to_first_token_seconds", pair)
        self.to_first_bounds = ledger.families["agent_llm_time_to_first_token_seconds"].bounds
        self.per_token = ledger.slot("agent_llm_time_per_output_token_seconds", pair)
        self.per_token_bounds = ledger.families["agent_llm_time_per_output_token_seconds"].bounds
        self.statuses = closed(ledger, "agent_llm_calls_total", pair, CALL_STATUSES)
        self.tokens = closed(ledger, "agent_token_usage_total", pair, TOKEN_TYPES)
        for token_type in TOKEN_TYPES:
            closed(ledger, "agent_token_fate_total", (*pair, token_type), TOKEN_FATES)
        self.requested = ledger.slot("agent_llm_tool_calls_requested_total", pair)
        self.truncations = closed(ledger, "agent_llm_truncations_total", pair, TRUNCATIONS)
        self.subsets: tuple[int, ...] | None = None
        self.phases: tuple[int, ...] | None = None
        self.attempts: tuple[int, ...] | None = None

    def make_subsets(self, ledger: Ledger) -> tuple[int, ...]:
        """Make the slots of the token subsets."""
        self.subsets = closed(ledger, "agent_token_subset_total", (self.agent, self.model), TOKEN_SUBSETS)
        return self.subsets

    def make_phases(self, ledger: Ledger) -> tuple[int, ...]:
        """Make the slots of the phases."""
        self.phases = closed(ledger, "agent_llm_phase_seconds_total", (self.agent, self.model), PHASES)
        return self.phases

    def make_attempts(self, ledger: Ledger) -> tuple[int, ...]:
        """Make the slots of the attempts."""
        self.attempts = closed(ledger, "agent_llm_attempts_total", (self.agent, self.model), ATTEMPT_OUTCOMES)
        return self.attempts


class ToolRows:
    """Slots of one (agent, tool_name)."""

    __slots__ = ("agent", "epoch", "latency", "latency_bounds", "statuses", "tool_name")

    def __init__(self, ledger: Ledger, agent: str, tool_name: str) -> None:
        pair = (agent, tool_name)
        self.epoch = ledger.epoch
        self.agent = agent
        self.tool_name = tool_name
        self.latency = ledger.slot("agent_tool_latency_seconds", pair)
        self.latency_bounds = ledger.families["agent_tool_latency_seconds"].bounds
        self.statuses = closed(ledger, "agent_tool_calls_total", pair, CALL_STATUSES)


class TaskRows:
    """Slots of one agent, and of the gauge of its kind.

    ``path_error_ns`` is what the path seconds of this agent's finished root tasks differ from their durations: 0.
    """

    __slots__ = (
        "active",
        "agent",
        "agent_type",
        "duration",
        "duration_bounds",
        "epoch",
        "llm_calls",
        "llm_calls_bounds",
        "path_error_ns",
        "root_seconds",
        "statuses",
        "tool_calls",
        "tool_calls_bounds",
    )

    def __init__(self, ledger: Ledger, agent: str, agent_type: str) -> None:
        self.epoch = ledger.epoch
        self.agent = agent
        self.agent_type = agent_type
        self.active = ledger.slot("agent_active_count", (agent_type,))
        self.duration = ledger.slot("agent_task_duration_seconds", (agent,))
        self.duration_bounds = ledger.families["agent_task_duration_seconds"].bounds
        self.llm_calls = ledger.slot("agent_task_llm_calls", (agent,))
        self.llm_calls_bounds = ledger.families["agent_task_llm_calls"].bounds
        self.tool_calls = ledger.slot("agent_task_tool_calls", (agent,))
        self.tool_calls_bounds = ledger.families["agent_task_tool_calls"].bounds
        self.root_seconds = ledger.slot("agent_root_task_seconds_total", (agent,))
        self.statuses = closed(ledger, "agent_tasks_total", (agent,), TASK_STATUSES)
        ledger.slot("agent_detached_seconds_total", (agent,))
        closed(ledger, "agent_task_doubts_total", (agent,), TASK_DOUBTS)
        self.path_error_ns = 0


def closed(ledger: Ledger, name: str, labels: tuple[str, ...], values: tuple[str, ...]) -> tuple[int, ...]:
    """Make one slot per value of a closed last label."""
    return tuple(ledger.slot(name, (*labels, value)) for value in values)
