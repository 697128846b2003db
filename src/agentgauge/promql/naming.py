"""When a series loses its name, and what happens to label sets that become equal.

*Immediate* mode (Prometheus' default) drops the name where a function or an operator changes the meaning of the
value. *Delayed* mode only flags the series and drops the names when the query is finished.
Source: Prometheus promql/engine.go (DropReserved, cleanupMetricLabels, mergeSeriesWithSameLabelset).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from agentgauge.errors import ExecutionError
from agentgauge.model.labels import METRIC_NAME, Labels
from agentgauge.promql.scope import Scope
from agentgauge.promql.values import Vector

RESERVED = frozenset({METRIC_NAME, "__type__", "__unit__"})
"""Labels that say what the values mean: dropped together with the name."""

SAME_LABELSET = "vector cannot contain metrics with the same labelset"


def without_name(labels: Labels) -> Labels:
    """Drop the name and what belongs to it. Most sets start with the name and have no other reserved label."""
    if not labels:
        return labels
    if labels[0][0] == METRIC_NAME and (len(labels) == 1 or labels[1][0] > "__unit__"):
        return labels[1:]
    return tuple(pair for pair in labels if pair[0] not in RESERVED)


def drop_names(scope: Scope, vector: Vector, *, strict: bool = False) -> Vector:
    """Take the names off all series, now or at the end.

    Equal label sets then merge when they never meet at a step. ``strict``: they are an error even then, in immediate
    mode (functions of range vectors). Raises ExecutionError.
    """
    if scope.query.options.delayed_name_removal:
        return Vector(vector.labels, vector.values, vector.present, np.ones(vector.n_series, np.bool_), vector.ordered)
    labels = [without_name(labels) for labels in vector.labels]
    return merged(Vector(labels, vector.values, vector.present, vector.drop_name, vector.ordered), strict=strict)


def drop_flagged_names(vector: Vector) -> Vector:
    """Finish a query in delayed mode: take the names off the flagged series. Raises ExecutionError."""
    labels = [
        without_name(labels) if flag else labels for labels, flag in zip(vector.labels, vector.drop_name, strict=True)
    ]
    return merged(Vector(labels, vector.values, vector.present, np.zeros(len(labels), np.bool_), vector.ordered))


def merged(vector: Vector, *, strict: bool = False) -> Vector:
    """Join rows with equal label sets; raise ExecutionError when two of them have a value at the same step."""
    if len(set(vector.labels)) == len(vector.labels):
        return vector
    if strict:
        raise ExecutionError(SAME_LABELSET)
    groups = rows_by_labels(vector.labels)
    values = np.empty((len(groups), vector.values.shape[1]))
    present = np.zeros(values.shape, np.bool_)
    flags = np.zeros(len(groups), np.bool_)
    for out, rows in enumerate(groups.values()):
        if len(rows) > 1 and (vector.present[rows].sum(axis=0) > 1).any():
            raise ExecutionError(SAME_LABELSET)
        for row in rows:
            np.copyto(values[out], vector.values[row], where=vector.present[row])
            present[out] |= vector.present[row]
            flags[out] |= vector.drop_name[row]
    return Vector(list(groups), values, present, flags, vector.ordered)


def rows_by_labels(labels: Sequence[Labels]) -> dict[Labels, list[int]]:
    """Return the row numbers of each label set, in order of first appearance."""
    groups: dict[Labels, list[int]] = {}
    for row, key in enumerate(labels):
        groups.setdefault(key, []).append(row)
    return groups
