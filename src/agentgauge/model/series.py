"""Columns of samples, as the store hands them to the engine and the engine to the views.

The only module of ``model`` that knows NumPy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from agentgauge.model.labels import Labels

Times: TypeAlias = NDArray[np.int64]
Values: TypeAlias = NDArray[np.float64]
Mask: TypeAlias = NDArray[np.bool_]


@dataclass(slots=True)
class Row:
    """One scrape of one group: the value of every column at one time.

    Shapes: values (n,), ``NO_SAMPLE`` where a column had no sample.
    ``new_labels`` are the series of the last ``len(new_labels)`` columns, which the group did not have before.
    """

    t_ms: int
    values: Values
    new_labels: Sequence[Labels] = ()


@dataclass(frozen=True, slots=True)
class DenseBlock:
    """Series that share timestamps: columns of one scrape group, cut to a time range.

    Shapes: labels S; t_ms (T,) strictly ascending; values (T, S), C order: one row per scrape.
    Absent: ``present`` (T, S) is False where a cell holds no sample or a stale marker; None when every cell holds
        a plain sample (then the block is *clean*: no holes, no stale markers; NaN values may still be there).
    Stale: ``stale`` (T, S) marks the stale markers among the absent cells; None when there are none.
    Resets: ``resets`` are the sorted row numbers q >= 1 at which some column is below its previous *present* value;
        None when nobody has looked yet.
    """

    labels: Sequence[Labels]
    t_ms: Times
    values: Values
    present: Mask | None = None
    stale: Mask | None = None
    resets: NDArray[np.int64] | None = None


@dataclass(frozen=True, slots=True)
class RaggedBlock:
    """Series with timestamps of their own, concatenated.

    Shapes: labels S; offsets (S + 1,): series i has the samples offsets[i]:offsets[i + 1]; t_ms, values (N,),
        t_ms strictly ascending within a series.
    Stale: stale markers stand in ``values``, bit for bit; there are no absent cells.
    """

    labels: Sequence[Labels]
    offsets: NDArray[np.int64]
    t_ms: Times
    values: Values


SeriesBlock: TypeAlias = DenseBlock | RaggedBlock


@dataclass(frozen=True, slots=True)
class StepMatrix:
    """The value of every series at every step: what a query answers.

    Shapes: labels S; t_ms (T,) the steps; values (S, T); present (S, T).
    Absent: ``present`` is False; what ``values`` holds there means nothing. NaN is a value.
    Order: sorted by labels, but for instant queries whose function orders them.
    """

    labels: Sequence[Labels]
    t_ms: Times
    values: Values
    present: Mask


@dataclass(frozen=True, slots=True)
class QueryStats:
    """What a query cost: float samples it read in all and held at most at once, and its phases in seconds."""

    samples_read: int = 0
    samples_peak: int = 0
    timings_s: tuple[tuple[str, float], ...] = ()


ResultKind: TypeAlias = Literal["vector", "matrix", "scalar", "string"]


@dataclass(frozen=True, slots=True)
class Result:
    """The answer to one query, with what Prometheus calls warnings and infos.

    kind ``vector``: instant query, ``steps`` with T = 1. ``scalar``: the same with S = 1 and labels ``()``.
    kind ``matrix``: a range query's ``steps``; or, when ``samples`` is given, the raw samples that an instant query
    of a range vector selects (then ``steps`` is empty). ``string``: ``text``.
    """

    kind: ResultKind
    steps: StepMatrix
    samples: RaggedBlock | None = None
    text: str = ""
    warnings: tuple[str, ...] = ()
    infos: tuple[str, ...] = ()
    stats: QueryStats = field(default_factory=QueryStats)


def empty_steps(t_ms: Times | None = None) -> StepMatrix:
    """Return a matrix without series over the given steps."""
    steps = np.empty(0, np.int64) if t_ms is None else t_ms
    return StepMatrix((), steps, np.empty((0, len(steps))), np.empty((0, len(steps)), np.bool_))
