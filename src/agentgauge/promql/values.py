"""What nodes evaluate to: one value per series and step, and which of them exist.

Not results: the engine turns the last value into a ``Result``. NaN is a value; absence is the mask.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from agentgauge.model.labels import Labels
from agentgauge.model.series import Mask, Values


@dataclass(slots=True)
class Vector:
    """An instant vector at every step.

    Shapes: labels S; values (S, K) float64; present (S, K) bool; drop_name (S,) bool.
    Absent: where ``present`` is False; ``values`` means nothing there. No row is absent throughout.
    ``drop_name`` marks series that lose their name at the end (delayed name removal); all False in immediate mode.
    ``ordered``: the rows stand in an order that the query asked for (``sort``, ``topk``), at the first step.
    """

    labels: Sequence[Labels]
    values: Values
    present: Mask
    drop_name: Mask
    ordered: bool = False

    @property
    def n_series(self) -> int:
        """Return S."""
        return len(self.labels)

    @property
    def n_cells(self) -> int:
        """Return S x K: what the sample limit counts."""
        return int(self.values.size)

    def seen(self) -> Mask:
        """Return the steps (K,) at which there is any element."""
        seen: Mask = np.logical_or.reduce(self.present, axis=0)
        return seen


@dataclass(slots=True)
class Scalar:
    """A float at every step. Shapes: values (K,)."""

    values: Values


@dataclass(frozen=True, slots=True)
class Text:
    """A string, the same at every step."""

    value: str


Value: TypeAlias = Vector | Scalar | Text


def empty_vector(n_steps: int) -> Vector:
    """Return a vector without series over K steps."""
    return Vector((), np.empty((0, n_steps)), np.empty((0, n_steps), np.bool_), np.empty(0, np.bool_))


def vector_of(
    labels: Sequence[Labels], values: Values, present: Mask, drop_name: Mask | None = None, *, ordered: bool = False
) -> Vector:
    """Make a vector and leave out the rows that are absent at every step."""
    flags = np.zeros(len(labels), np.bool_) if drop_name is None else drop_name
    alive = present.any(axis=1)
    if alive.all():
        return Vector(labels, values, present, flags, ordered)
    rows = np.flatnonzero(alive)
    return Vector([labels[i] for i in rows.tolist()], values[rows], present[rows], flags[rows], ordered)


def take_rows(vector: Vector, rows: Sequence[int], *, ordered: bool = False) -> Vector:
    """Return the given rows, in the given order."""
    index = np.asarray(rows, np.intp)
    return Vector(
        [vector.labels[i] for i in index.tolist()],
        vector.values[index],
        vector.present[index],
        vector.drop_name[index],
        ordered,
    )
