"""How long a task of an agent may take, and on which side of that a finished one lies.

An agent without an objective is held against its own running 95th percentile: ``missed`` then reads "the slowest 5 %".
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import deque
from collections.abc import Iterable, Mapping
from typing import Literal, TypeAlias

from agentgauge.errors import ConfigError

SloSide: TypeAlias = Literal["met", "missed"]

N_RECENT = 500
N_LEAST = 20
"""Durations that the running percentile looks back on, and those it needs before it calls any task slow."""


class Objectives:
    """Objectives by agent, and the recent durations of agents that have none.

    Thread-safety: ``side`` under the lock of the ledger.
    """

    def __init__(self) -> None:
        self._limits_ns: dict[str, int] = {}
        self._recent: dict[str, tuple[deque[int], list[int]]] = {}

    def set(self, objectives_s: Mapping[str, float]) -> None:
        """Set the seconds that a task of each agent may take.

        Raises:
            ConfigError: seconds that are no positive number.
        """
        for agent, seconds in objectives_s.items():
            if not isinstance(seconds, (int, float)) or not 0 < seconds < float("inf"):
                raise ConfigError(f"slo for {agent!r}: seconds must be a positive number, not {seconds!r}")
        for agent, seconds in objectives_s.items():
            self._limits_ns[agent] = round(seconds * 1e9)

    def agents(self) -> Iterable[str]:
        """Return the agents that have an objective."""
        return list(self._limits_ns)

    def limit_ns(self, agent: str) -> int | None:
        """Return an agent's objective, None when it has none."""
        return self._limits_ns.get(agent)

    def side(self, agent: str, duration_ns: int, limit_ns: int | None) -> SloSide:
        """Tell whether a finished task met its objective, or the agent's running p95 where it has none."""
        if limit_ns is None:
            limit_ns = self._p95(agent, duration_ns)
        return "missed" if limit_ns is not None and duration_ns > limit_ns else "met"

    def _p95(self, agent: str, duration_ns: int) -> int | None:
        """Return the p95 of the durations before this one, and remember this one."""
        recent, in_order = self._recent.setdefault(agent, (deque(), []))
        n = len(in_order)
        p95 = in_order[n * 95 // 100] if n >= N_LEAST else None
        recent.append(duration_ns)
        insort(in_order, duration_ns)
        if len(recent) > N_RECENT:
            del in_order[bisect_left(in_order, recent.popleft())]
        return p95
