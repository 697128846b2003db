"""Which series an aggregation puts together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from agentgauge.model.labels import METRIC_NAME, Labels, only, without
from agentgauge.promql.nodes import Aggregate


def group_key(node: Aggregate) -> Callable[[Labels], Labels]:
    """Return the function from a series' labels to its group's; ``without`` always drops the name too."""
    if node.without:
        dropped = frozenset({*node.grouping, METRIC_NAME})
        return lambda labels: without(labels, dropped)
    kept = frozenset(node.grouping)
    if not kept:
        return lambda labels: ()
    return lambda labels: only(labels, kept)


@dataclass(slots=True)
class Groups:
    """Output groups in order of first appearance. ``of`` numbers series; new groups may come with every block."""

    key: Callable[[Labels], Labels]
    labels: list[Labels] = field(default_factory=list)
    _numbers: dict[Labels, int] = field(default_factory=dict)

    def of(self, series: Sequence[Labels]) -> NDArray[np.intp]:
        """Return the group number (S,) of each series."""
        numbers, key = self._numbers, self.key
        result = np.empty(len(series), np.intp)
        for i, labels in enumerate(series):
            group = key(labels)
            number = numbers.get(group)
            if number is None:
                number = numbers[group] = len(self.labels)
                self.labels.append(group)
            result[i] = number
        return result

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True, slots=True)
class Positions:
    """Series sorted by group, so that the p-th member of every group can be taken at once.

    Shapes: order (S,) series numbers, group by group, each in the order of the series; starts, sizes (G,).
    """

    order: NDArray[np.intp]
    starts: NDArray[np.intp]
    sizes: NDArray[np.intp]

    @classmethod
    def of(cls, numbers: NDArray[np.intp], n_groups: int) -> Positions:
        """Sort series by their group numbers."""
        sizes = np.bincount(numbers, minlength=n_groups)
        return cls(np.argsort(numbers, kind="stable"), np.cumsum(sizes) - sizes, sizes)

    def split(self, n_most: int) -> tuple[Positions, NDArray[np.intp]]:
        """Cut groups into parts of at most ``n_most`` members; return them and the group of each part."""
        n_parts = np.maximum(-(-self.sizes // n_most), 1)
        owner = np.repeat(np.arange(len(self.sizes)), n_parts)
        nth = np.arange(len(owner)) - np.repeat(np.cumsum(n_parts) - n_parts, n_parts)
        starts = self.starts[owner] + nth * n_most
        sizes = np.minimum(n_most, self.sizes[owner] - nth * n_most)
        return Positions(self.order, starts, sizes), owner


@dataclass(frozen=True, slots=True)
class Grouping:
    """The groups of one block's series.

    ``positions.order`` (m,) holds the numbers of the series that take part. ``as_they_stand``: all do, group by group.
    """

    labels: Sequence[Labels]
    positions: Positions
    as_they_stand: bool

    @classmethod
    def of(cls, series: Sequence[Labels], key: Callable[[Labels], Labels], some: NDArray[np.intp] | None) -> Grouping:
        """Group a block's series, or ``some`` of them."""
        groups = Groups(key)
        numbers = groups.of(series if some is None else [series[i] for i in some.tolist()])
        at = Positions.of(numbers, len(groups))
        in_order = some is None and bool((at.order[1:] > at.order[:-1]).all())
        order = at.order if some is None else some[at.order]
        return cls(groups.labels, Positions(order, at.starts, at.sizes), in_order)
