"""The sentence of state: what a person should know before looking at any chart.

``sentence`` is a pure function from facts to text. Nothing is claimed that was not measured: a fact that is absent is
left out of the sentence.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from agentgauge.backends.backend import Backend
from agentgauge.errors import AgentgaugeError

Level: TypeAlias = Literal["empty", "quiet", "ok", "warn", "bad"]
"""empty: no agent was ever seen; quiet: none reports now; the others as the words say."""

WARN_FAILURE_RATIO = 0.05
BAD_FAILURE_RATIO = 0.25

AGENT_SELECTORS = ("agent_tasks_total", "agent_llm_calls_total", "agent_tool_calls_total", "agent_active_count")
"""Any of these says that an agent reported."""

EXTRA_QUERIES: Mapping[str, str] = {
    "n_agents": 'count(count by (agent) (agent_tasks_total{agent=~"$agent"}))',
    "n_running": 'sum(agent_active_count{agent_type=~"$agent"})',
    "n_store_problems": "sum(agentgauge_store_problems)",
    "n_targets": "count(up)",
    "n_targets_down": "count(up == 0)",
}
"""Fact -> the query that measures it; what the panels show is not asked twice."""

COMPONENT_WORDS: Mapping[str, str] = {
    "agent": "own code of {name}",
    "backoff": "back-off before retrying {name}",
    "client_wait": "waiting in the client for {name}",
    "decode": "model decode",
    "llm": "LLM calls",
    "load": "model load",
    "network": "network to the model",
    "own": "the agents' own code",
    "prefill": "model prefill",
    "queue": "the model's queue",
    "retry": "LLM retries",
    "tool": "tool {name}",
    "wait": "waiting for {name}",
}
"""What a component of the critical path is called in a sentence."""


@dataclass(frozen=True, slots=True)
class Share:
    """A component of the critical path and its share of it, 0 to 1."""

    component: str
    name: str
    ratio: float


@dataclass(frozen=True, slots=True)
class Facts:
    """What the sentence is made of; None is *not measured*, never zero."""

    ever_seen: bool
    n_agents: int | None = None
    n_running: int | None = None
    n_store_problems: int | None = None
    n_targets: int | None = None
    n_targets_down: int | None = None
    tasks_per_s: float | None = None
    task_p95_s: float | None = None
    failure_ratio: float | None = None
    bottleneck: Share | None = None
    error: str = ""


def sentence(facts: Facts) -> str:
    """Say the state in one sentence."""
    if facts.error:
        return f"The data cannot be read: {facts.error}"
    if not facts.ever_seen:
        return "No agent has reported yet."
    parts = [part for part in (_activity(facts), _where(facts), _trouble(facts)) if part]
    return "; ".join(parts) + "."


def level(facts: Facts) -> Level:
    """Grade the state: what colour and icon stand beside the sentence."""
    if facts.error:
        return "bad"
    if not facts.ever_seen:
        return "empty"
    if not facts.n_agents:
        return "warn" if facts.n_targets_down else "quiet"
    ratio = facts.failure_ratio or 0.0
    if ratio >= BAD_FAILURE_RATIO:
        return "bad"
    return "warn" if ratio >= WARN_FAILURE_RATIO or facts.n_targets_down or facts.n_store_problems else "ok"


def component_words(component: str, name: str) -> str:
    """Name a component of the critical path as a person would."""
    return COMPONENT_WORDS.get(component, component).format(name=name or "something").strip()


def largest_share(rows: Iterable[tuple[Mapping[str, str], float | None]]) -> Share | None:
    """Pick the component with the largest share; None when nothing was measured."""
    shares = [
        Share(labels.get("component", ""), labels.get("name", ""), value)
        for labels, value in rows
        if value is not None and math.isfinite(value) and value > 0
    ]
    return max(shares, key=lambda share: share.ratio, default=None)


def seconds_text(seconds: float) -> str:
    """Write a duration with two or three digits: ``85 ms``, ``4.1 s``, ``41 s``, ``3 min 5 s``."""
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    if seconds < 119.5:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if rest else f"{minutes} min"


def rate_text(per_second: float) -> str:
    """Write a rate of tasks; slow ones by the minute or the hour, because 0.003 tasks/s says nothing to anybody."""
    for factor, unit in ((1, "s"), (60, "min"), (3600, "h")):
        if per_second * factor >= 0.5 or unit == "h":
            return f"{_three_digits(per_second * factor)} tasks/{unit}"
    raise AssertionError("the last unit always fits")


async def ever_seen(backend: Backend) -> bool:
    """Tell whether any agent reported at any time that the backend remembers."""
    return bool(await backend.series(AGENT_SELECTORS, limit=1))


async def gather_ever_seen(backend: Backend) -> tuple[bool, str]:
    """Return whether an agent was ever seen, and the error when that cannot be told."""
    try:
        return await ever_seen(backend), ""
    except AgentgaugeError as error:
        return False, str(error)


def _activity(facts: Facts) -> str:
    if not facts.n_agents:
        return "No agent reports now"
    parts = [_counted(facts.n_agents, "agent")]
    if facts.n_running:
        parts.append(f"{_counted(facts.n_running, 'task')} running")
    if facts.tasks_per_s:
        parts.append(rate_text(facts.tasks_per_s))
    elif facts.tasks_per_s is not None:
        parts.append("no task finished lately")
    if facts.task_p95_s is not None:
        parts.append(f"p95 {seconds_text(facts.task_p95_s)}")
    return ", ".join(parts)


def _where(facts: Facts) -> str:
    share = facts.bottleneck
    if share is None:
        return ""
    return f"{share.ratio:.0%} of the time is {component_words(share.component, share.name)}".replace("%", " %")


def _trouble(facts: Facts) -> str:
    parts: Sequence[str] = [
        f"{facts.failure_ratio:.1%} of tasks fail".replace("%", " %") if facts.failure_ratio else "",
        f"{facts.n_targets_down} of {_counted(facts.n_targets or 0, 'target')} down" if facts.n_targets_down else "",
        "trouble with the data file, the log says which" if facts.n_store_problems else "",
    ]
    return ", ".join(part for part in parts if part)


def _counted(n: int, noun: str) -> str:
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"


def _three_digits(value: float) -> str:
    if value >= 99.95:
        return f"{value:.0f}"
    return f"{value:.1f}" if value >= 9.995 else f"{value:.2g}" if value < 1 else f"{value:.1f}"
