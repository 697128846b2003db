"""Aggregations folded straight from windows, block by block: ``sum by (…) (rate(x[5m]))`` without the matrix.

The columns of each block are sorted by output group, so that one ``reduceat`` per slice of steps folds them. Narrow
blocks are summed in the order of their series with compensation, as ``aggregate`` does; wide ones plainly.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from agentgauge.model.series import Mask, Values
from agentgauge.promql.grouping import Groups, Positions
from agentgauge.promql.selectors import BlockResult, DenseResult
from agentgauge.promql.summation import finished_sum, neumaier_add

FUSED = frozenset({"avg", "count", "group", "max", "min", "sum"})
"""Aggregations that can be folded from parts."""

_NARROW = 64
"""Columns up to which a block is summed element by element: there the last bits are Prometheus'."""


@dataclass(slots=True)
class Fold:
    """The state of one fused aggregation. Shapes: all arrays (K, G), G grows with the blocks."""

    op: str
    groups: Groups
    n_steps: int
    value: Values = field(init=False)
    comp: Values = field(init=False)
    count: Values = field(init=False)

    def __post_init__(self) -> None:
        self.value, self.comp, self.count = (np.zeros((self.n_steps, 0)) for _ in range(3))

    def add(self, result: BlockResult) -> NDArray[np.intp]:
        """Fold the values of one block into its groups; return the numbers of the series that have any."""
        numbers = self.groups.of(result.labels)
        self._grow(len(self.groups))
        columns, seen = _Columns.of(numbers), np.zeros(len(numbers), np.bool_)
        for steps, values, present in _slices(result):
            self._add_slice(steps, values, present, columns)
            seen |= True if present is None else present.any(axis=0)
        return np.flatnonzero(seen)

    def _grow(self, n_groups: int) -> None:
        """Make room for groups, twice as much as there was, so that many blocks do not copy again and again."""
        room = self.value.shape[1]
        if n_groups > room:
            more = (self.n_steps, max(n_groups - room, room))
            start = np.nan if self.op in {"min", "max"} else 0.0
            self.value = np.concatenate([self.value, np.full(more, start)], axis=1)
            self.comp = np.concatenate([self.comp, np.zeros(more)], axis=1)
            self.count = np.concatenate([self.count, np.zeros(more)], axis=1)

    def _add_slice(self, steps: NDArray[np.intp], values: Values, present: Mask | None, columns: _Columns) -> None:
        at = np.ix_(steps, columns.groups)
        if present is None:
            self.count[at] += columns.sizes
        else:
            self.count[at] += np.add.reduceat(columns.sorted(present).astype(np.float64), columns.cuts, axis=1)
        if self.op in {"sum", "avg"}:
            self._add_sum(at, values if present is None else np.where(present, values, 0.0), columns)
        elif self.op in {"min", "max"}:
            ufunc = np.fmin if self.op == "min" else np.fmax
            known = values if present is None else np.where(present, values, np.nan)
            self.value[at] = ufunc(self.value[at], ufunc.reduceat(columns.sorted(known), columns.cuts, axis=1))

    def _add_sum(self, at: tuple[NDArray[np.intp], ...], values: Values, columns: _Columns) -> None:
        total, comp = self.value[at], self.comp[at]
        if values.shape[1] > _NARROW:
            part = np.add.reduceat(columns.sorted(values), columns.cuts, axis=1)
            total, comp = neumaier_add(part, total, comp)
        else:
            for p in range(int(columns.sizes.max())):
                has = np.flatnonzero(columns.sizes > p)
                element = values[:, columns.order[columns.cuts[has] + p]]
                total[:, has], comp[:, has] = neumaier_add(element, total[:, has], comp[:, has])
        self.value[at], self.comp[at] = total, comp

    def result(self) -> tuple[Values, Mask] | None:
        """Return values and presence (G, K); None where an average overflowed and must be taken another way."""
        n_groups = len(self.groups)
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


@dataclass(frozen=True, slots=True)
class _Columns:
    """The columns of a block sorted by group. ``groups``, ``cuts``, ``sizes`` (g,): those that the block has."""

    order: NDArray[np.intp]
    is_sorted: bool
    groups: NDArray[np.intp]
    cuts: NDArray[np.intp]
    sizes: NDArray[np.intp]

    @classmethod
    def of(cls, numbers: NDArray[np.intp]) -> _Columns:
        groups, local = np.unique(numbers, return_inverse=True)
        at = Positions.of(local, len(groups))
        return cls(at.order, bool((at.order[1:] > at.order[:-1]).all()), groups, at.starts, at.sizes)

    def sorted(self, values: np.ndarray) -> np.ndarray:
        return values if self.is_sorted else np.take(values, self.order, axis=1)


def _slices(result: BlockResult) -> Iterator[tuple[NDArray[np.intp], Values, Mask | None]]:
    """Yield steps (k,), values (k, S), and presence (k, S) or None when all are present."""
    if isinstance(result, DenseResult):
        for steps, values in result.tiles:
            yield steps, values, None
    elif len(result.labels):
        yield np.arange(result.values.shape[1]), result.values.T, result.present.T
