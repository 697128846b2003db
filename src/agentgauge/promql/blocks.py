"""Blocks of samples without holes, made from what a source yields.

A source's block may have absent cells and stale markers. Series whose cells are present at the same rows still share
one dense table; only series with a pattern of their own become ragged. This is the one place that reads staleness.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agentgauge.model.labels import Labels
from agentgauge.model.sample import STALE_BITS
from agentgauge.model.series import DenseBlock, Mask, RaggedBlock, SeriesBlock
from agentgauge.promql.windows import Rows, Table

_MIN_SHARED = 4
"""Series of one pattern from which a dense table of their own is worth its fixed cost (design)."""


@dataclass(slots=True)
class SampleBlock:
    """Series with all their samples and no holes.

    Dense (``offsets`` None): the table's columns are the series. Ragged: one column, series i has the rows
    offsets[i]:offsets[i + 1].
    Stale: ``stale`` (N,) marks rows that are stale markers; None when there are none or they were left out.
    """

    labels: Sequence[Labels]
    table: Table
    offsets: Rows | None = None
    stale: Mask | None = None


def whole_blocks(block: SeriesBlock, *, keep_stale: bool) -> Iterator[SampleBlock]:
    """Split one block of a source into blocks without holes; stale markers are marked or left out."""
    if isinstance(block, RaggedBlock):
        yield _from_ragged(block, keep_stale=keep_stale)
    elif block.present is None:
        yield SampleBlock(block.labels, Table(block.t_ms, block.values, block.resets))
    else:
        yield from _from_holes(block, block.present, keep_stale=keep_stale)


def _from_ragged(block: RaggedBlock, *, keep_stale: bool) -> SampleBlock:
    values = np.ascontiguousarray(block.values)
    stale = values.view(np.uint64) == STALE_BITS
    if not stale.any():
        return SampleBlock(block.labels, Table(block.t_ms, values[:, None]), block.offsets)
    if keep_stale:
        return SampleBlock(block.labels, Table(block.t_ms, values[:, None]), block.offsets, stale)
    keep = ~stale
    counts = np.concatenate([[0], np.cumsum(keep)])
    return SampleBlock(block.labels, Table(block.t_ms[keep], values[keep][:, None]), counts[block.offsets])


def _from_holes(block: DenseBlock, present: Mask, *, keep_stale: bool) -> Iterator[SampleBlock]:
    stale = block.stale if keep_stale else None
    held = present if stale is None else present | stale
    loners: list[int] = []
    for columns in _patterns(held, stale):
        if len(columns) < _MIN_SHARED:
            loners += columns
        else:
            yield _shared(block, held[:, columns[0]], columns, stale)
    if loners:
        yield _gathered(block, held, sorted(loners), stale)


def _patterns(held: Mask, stale: Mask | None) -> list[list[int]]:
    """Group the columns whose samples, and stale markers, stand at the same rows."""
    packed = np.packbits(held, axis=0).T
    if stale is not None:
        packed = np.concatenate([packed, np.packbits(stale, axis=0).T], axis=1)
    rows = np.ascontiguousarray(packed)
    groups: dict[bytes, list[int]] = {}
    for column in range(rows.shape[0]):
        groups.setdefault(rows[column].tobytes(), []).append(column)
    return list(groups.values())


def _shared(block: DenseBlock, rows: Mask, columns: list[int], stale: Mask | None) -> SampleBlock:
    labels = [block.labels[i] for i in columns]
    if rows.all():
        table = Table(block.t_ms, np.ascontiguousarray(block.values[:, columns]))
    else:
        table = Table(block.t_ms[rows], block.values[np.ix_(rows, np.asarray(columns))])
    marks = None if stale is None else stale[rows, columns[0]]
    return SampleBlock(labels, table, None, marks if marks is not None and marks.any() else None)


def _gathered(block: DenseBlock, held: Mask, columns: list[int], stale: Mask | None) -> SampleBlock:
    mask = held[:, columns].T
    values = block.values[:, columns].T[mask]
    t_ms = np.broadcast_to(block.t_ms, mask.shape)[mask]
    offsets: NDArray[np.int64] = np.concatenate([[0], np.cumsum(mask.sum(axis=1))]).astype(np.int64)
    marks = None if stale is None else stale[:, columns].T[mask]
    return SampleBlock(
        [block.labels[i] for i in columns],
        Table(t_ms, values[:, None]),
        offsets,
        marks if marks is not None and marks.any() else None,
    )
