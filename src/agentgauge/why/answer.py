"""What ``agentgauge why`` answers, as values; and as JSON, for programs and the page. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from agentgauge.why.components import Key
from agentgauge.why.decompose import Change, Decomposition
from agentgauge.why.whatif import WhatIf
from agentgauge.why.words import name_of

MIN_SHARE = 0.0005
"""Rows below this share of the path are not worth a line."""


@dataclass(frozen=True, slots=True)
class Part:
    """Where seconds of a task go; ``alone_s`` is None where nothing says so. Seconds and calls per task.

    ``keys`` are the path components it sums: one, or all phases of a model.
    """

    key: Key
    keys: tuple[Key, ...]
    path_s: float
    alone_s: float | None
    calls: float
    what_if: WhatIf

    @property
    def call_s(self) -> float:
        """Return its path seconds per call."""
        return self.path_s / self.calls if self.calls else 0.0


@dataclass(frozen=True, slots=True)
class Repeats:
    """Calls that were the same again: per task, as a share of all calls of it, and what the repeats may cost."""

    key: Key
    per_task: float
    share: float
    cost_s: float


@dataclass(frozen=True, slots=True)
class Waste:
    """What went into nothing: tokens by fate, calls repeated, seconds of failed attempts and back-off per task."""

    fates: Mapping[str, float]
    repeats: tuple[Repeats, ...]
    retry_s: float
    backoff_s: float
    attempts: Mapping[str, float]

    @property
    def tokens(self) -> float:
        """Return all tokens of finished tasks."""
        return sum(self.fates.values())

    @property
    def wasted_share(self) -> float:
        """Return the share of tokens that brought nothing."""
        return 1.0 - self.fates.get("useful", 0.0) / self.tokens if self.tokens else 0.0


@dataclass(frozen=True, slots=True)
class Bottleneck:
    """What to fix first: a component, a loop that repeats itself, or attempts that fail.

    ``saves_s`` is what it is ranked by: the middle of its interval, or all of it where it can be left out.
    """

    kind: Literal["component", "loop", "retries"]
    key: Key
    seconds: float
    saves_s: float


@dataclass(frozen=True, slots=True)
class AgentAnswer:
    """Where the time of one agent's tasks goes. Seconds per finished root task."""

    agent: str
    n_tasks: float
    mean_s: float
    parts: tuple[Part, ...]
    models: tuple[Part, ...]
    slow: Decomposition | None
    waste: Waste
    doubt: str
    caveats: tuple[str, ...]
    states: Mapping[str, float]
    bottleneck: Bottleneck | None
    sentence: str

    def part(self, key: Key) -> Part | None:
        """Return the part of a component, None when it is not on the path."""
        return next((part for part in self.parts if part.key == key), None)


@dataclass(frozen=True, slots=True)
class Missing:
    """Why there is no answer: what is missing, and what to do."""

    metric: str
    says: str
    do: str


@dataclass(frozen=True, slots=True)
class Answer:
    """The whole answer: one entry per agent, the one with the most seconds first; ``missing`` when there is none."""

    window_ms: int
    k: float
    agents: tuple[AgentAnswer, ...]
    missing: Missing | None
    queries: Mapping[str, str]


def answer_json(answer: Answer) -> dict[str, Any]:
    """Return plain values; seconds are per task, shares of a task's mean duration."""
    missing = answer.missing
    return {
        "window_seconds": answer.window_ms / 1000,
        "k": answer.k,
        "agents": [_agent_json(agent) for agent in answer.agents],
        "missing": None if missing is None else {"metric": missing.metric, "says": missing.says, "do": missing.do},
        "queries": dict(answer.queries),
    }


def _agent_json(answer: AgentAnswer) -> dict[str, Any]:
    found = answer.bottleneck
    return {
        "agent": answer.agent,
        "tasks": answer.n_tasks,
        "seconds_per_task": answer.mean_s,
        "sentence": answer.sentence,
        "bottleneck": None
        if found is None
        else {
            "kind": found.kind,
            **_key_json(found.key),
            "seconds": found.seconds,
            "share": found.seconds / answer.mean_s,
        },
        "path": [_part_json(part, answer.mean_s) for part in answer.parts],
        "models": [_part_json(part, answer.mean_s) for part in answer.models],
        "slow": None if answer.slow is None else _slow_json(answer.slow),
        "waste": _waste_json(answer.waste),
        "doubt": answer.doubt,
        "caveats": list(answer.caveats),
        "states": dict(answer.states),
    }


def _key_json(key: Key) -> dict[str, str]:
    return {"component": key[0], "name": key[1], "label": name_of(key)}


def _part_json(part: Part, mean_s: float) -> dict[str, Any]:
    gain = part.what_if
    low, high = gain.low_s, gain.high_s
    return {
        **_key_json(part.key),
        "seconds": part.path_s,
        "share": part.path_s / mean_s,
        "alone_seconds": part.alone_s,
        "alone_share": None if part.alone_s is None else part.alone_s / mean_s,
        "calls": part.calls,
        "seconds_per_call": part.call_s,
        "what_if": {
            "k": gain.k,
            "low_seconds": low,
            "high_seconds": high,
            "low_share": None if low is None else low / mean_s,
            "high_share": None if high is None else high / mean_s,
            "high_seconds_without_waits": None if high is None else gain.direct_s,
            "reason": gain.reason,
            "says": gain.says,
        },
    }


def _slow_json(slow: Decomposition) -> dict[str, Any]:
    return {
        "normal": {"tasks": slow.before.n_tasks, "seconds_per_task": slow.before.mean_s},
        "slow": {"tasks": slow.after.n_tasks, "seconds_per_task": slow.after.mean_s},
        "gap_seconds": slow.gap_s,
        "parts": [_change_json(change) for change in slow.changes],
    }


def _change_json(change: Change) -> dict[str, Any]:
    return {
        **_key_json(change.key),
        "calls_normal": change.calls_before,
        "calls_slow": change.calls_after,
        "seconds_per_call_normal": change.call_s_before,
        "seconds_per_call_slow": change.call_s_after,
        "more_calls_seconds": change.more_calls_s,
        "slower_calls_seconds": change.slower_calls_s,
    }


def _waste_json(waste: Waste) -> dict[str, Any]:
    return {
        "tokens": dict(waste.fates),
        "wasted_share": waste.wasted_share,
        "repeated": [
            {**_key_json(one.key), "per_task": one.per_task, "share_of_calls": one.share, "cost_seconds": one.cost_s}
            for one in waste.repeats
        ],
        "retry_seconds": waste.retry_s,
        "backoff_seconds": waste.backoff_s,
        "attempts": dict(waste.attempts),
    }
