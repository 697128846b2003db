"""From unsealed rows to chunks, from small chunks to large ones; each step one transaction.

Levels: 0 holds what was sealed since the last boundary, 1 a whole interval of 2 h, 2 a whole day. A chunk never
crosses a boundary of its level's interval, so a merge takes whole chunks only. Encoding happens on the caller's
thread, one batch of 256 columns at a time, so that the writer thread, and with it a scrape, waits for inserts only.
A row that is written again while it is being sealed has a newer ``seq``: it stays in the head and wins when read.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from agentgauge.model.sample import NO_SAMPLE, STALE
from agentgauge.model.series import Times, Values
from agentgauge.store import tables
from agentgauge.store.catalog import FOREVER_MS, NEVER_MS, Group
from agentgauge.store.chunk import (
    BATCH,
    HAS_GAPS,
    QUARANTINED,
    RAGGED,
    DenseChunk,
    EncodedChunk,
    RaggedChunk,
    encode_dense,
    encode_ragged,
    find_absent,
)
from agentgauge.store.columns import Samples, join, join_samples, part_of_chunk, samples_of_chunk, samples_of_part
from agentgauge.store.reading import Reading
from agentgauge.store.sql import Connection, Readers, Writer

INTERVAL_MS = 2 * 3_600_000
DAY_MS = 24 * 3_600_000
DAY_MERGE_AGE_MS = 48 * 3_600_000
LEVEL_SPAN_MS = {0: INTERVAL_MS, 1: INTERVAL_MS, 2: DAY_MS}
MAX_DAY_CELLS = 200_000
"""Cells up to which the chunks of a day are merged: half a millisecond of decoding. A full batch that is scraped every
15 s has 123 k in 2 h, and a query of its last hour should not decode the day."""

_Found = tuple[tables.ChunkRow, DenseChunk | RaggedChunk]


@dataclass(frozen=True, slots=True)
class NewChunk:
    """A chunk that is about to be written."""

    column: int
    t_min: int
    t_max: int
    chunk: EncodedChunk


class Sealing:
    """Seals groups and merges their chunks. One caller at a time: upkeep holds a lock."""

    def __init__(self, readers: Readers, writer: Writer, reading: Reading, codec: str) -> None:
        self._readers = readers
        self._writer = writer
        self._reading = reading
        self._codec = codec

    def seal(self, group: Group) -> int:
        """Move all rows of a group from the head into chunks of level 0; return how many."""
        return self._seal_pushed(group) if group.ragged else self._seal_rows(group)

    def merge(self, group_id: int, column: int, level: int, start_ms: int) -> bool:
        """Make chunks of a level from all smaller ones of its interval; return whether anything changed.

        An interval of level 1 becomes one chunk; a day becomes as few as ``MAX_DAY_CELLS`` allows, because a query
        decodes whole chunks.
        """
        end_ms = start_ms + LEVEL_SPAN_MS[level] - 1
        found = [
            (row, chunk)
            for row, chunk in self._reading.chunks(group_id, column, start_ms, end_ms)
            if row.t_min >= start_ms and row.t_max <= end_ms
        ]
        packs = _packs(found) if level == max(LEVEL_SPAN_MS) else [found]
        changed = [self._merge_pack(group_id, column, level, pack) for pack in packs if pack]
        return any(changed)

    def _merge_pack(self, group_id: int, column: int, level: int, found: list[_Found]) -> bool:
        rows = [row for row, _ in found]
        if len(rows) == 1:
            if rows[0].level >= level:
                return False
            self._writer.run(lambda conn: conn.execute("UPDATE chunk SET level=? WHERE id=?", (level, rows[0].id)))
            return True
        merged = self._merged([chunk for _, chunk in found], column)

        def write(conn: Connection) -> None:
            tables.delete_chunks(conn, [row.id for row in rows])
            tables.insert_chunk(conn, group_id, level, column, merged.t_min, merged.t_max, merged.chunk)

        self._writer.run(write)
        return True

    def due(self, level: int, before_ms: int) -> list[tuple[int, int, int]]:
        """Return (group, column, interval start) of what is to be merged to a level, all of it older than a time."""
        span = LEVEL_SPAN_MS[level]
        with self._readers.snapshot() as conn:
            rows = conn.execute(
                "SELECT DISTINCT grp, col0, t_min FROM chunk WHERE level<? AND t_max<? AND flags & ? = 0",
                (level, before_ms // span * span, QUARANTINED),
            ).fetchall()
        return sorted({(group, column, t_min // span * span) for group, column, t_min in rows})

    def _merged(self, chunks: list[DenseChunk | RaggedChunk], column: int) -> NewChunk:
        if all(isinstance(chunk, DenseChunk) for chunk in chunks):
            width = max(c.values.shape[0] for c in chunks if isinstance(c, DenseChunk))
            columns = np.arange(width)
            parts = [part_of_chunk(c, columns, NEVER_MS, FOREVER_MS) for c in chunks if isinstance(c, DenseChunk)]
            part = join(parts, width)
            rows = np.array(part.values, order="C")
            if part.stale is not None:
                rows[part.stale] = STALE
            if part.hole is not None:
                rows[part.hole] = NO_SAMPLE
            chunk = encode_dense(part.t_ms, rows, self._codec)
            return NewChunk(column, int(part.t_ms[0]), int(part.t_ms[-1]), chunk)
        return self._ragged_chunk(join_samples([_as_samples(chunk, column) for chunk in chunks]), column)

    def _seal_rows(self, group: Group) -> int:
        with self._readers.snapshot() as conn:
            found = list(tables.head_rows(conn, group.id, NEVER_MS, FOREVER_MS))
        if not found:
            group.sealed_rows(group.unsealed_rows)
            return 0
        t_ms = np.array([t for t, _, _ in found], np.int64)
        newest_seq = max(seq for _, seq, _ in found)
        new: list[NewChunk] = []
        for a, b in _intervals(t_ms):
            new += self._dense_chunks(t_ms[a:b], [values for _, _, values in found[a:b]])

        def write(conn: Connection) -> None:
            for chunk in new:
                tables.insert_chunk(conn, group.id, 0, chunk.column, chunk.t_min, chunk.t_max, chunk.chunk)
            tables.delete_rows(conn, group.id, int(t_ms[0]), int(t_ms[-1]), newest_seq)
            tables.put_seen(conn, group)

        self._writer.run(write, lambda _: group.sealed_rows(len(found)))
        return len(found)

    def _dense_chunks(self, t_ms: Times, rows: list[Values]) -> Iterator[NewChunk]:
        width = max(len(row) for row in rows)
        for column in range(0, width, BATCH):
            n = min(BATCH, width - column)
            matrix = np.full((len(rows), n), NO_SAMPLE)
            for i, row in enumerate(rows):
                piece = row[column : column + n]
                matrix[i, : len(piece)] = piece
            hole, _, flags = find_absent(matrix)
            if flags & HAS_GAPS and hole is not None:
                if hole.all():
                    continue
                kept = ~hole.all(axis=1)
                times, matrix = t_ms[kept], matrix[kept]
            else:
                times = t_ms
            yield NewChunk(column, int(times[0]), int(times[-1]), encode_dense(times, matrix, self._codec))

    def _seal_pushed(self, group: Group) -> int:
        with self._readers.snapshot() as conn:
            batches = list(tables.pushed(conn, group.id, NEVER_MS, FOREVER_MS))
        if not batches:
            group.sealed_rows(group.unsealed_rows)
            return 0
        samples = join_samples([Samples(b.columns.astype(np.int64), b.t_ms, b.values) for b in batches])
        new: list[NewChunk] = []
        keys = samples.t_ms // INTERVAL_MS
        for interval in np.unique(keys).tolist():
            inside = keys == interval
            mine = Samples(samples.columns[inside], samples.t_ms[inside], samples.values[inside])
            for base in np.unique(mine.columns // BATCH * BATCH).tolist():
                some = mine.columns // BATCH * BATCH == base
                batch = Samples(mine.columns[some], mine.t_ms[some], mine.values[some])
                new.append(self._ragged_chunk(batch, base))

        def write(conn: Connection) -> None:
            for chunk in new:
                tables.insert_chunk(conn, group.id, 0, chunk.column, chunk.t_min, chunk.t_max, chunk.chunk)
            tables.delete_pushed(conn, group.id, batches[-1].seq)
            tables.put_seen(conn, group)

        self._writer.run(write, lambda _: group.sealed_rows(sum(len(batch.t_ms) for batch in batches)))
        return len(batches)

    def _ragged_chunk(self, samples: Samples, column: int) -> NewChunk:
        """Encode sorted samples of one batch; those that share their times (a pushing process' scrapes) as dense."""
        counts = np.bincount(samples.columns - column)
        t_min, t_max = int(samples.t_ms.min()), int(samples.t_ms.max())
        if len(counts) > 1 and (counts == counts[0]).all():
            times = samples.t_ms.reshape(len(counts), -1)
            if (times == times[0]).all():
                rows = np.ascontiguousarray(samples.values.reshape(len(counts), -1).T)
                return NewChunk(column, t_min, t_max, encode_dense(times[0], rows, self._codec))
        offsets = np.concatenate(([0], np.cumsum(counts))).astype(np.int64)
        chunk = encode_ragged(offsets, samples.t_ms, samples.values, self._codec)
        assert chunk.flags & RAGGED, "BUG: a ragged chunk without its flag"
        return NewChunk(column, t_min, t_max, chunk)


def _packs(found: list[_Found]) -> list[list[_Found]]:
    """Cut chunks into runs that become one each, in the order of their times; what overlaps stays together.

    Inside a run they stand in the order they were written, because the last write wins.
    """
    packs: list[list[_Found]] = []
    n_cells, end_ms = 0, NEVER_MS
    for one in sorted(found, key=lambda one: one[0].t_min):
        row, size = one[0], int(one[1].values.size)
        if packs and (row.t_min <= end_ms or n_cells + size <= MAX_DAY_CELLS):
            packs[-1].append(one)
            n_cells += size
        else:
            packs.append([one])
            n_cells = size
        end_ms = max(end_ms, row.t_max)
    return [sorted(pack, key=lambda one: one[0].id) for pack in packs]


def _as_samples(chunk: DenseChunk | RaggedChunk, column: int) -> Samples:
    if isinstance(chunk, RaggedChunk):
        return samples_of_chunk(chunk, column)
    columns = np.arange(chunk.values.shape[0])
    return samples_of_part(part_of_chunk(chunk, columns, NEVER_MS, FOREVER_MS), columns + column)


def _intervals(t_ms: NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """Yield the row ranges of each 2-h interval in ascending times."""
    cuts = np.flatnonzero(np.diff(t_ms // INTERVAL_MS)) + 1
    edges = [0, *cuts.tolist(), len(t_ms)]
    yield from pairwise(edges)
