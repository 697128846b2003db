"""Aggregations folded straight from windows, block by block: ``sum by (…) (rate(x[5m]))`` without the matrix.

The columns of each block are sorted by output group, so that one ``reduceat`` per slice of steps folds them. Narrow
blocks are summed in the order of their series with compensation, as ``aggregate`` does; wide ones plainly.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agentgauge.model.labels import Labels
from agentgauge.model.series import Mask, Values
from agentgauge.promql.grouping import Grouping
from agentgauge.promql.summation import finished_sum, neumaier_add

FUSED = frozenset({"avg", "count", "group", "max", "min", "sum"})
"""Aggregations that can be folded from parts."""

_NARROW = 64
"""Columns up to which a block is summed element by element: there the last bits are Prometheus'."""

Steps = NDArray[np.intp] | slice


@dataclass(slots=True)
class Fold:
    """The state of one fused aggregation. Shapes: all arrays (K, G), G grows with the blocks."""

    op: str
    n_steps: int
    labels: list[Labels] = field(default_factory=list)
    value: Values = field(init=False)
    comp: Values = field(init=False)
    count: Values = field(init=False)
    _numbers: dict[Labels, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.value, self.comp, self.count = (np.zeros((self.n_steps, 0)) for _ in range(3))

    def groups(self, labels: Sequence[Labels]) -> NDArray[np.intp] | slice:
        """Return the numbers of groups, a slice where they follow each other; new ones get room."""
        numbers = self._numbers
        for group in labels:
            if group not in numbers:
                numbers[group] = len(self.labels)
                self.labels.append(group)
        self._grow(len(self.labels))
        first = numbers[labels[0]]
        found = [numbers[group] for group in labels]
        if found == list(range(first, first + len(found))):
            return slice(first, first + len(found))
        return np.array(found, np.intp)

    def _grow(self, n_groups: int) -> None:
        """Make room for groups, twice as much as there was, so that many blocks do not copy again and again."""
        room = self.value.shape[1]
        if n_groups > room:
            more = (self.n_steps, max(n_groups - room, room))
            start = np.nan if self.op in {"min", "max"} else 0.0
            self.value = np.concatenate([self.value, np.full(more, start)], axis=1)
            self.comp = np.concatenate([self.comp, np.zeros(more)], axis=1)
            self.count = np.concatenate([self.count, np.zeros(more)], axis=1)

    def add(
        self, steps: Steps, values: Values, present: Mask | None, grouping: Grouping, groups: NDArray[np.intp] | slice
    ) -> None:
        """Fold the values (k, S) of one block at some steps (k,); all are present when ``present`` is None."""
        at = _cells(steps, groups)
        cuts = grouping.positions.starts
        if present is None:
            self.count[at] += grouping.positions.sizes
        else:
            self.count[at] += np.add.reduceat(_sorted(present, grouping).astype(np.float64), cuts, axis=1)
        if self.op in {"sum", "avg"}:
            self._add_sum(at, values if present is None else np.where(present, values, 0.0), grouping)
        elif self.op in {"min", "max"}:
            ufunc = np.fmin if self.op == "min" else np.fmax
            known = values if present is None else np.where(present, values, np.nan)
            self.value[at] = ufunc(self.value[at], ufunc.reduceat(_sorted(known, grouping), cuts, axis=1))

    def _add_sum(self, at: Any, values: Values, grouping: Grouping) -> None:
        total, comp, positions = self.value[at], self.comp[at], grouping.positions
        if len(positions.order) > _NARROW:
            part = np.add.reduceat(_sorted(values, grouping), positions.starts, axis=1)
            total, comp = neumaier_add(part, total, comp)
        else:
            for p in range(int(positions.sizes.max())):
                has = np.flatnonzero(positions.sizes > p)
                element = values[:, positions.order[positions.starts[has] + p]]
                total[:, has], comp[:, has] = neumaier_add(element, total[:, has], comp[:, has])
        self.value[at], self.comp[at] = total, comp

    def result(self) -> tuple[Values, Mask] | None:
        """Return values and presence (G, K); None where an average overflowed and must be taken another way."""
        n_groups = len(self.labels)
        value, comp, count = (array[:, :n_groups] for array in (self.value, self.comp, self.count))
        present = count > 0
        if self.op == "count":
            values = count
        elif self.op == "group":
            values = np.ones(count.shape)
        elif self.op in {"min", "max"}:
            values = value
        else:
            values = finished_sum(value, comp)
            if self.op == "avg":
                if not np.isfinite(values).all():
                    return None
                values = value / np.maximum(count, 1) + comp / np.maximum(count, 1)
        return np.ascontiguousarray(values.T), np.ascontiguousarray(present.T)


def _sorted(values: np.ndarray, grouping: Grouping) -> np.ndarray:
    return values if grouping.as_they_stand else np.take(values, grouping.positions.order, axis=1)


def _cells(steps: Steps, groups: NDArray[np.intp] | slice) -> Any:
    """Index cells by steps and groups: a view where both are slices."""
    if isinstance(steps, slice) or isinstance(groups, slice):
        return steps, groups
    return np.ix_(steps, groups)
