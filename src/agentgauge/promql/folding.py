"""One pass over the windows of a selector for all aggregations that look at them.

Each block is evaluated once, slice by slice, and every aggregation of the family folds what it needs of the slice.
Which series those are and how they group is remembered by the block's labels (``memory.py``).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from agentgauge.errors import ExecutionError
from agentgauge.model.labels import METRIC_NAME, Labels, label_value
from agentgauge.model.series import Mask, Values
from agentgauge.promql.fused import Fold, Steps
from agentgauge.promql.grouping import Grouping, group_key
from agentgauge.promql.naming import RESERVED, SAME_LABELSET, without_name
from agentgauge.promql.nodes import Aggregate
from agentgauge.promql.scope import Folded, Scope
from agentgauge.promql.selectors import DenseResult, Lookup, WindowCall, results
from agentgauge.promql.sharing import Member, selects
from agentgauge.promql.values import vector_of


def fold_all(
    scope: Scope, members: Sequence[Member], where: Lookup, call: WindowCall, *, drops_name: bool
) -> list[Folded]:
    """Fold the windows into the groups of every member. ``drops_name``: the function takes the name away.

    Raises:
        ExecutionError: two series of a member differ in their name only, which is taken away.
    """
    tallies = [_Tally(scope, member, where, drops_name=drops_name) for member in members]
    for result in results(scope, where, call):
        taking = [tally for tally in tallies if tally.takes(result.labels)]
        if isinstance(result, DenseResult):
            for steps, values in result.tiles:
                for tally in taking:
                    tally.add(steps, values, None)
        else:
            for tally in taking:
                tally.add(slice(None), result.values.T, result.present.T)
        for tally in taking:
            tally.end_block()
    return [tally.folded() for tally in tallies]


def metric_names(labels: Sequence[Labels]) -> tuple[str, ...]:
    """Return the distinct metric names in order of appearance; the empty one of series without a name too."""
    return tuple(dict.fromkeys(label_value(series, METRIC_NAME) for series in labels))


class _Tally:
    """One aggregation while its windows go by."""

    def __init__(self, scope: Scope, member: Member, where: Lookup, *, drops_name: bool) -> None:
        node = member.node
        self._scope = scope
        self._member = member
        self._drops_name = drops_name
        immediate = drops_name and not scope.query.options.delayed_name_removal
        self._key = _nameless_key(node) if immediate else group_key(node)
        self._fact = (node.grouping, node.without, immediate, member.extra)
        self._fold = Fold(node.op, scope.n_steps)
        self._names: dict[str, None] = {}
        # Series of one metric that differ, differ without its name too.
        self._bare: list[Labels] | None = [] if immediate and not where.one_metric else None

    def takes(self, labels: Sequence[Labels]) -> bool:
        """Begin a block; tell whether the aggregation wants any of its series."""
        grouping = self._scope.query.memory.fact(labels, self._fact, lambda: self._grouped(labels))
        if grouping is None:
            return False
        self._labels, self._grouping = labels, grouping
        self._groups = self._fold.groups(grouping.labels)
        self._seen: Mask | bool = False
        return True

    def add(self, steps: Steps, values: Values, present: Mask | None) -> None:
        """Fold a slice of the block."""
        self._fold.add(steps, values, present, self._grouping, self._groups)
        self._seen = True if present is None else self._seen | np.asarray(present.any(axis=0))

    def end_block(self) -> None:
        """Note which series of the block had a value."""
        if self._seen is False:
            return
        labels, rows = self._labels, self._grouping.positions.order
        if self._seen is True:
            key = ("names", self._member.extra)
            names = self._scope.query.memory.fact(labels, key, lambda: metric_names(_some(labels, rows)))
        else:
            rows = rows[np.asarray(self._seen)[rows]]
            names = metric_names(_some(labels, rows))
        self._names.update(dict.fromkeys(names))
        if self._bare is not None:
            self._bare += [without_name(series) for series in _some(labels, rows)]

    def folded(self) -> Folded:
        """Finish. Raises ExecutionError."""
        if self._bare is not None and len(set(self._bare)) != len(self._bare):
            raise ExecutionError(SAME_LABELSET)
        answer = self._fold.result()
        if answer is None:
            return Folded(None, tuple(self._names))
        delayed = self._drops_name and self._scope.query.options.delayed_name_removal
        return Folded(
            vector_of(self._fold.labels, *answer, np.full(len(self._fold.labels), delayed)), tuple(self._names)
        )

    def _grouped(self, labels: Sequence[Labels]) -> Grouping | None:
        if not self._member.extra:
            return Grouping.of(labels, self._key, None) if len(labels) else None
        wanted = selects(self._member.extra)
        some = np.flatnonzero([wanted(series) for series in labels])
        return Grouping.of(labels, self._key, some) if len(some) else None


def _nameless_key(node: Aggregate) -> Callable[[Labels], Labels]:
    """Return the key of series whose name is taken away first."""
    key = group_key(node)
    if not node.without and not RESERVED.intersection(node.grouping):
        return key
    return lambda labels: key(without_name(labels))


def _some(labels: Sequence[Labels], rows: NDArray[np.intp]) -> Sequence[Labels]:
    return [labels[i] for i in rows.tolist()]
