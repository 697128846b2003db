"""What a scrape sees: the series of every metric, and all counts at one instant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, TypeAlias

from agentgauge.model.metrics import Metric
from agentgauge.record.buckets import scale_of


class Family:
    """The series of one metric: label values -> slot. ``keys`` and ``starts`` list them in order of creation.

    A counter or gauge has one slot. A histogram has its sum at the slot, then one count per bucket, not cumulated:
    observations above the bound before and up to this one; the last is ``+Inf``'s.
    """

    __slots__ = ("bound_texts", "bounds", "keys", "metric", "n_lines", "scale", "slots", "starts", "width")

    def __init__(self, metric: Metric, bounds: tuple[int, ...]) -> None:
        self.metric = metric
        self.bounds = bounds
        self.scale = scale_of(metric)
        self.bound_texts = (*(repr(bound / self.scale) for bound in bounds), "+Inf")
        self.width = len(bounds) + 2 if bounds else 1
        self.n_lines = len(bounds) + 3 if bounds else 1
        self.clear()

    def clear(self) -> None:
        """Forget all series."""
        self.slots: dict[tuple[str, ...], int] = {}
        self.keys: list[tuple[str, ...]] = []
        self.starts: list[int] = []


Observed: TypeAlias = tuple[str, str, int, int]
"""An observation that has ids: (task id, trace id, value in ledger integers, when on the monotonic clock in ns)."""


class Exemplar(NamedTuple):
    """The last observation of a bucket that has ids, either of which may be empty; value in ledger integers."""

    task_id: str
    trace_id: str
    value: int
    t_ms: int

    def labels(self) -> dict[str, str]:
        """Return the ids that are there, by label name."""
        return {name: text for name, text in (("task_id", self.task_id), ("trace_id", self.trace_id)) if text}


class Snapshot(NamedTuple):
    """All counts at one instant.

    Shapes: ``sizes[i]`` is the number of series of ``families[i]`` at that instant; ``values`` the flat list.
    ``observed`` maps the slot of a bucket to its last observation with ids; ``zero_ms`` is the wall clock, in
    milliseconds, at which the monotonic clock read 0.
    """

    epoch: int
    families: Sequence[Family]
    sizes: Sequence[int]
    values: list[int]
    observed: Mapping[int, Observed]
    zero_ms: int

    def exemplar(self, slot: int) -> Exemplar:
        """Return the exemplar of the bucket in this slot, which must have one."""
        task_id, trace_id, value, t_ns = self.observed[slot]
        return Exemplar(task_id, trace_id, value, self.zero_ms + t_ns // 1_000_000)


def since(before: Snapshot, after: Snapshot) -> Snapshot:
    """Return what was counted between two snapshots of one ledger; gauges stay as they are after."""
    if before.epoch != after.epoch:
        return after
    values = after.values[:]
    known = dict(zip((id(family) for family in before.families), before.sizes, strict=True))
    for family in after.families:
        if family.metric.type != "gauge":
            for start in family.starts[: known.get(id(family), 0)]:
                for slot in range(start, start + family.width):
                    values[slot] -= before.values[slot]
    return after._replace(values=values)
