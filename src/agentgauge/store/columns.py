"""Parts of columns laid together: chunks, unsealed rows and the ring become one matrix, or one ragged run. Pure.

Parts come in the order they were written; where two hold the same time of a series, the last write wins. Almost always
parts follow each other in time and are stacked; only out-of-order rows and repeated times take the merging way.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from agentgauge.model.labels import Labels
from agentgauge.model.sample import NO_SAMPLE, STALE
from agentgauge.model.series import DenseBlock, Mask, RaggedBlock, SeriesBlock, Times, Values
from agentgauge.store.chunk import DenseChunk, RaggedChunk, find_absent, padded
from agentgauge.store.places import Batch


@dataclass(frozen=True, slots=True)
class Part:
    """Columns over a stretch of time.

    Shapes: t_ms (T,) strictly ascending; values, hole, stale (T, S); the masks None when no cell is.
    ``suspects``: rows of the part at which a reset may be, None for any row.
    """

    t_ms: Times
    values: Values
    hole: Mask | None
    stale: Mask | None
    suspects: NDArray[np.int64] | None


@dataclass(frozen=True, slots=True)
class Samples:
    """Samples of some columns with times of their own: ``columns`` (N,) tells whose each is."""

    columns: NDArray[np.int64]
    t_ms: Times
    values: Values


def part_of_rows(t_ms: Times, rows: Values, columns: NDArray[np.int64]) -> Part:
    """Cut columns out of rows of the head; a column that the rows do not have yet is a hole."""
    known = columns < rows.shape[1]
    if known.all():
        values = rows[:, columns]
    else:
        values = np.full((len(t_ms), len(columns)), NO_SAMPLE)
        values[:, known] = rows[:, columns[known]]
    hole, stale, _ = find_absent(values)
    return Part(t_ms, values, hole, stale, None)


def part_of_chunk(chunk: DenseChunk, columns: NDArray[np.int64], start_ms: int, end_ms: int) -> Part:
    """Cut columns and a time range out of a chunk; a column that the chunk does not have is a hole."""
    a, b = np.searchsorted(chunk.t_ms, [start_ms, end_ms + 1])
    n_cols = chunk.values.shape[0]
    first, last = int(columns[0]), int(columns[-1])
    if last - first == len(columns) - 1 and last < n_cols:
        run = slice(first, last + 1)
        hole = None if chunk.hole is None else chunk.hole[run, a:b].T
        stale = None if chunk.stale is None else chunk.stale[run, a:b].T
        values = chunk.values[run, a:b].T
    else:
        known = columns < n_cols
        inside = np.where(known, columns, 0)
        values = _picked(chunk.values[:, a:b], inside).T
        hole = None if chunk.hole is None else chunk.hole[inside, a:b].T
        stale = None if chunk.stale is None else chunk.stale[inside, a:b].T
        if not known.all():
            hole = np.zeros(values.shape, np.bool_) if hole is None else hole
            hole[:, ~known] = True
            if stale is not None:
                stale[:, ~known] = False
    suspects = chunk.resets[(chunk.resets >= a) & (chunk.resets < b)] - a
    return Part(chunk.t_ms[a:b], values, hole, stale, suspects)


def _picked(values: Values, columns: NDArray[np.int64]) -> Values:
    """Copy some series, run by run of neighbours; shapes (S, T)."""
    out = padded(len(columns), values.shape[1])
    edges = [0, *(np.flatnonzero(np.diff(columns) != 1) + 1).tolist(), len(columns)]
    for a, b in pairwise(edges):
        first = int(columns[a])
        out[a:b] = values[first : first + b - a]
    return out


def join(parts: Sequence[Part], n_columns: int) -> Part:
    """Lay parts together; their order is the order of writing."""
    parts = [part for part in parts if len(part.t_ms)]
    if not parts:
        return Part(np.empty(0, np.int64), np.empty((0, n_columns)), None, None, np.empty(0, np.int64))
    by_time = sorted(parts, key=lambda part: int(part.t_ms[0]))
    follow = all(a.t_ms[-1] < b.t_ms[0] for a, b in pairwise(by_time))
    return _stack(by_time, n_columns) if follow else _merge(parts, n_columns)


def _stack(parts: Sequence[Part], n_columns: int) -> Part:
    n_rows = sum(len(part.t_ms) for part in parts)
    t_ms, values = np.empty(n_rows, np.int64), np.empty((n_rows, n_columns))
    hole = np.zeros(values.shape, np.bool_) if any(part.hole is not None for part in parts) else None
    stale = np.zeros(values.shape, np.bool_) if any(part.stale is not None for part in parts) else None
    suspects: list[NDArray[np.int64]] = []
    at = 0
    for part in parts:
        end = at + len(part.t_ms)
        t_ms[at:end], values[at:end] = part.t_ms, part.values
        if hole is not None and part.hole is not None:
            hole[at:end] = part.hole
        if stale is not None and part.stale is not None:
            stale[at:end] = part.stale
        inner = np.arange(end - at) if part.suspects is None else part.suspects
        suspects += [np.array([at]), inner[inner > 0] + at]
        at = end
    return Part(t_ms, values, hole, stale, np.concatenate(suspects).astype(np.int64))


def _merge(parts: Sequence[Part], n_columns: int) -> Part:
    t_ms = np.unique(np.concatenate([part.t_ms for part in parts]))
    values = np.zeros((len(t_ms), n_columns))
    hole, stale = np.ones(values.shape, np.bool_), np.zeros(values.shape, np.bool_)
    for part in parts:
        rows = np.searchsorted(t_ms, part.t_ms)
        present = np.ones(part.values.shape, np.bool_) if part.hole is None else ~part.hole
        # Bits, because a masked copy must keep the payload of every NaN.
        values[rows] = np.where(present, part.values.view(), values[rows])
        stale[rows] = np.where(present, False if part.stale is None else part.stale, stale[rows])
        hole[rows] &= ~present
    return Part(t_ms, values, hole if hole.any() else None, stale if stale.any() else None, np.arange(len(t_ms)))


def blocks_from_part(part: Part, batch: Batch) -> Iterator[SeriesBlock]:
    """Yield the clean columns of a part as one block and those with absent cells as another; empty ones not at all."""
    if not len(part.t_ms):
        return
    if part.hole is None and part.stale is None:
        yield DenseBlock(batch.labels, part.t_ms, part.values, resets=_resets(part, part.values))
        return
    hole = np.zeros(part.values.shape, np.bool_) if part.hole is None else part.hole
    absent = hole if part.stale is None else hole | part.stale
    dirty = absent.any(axis=0)
    clean = np.flatnonzero(~dirty)
    if len(clean):
        values = part.values[:, clean]
        yield DenseBlock(batch.labels_of(clean), part.t_ms, values, resets=_resets(part, values))
    some = np.flatnonzero(dirty & ~hole.all(axis=0))
    if len(some):
        stale = None if part.stale is None else part.stale[:, some]
        if stale is not None and not stale.any():
            stale = None
        yield DenseBlock(batch.labels_of(some), part.t_ms, part.values[:, some], ~absent[:, some], stale)


def _resets(part: Part, values: Values) -> NDArray[np.int64]:
    suspects = np.arange(len(part.t_ms)) if part.suspects is None else part.suspects
    suspects = suspects[suspects > 0]
    if not len(suspects):
        return np.empty(0, np.int64)
    if len(suspects) * 2 > len(values):
        falls = np.concatenate(([False], (values[1:] < values[:-1]).any(axis=1)))
        return suspects[falls[suspects]]
    return suspects[(values[suspects] < values[suspects - 1]).any(axis=1)]


def samples_of_part(part: Part, columns: NDArray[np.int64]) -> Samples:
    """Take a part's cells apart: one sample per present or stale cell."""
    present = np.ones(part.values.shape, np.bool_) if part.hole is None else ~part.hole
    values = part.values
    if part.stale is not None:
        values = np.where(part.stale, STALE, values)
    which, rows = np.nonzero(present.T)
    return Samples(columns[which], part.t_ms[rows], values.T[present.T])


def samples_of_chunk(chunk: RaggedChunk, column: int) -> Samples:
    """Return a ragged chunk's samples; its first column is ``column``."""
    counts = np.diff(chunk.offsets)
    return Samples(np.repeat(np.arange(len(counts)) + column, counts), chunk.t_ms, chunk.values)


def join_samples(parts: Sequence[Samples]) -> Samples:
    """Lay samples together, sorted by column, then time; for one time of one column the last part wins."""
    columns = np.concatenate([part.columns for part in parts])
    t_ms = np.concatenate([part.t_ms for part in parts])
    values = np.concatenate([part.values for part in parts])
    if not len(columns):
        return Samples(columns.astype(np.int64), t_ms, values)
    order = np.lexsort((np.arange(len(columns)), t_ms, columns))
    columns, t_ms = columns[order], t_ms[order]
    last = np.append((columns[1:] != columns[:-1]) | (t_ms[1:] != t_ms[:-1]), True)
    return Samples(columns[last].astype(np.int64), t_ms[last], values[order[last]])


def cut_samples(samples: Samples, start_ms: int, end_ms: int, wanted: NDArray[np.int64]) -> Samples:
    """Keep the samples of the wanted columns in a time range."""
    keep = (samples.t_ms >= start_ms) & (samples.t_ms <= end_ms) & np.isin(samples.columns, wanted)
    return Samples(samples.columns[keep], samples.t_ms[keep], samples.values[keep])


def block_from_samples(samples: Samples, labels: dict[int, Labels]) -> RaggedBlock | None:
    """Make a ragged block of sorted samples; ``labels`` by column."""
    if not len(samples.t_ms):
        return None
    starts = np.flatnonzero(np.append(True, samples.columns[1:] != samples.columns[:-1]))
    offsets = np.append(starts, len(samples.columns)).astype(np.int64)
    return RaggedBlock([labels[int(samples.columns[i])] for i in starts], offsets, samples.t_ms, samples.values)
