"""What making one thing k times faster would save: an interval, or the reason why there is none. Pure.

With S the seconds in which only this was active and P its seconds on the critical path::

    (1 - 1/k) * S  <=  seconds saved  <=  (1 - 1/k) * P  (+ the waits it stands in line for, which can vanish)

Proofs, and how often programs that break the assumptions leave the interval: docs/why/what-if.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from agentgauge.why.components import AVOIDABLE, WAITS, Key

LEAST_SHARE = 0.01
"""Share of tasks in doubt from which an answer says so; below, the mean moves by less than that."""

DETACHED_SHARE = 0.05
"""Work that outlives its tasks, as a share of their time, from which an upper bound means nothing."""

SLACK = 0.05
FLOOR = 0.005
"""How far S may exceed P before it is a contradiction, as a share of P and of the task's mean: ``increase``
extrapolates series by series."""


@dataclass(frozen=True, slots=True)
class Doubt:
    """Why an interval does not hold; ``keeps_low``: its lower end still does."""

    reason: str
    says: str
    keeps_low: bool = False


DOUBTS: dict[str, Doubt] = {
    "capped": Doubt("capped", "had more spans than are kept: split such tasks"),
    "contradiction": Doubt(
        "contradiction",
        "it is alone for longer than it is on the path, so something that the task waits for is not recorded",
    ),
    "detached": Doubt("detached", "work outlives its task; mark what the task does not wait for with detached=True"),
    "race": Doubt("race", "the first of several wins: what is faster may win or may not", keeps_low=True),
    "unwrapped": Doubt(
        "unwrapped", "threads ran steps side by side without ag.propagate, so whose step waited for whose is unknown"
    ),
}
"""Reason (label of ``agent_task_doubts_total``, or found here) -> what it means."""


@dataclass(frozen=True, slots=True)
class WhatIf:
    """The answer for one thing.

    Units: seconds per task. ``low_s`` None: no interval holds; ``high_s`` None: no upper end does; then ``reason``
    (of DOUBTS) says why. ``direct_s`` is the upper end without the waits that stand in its line.
    """

    k: float
    low_s: float | None
    high_s: float | None
    direct_s: float
    reason: str = ""

    @property
    def says(self) -> str:
        """Return why a bound is missing, empty when none is."""
        return DOUBTS[self.reason].says if self.reason else ""


def what_if(
    path_s: float, solo_s: float | None, k: float, waits_s: float = 0.0, reason: str = "", mean_s: float = 0.0
) -> WhatIf:
    """Return what ``k`` times faster saves.

    Args:
        path_s: its seconds on the critical path, P.
        solo_s: seconds in which only this was active, S; None when unknown: then the lower end is 0.
        k: how many times faster, above 1.
        waits_s: seconds that tasks stand in line for it.
        reason: a doubt about these tasks, of DOUBTS.
        mean_s: the mean duration of a task, for what is too small to contradict anything.
    """
    share = 1.0 - 1.0 / k
    alone_s = solo_s or 0.0
    if alone_s > path_s * (1.0 + SLACK) + FLOOR * mean_s and not reason:
        reason = "contradiction"
    direct_s = share * path_s
    if reason:
        low_s = share * min(alone_s, path_s) if DOUBTS[reason].keeps_low else None
        return WhatIf(k, low_s, None, direct_s, reason)
    return WhatIf(k, share * min(alone_s, path_s), direct_s + waits_s, direct_s)


def doubt_about(n_tasks: float, path_s: float, doubts: Mapping[str, float], detached_s: float) -> str:
    """Return the gravest reason why the intervals of an agent do not hold, empty when they do.

    Args:
        n_tasks: finished root tasks.
        path_s: all their seconds.
        doubts: reason -> tasks it applies to.
        detached_s: seconds of work that outlived what started it.
    """
    grave = {reason for reason, n in doubts.items() if n > LEAST_SHARE * n_tasks and reason in DOUBTS}
    if detached_s > DETACHED_SHARE * path_s:
        grave.add("detached")
    # Those that leave nothing first.
    return min(grave, key=lambda reason: (DOUBTS[reason].keeps_low, reason), default="")


def waits_for(key: Key, path: Mapping[Key, float]) -> float:
    """Return the path seconds spent in line that could vanish if this were faster.

    A server's queue moves when the model does; a semaphore of the process may hold back anything.
    """
    component, _ = key
    if component in WAITS or component in AVOIDABLE or component in {"own", "agent"}:
        return 0.0
    lines = {"wait", "client_wait"} if component == "tool" else WAITS
    return sum(seconds for (other, _), seconds in path.items() if other in lines)
