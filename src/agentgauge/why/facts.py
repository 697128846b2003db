"""Query results sorted by agent: what the answer is computed from. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from agentgauge.model.labels import label_value
from agentgauge.model.series import StepMatrix
from agentgauge.why.components import OWN, Key
from agentgauge.why.decompose import Account
from agentgauge.why.queries import FACTS


@dataclass(slots=True)
class AgentFacts:
    """Sums over the window for one agent; seconds, calls, tasks and tokens, all as increases.

    ``path`` and ``calls`` are by slo side (``met``, ``missed``).
    """

    agent: str
    path: dict[str, dict[Key, float]] = field(default_factory=lambda: {"met": {}, "missed": {}})
    calls: dict[str, dict[Key, float]] = field(default_factory=lambda: {"met": {}, "missed": {}})
    solo: dict[Key, float] = field(default_factory=dict)
    repeated: dict[Key, float] = field(default_factory=dict)
    states: dict[str, float] = field(default_factory=dict)
    fates: dict[str, float] = field(default_factory=dict)
    doubts: dict[str, float] = field(default_factory=dict)
    attempts: dict[str, float] = field(default_factory=dict)
    tasks: dict[str, float] = field(default_factory=dict)
    detached_s: float = 0.0

    def side(self, slo: str) -> Account:
        """Return the tasks of one slo side."""
        calls = self.calls[slo]
        return Account(calls.get(OWN, 0.0), self.path[slo], calls)

    def both(self) -> Account:
        """Return all finished tasks."""
        met, missed = self.side("met"), self.side("missed")
        return Account(
            met.n_tasks + missed.n_tasks, _summed(met.seconds, missed.seconds), _summed(met.calls, missed.calls)
        )


def facts_by_agent(answers: Mapping[str, StepMatrix]) -> dict[str, AgentFacts]:
    """Sort the answers to FACTS (id -> instant vector) by agent; what is not above zero is left out."""
    agents: dict[str, AgentFacts] = {}
    for fact_id, steps in answers.items():
        names = FACTS[fact_id].labels
        if fact_id == "seen":
            continue
        for labels, values, present in zip(steps.labels, steps.values, steps.present, strict=True):
            value = float(values[0])
            if not present[0] or not 0 < value < float("inf"):
                continue
            agent, *rest = (label_value(labels, name) for name in names)
            _put(agents.setdefault(agent, AgentFacts(agent)), fact_id, rest, value)
    return agents


def seen_metrics(steps: StepMatrix) -> dict[str, set[str]]:
    """Return metric -> agents that have it in the window, from the fact ``seen``."""
    seen: dict[str, set[str]] = {}
    for labels in steps.labels:
        seen.setdefault(label_value(labels, "__name__"), set()).add(label_value(labels, "agent"))
    return seen


def _put(facts: AgentFacts, fact_id: str, rest: list[str], value: float) -> None:
    if fact_id == "detached":
        facts.detached_s = value
    elif fact_id in {"path", "calls"}:
        component, name, slo = rest
        table: dict[str, dict[Key, float]] = getattr(facts, fact_id)
        side = table.setdefault("missed" if slo == "missed" else "met", {})
        side[component, name] = side.get((component, name), 0.0) + value
    elif fact_id in {"solo", "repeated"}:
        component, name = rest
        getattr(facts, fact_id)[component, name] = value
    else:
        getattr(facts, fact_id)[rest[0]] = value


def _summed(a: Mapping[Key, float], b: Mapping[Key, float]) -> dict[Key, float]:
    return {key: a.get(key, 0.0) + b.get(key, 0.0) for key in {*a, *b}}
