"""Why one group of tasks takes longer than another: more calls, or slower calls. Pure.

For component c with n calls per task and s seconds per call, before 0 and after 1::

    mean 1 - mean 0 = sum over c of  (n1 - n0) * (s1 + s0) / 2   more calls
                                   + (s1 - s0) * (n1 + n0) / 2   slower calls

Exact, because ``n1 s1 - n0 s0`` splits so term by term and path seconds partition a task's time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import fsum

from agentgauge.why.components import OWN, Key, called


@dataclass(frozen=True, slots=True)
class Account:
    """Tasks of one group: how many, their path seconds and their calls, in all."""

    n_tasks: float
    seconds: Mapping[Key, float]
    calls: Mapping[Key, float]

    @property
    def mean_s(self) -> float:
        """Return the mean seconds of a task."""
        return fsum(self.seconds.values()) / self.n_tasks if self.n_tasks else 0.0


@dataclass(frozen=True, slots=True)
class Change:
    """One component's part of the gap; calls per task, seconds per call, seconds of the gap."""

    key: Key
    calls_before: float
    calls_after: float
    call_s_before: float
    call_s_after: float
    more_calls_s: float
    slower_calls_s: float

    @property
    def total_s(self) -> float:
        """Return the component's part of the gap."""
        return self.more_calls_s + self.slower_calls_s


@dataclass(frozen=True, slots=True)
class Decomposition:
    """The gap between two groups of tasks and its parts, largest first; the parts sum to ``gap_s``."""

    before: Account
    after: Account
    changes: tuple[Change, ...]

    @property
    def gap_s(self) -> float:
        """Return how much longer a task takes after than before."""
        return self.after.mean_s - self.before.mean_s


def decompose(before: Account, after: Account) -> Decomposition | None:
    """Split the difference of two groups of tasks; None when one has none."""
    if before.n_tasks <= 0 or after.n_tasks <= 0:
        return None
    keys = {*before.seconds, *after.seconds}
    changes = [_change(key, before, after) for key in keys]
    shown = [change for change in changes if change.calls_before or change.calls_after]
    return Decomposition(before, after, tuple(sorted(shown, key=lambda change: (-abs(change.total_s), change.key))))


def _change(key: Key, before: Account, after: Account) -> Change:
    n0, n1 = _calls(key, before), _calls(key, after)
    s0, s1 = before.seconds.get(key, 0.0), after.seconds.get(key, 0.0)
    if (s0 and not n0) or (s1 and not n1):
        # Seconds without calls: a counter of calls was born between two scrapes. Per task is the best there is.
        n0, n1 = before.n_tasks, after.n_tasks
    per_call_0, per_call_1 = s0 / n0 if n0 else 0.0, s1 / n1 if n1 else 0.0
    per_call_0, per_call_1 = (per_call_0 if n0 else per_call_1), (per_call_1 if n1 else per_call_0)
    n0, n1 = n0 / before.n_tasks, n1 / after.n_tasks
    more_s = (n1 - n0) * (per_call_1 + per_call_0) / 2
    # The second term of the formula, as what the first leaves: so the sum is exact in floats too.
    slower_s = (s1 / after.n_tasks - s0 / before.n_tasks) - more_s
    return Change(key, n0, n1, per_call_0, per_call_1, more_s, slower_s)


def _calls(key: Key, account: Account) -> float:
    return account.n_tasks if key == OWN else account.calls.get(called(key), 0.0)
