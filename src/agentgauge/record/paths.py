"""Where the accounts of path components live in the ledger: a few slots for each agent's (component, name).

Made at 0, on both slo sides, when the component is first seen: long before its first task ends.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentgauge.model.metrics import OTHER, PHASES, SLO_SIDES

if TYPE_CHECKING:
    from agentgauge.model.accounts import PathKey
    from agentgauge.record.ledger import Ledger

PHASES_WITHIN = frozenset(PHASES) - {"client_wait"}
"""Phases that are no calls of their own: those of their model count."""

MAX_KNOWN = 10_000
"""Components of a process that are remembered; names beyond are looked up again each time."""


class PathRows:
    """Slots of one (agent, component, name); pairs are in the order of SLO_SIDES."""

    __slots__ = ("calls", "seconds", "solo")

    def __init__(self, ledger: Ledger, agent: str, key: PathKey) -> None:
        labels = (agent, *key)
        self.solo = ledger.slot("agent_task_solo_seconds_total", labels)
        self.seconds = _sides(ledger, "agent_task_path_seconds_total", labels)
        self.calls = () if key[0] in PHASES_WITHIN else _sides(ledger, "agent_task_path_calls_total", labels)
        if key[0] in {"llm", "tool"}:
            ledger.slot("agent_repeated_calls_total", labels)


class Paths:
    """The rows of all agents.

    Thread-safety: under the lock of the ledger.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._agents: dict[str, dict[PathKey, PathRows]] = {}
        self._n_known = 0

    def of(self, agent: str) -> dict[PathKey, PathRows]:
        """Return what is known of an agent, for others to look into."""
        known = self._agents.get(agent)
        return self._agents.setdefault(agent, {}) if known is None else known

    def rows(self, agent: str, key: PathKey) -> PathRows:
        """Return the rows of a component, made when it is new."""
        known = self.of(agent)
        rows = known.get(key)
        if rows is None:
            rows = PathRows(self._ledger, agent, key)
            if (agent, *key) not in self._ledger.families["agent_task_solo_seconds_total"].slots and key[1] != OTHER:
                rows = self.rows(agent, (key[0], OTHER))  # folded, as those before it: one object for all of them
            elif key[0] == "llm":
                # Phases are told when a call is over, too late for ``rate`` to see their first seconds.
                for phase in PHASES:
                    self.rows(agent, (phase, key[1]))
            if self._n_known < MAX_KNOWN:
                self._n_known += 1
                known[key] = rows
        return rows


def _sides(ledger: Ledger, name: str, labels: tuple[str, str, str]) -> tuple[int, ...]:
    return tuple(ledger.slot(name, (*labels, side)) for side in SLO_SIDES)
