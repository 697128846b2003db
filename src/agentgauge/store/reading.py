"""select: from matchers to blocks, a batch of columns at a time.

Theory of operation: a query is planned under the store's lock (which columns, and an immutable view of each group's
ring), then runs without it. Per group the unsealed rows are read before any chunk: what is sealed between the two reads
is seen twice and merged, never missed. Per batch of 256 columns the chunks' bytes are fetched in one short read
transaction and decoded after it; decoded chunks stay in a bounded cache. A chunk that fails its checksum is left out,
reported, and quarantined.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from agentgauge.errors import StoreCorrupt
from agentgauge.model.labels import Labels
from agentgauge.model.sample import NO_SAMPLE
from agentgauge.model.series import SeriesBlock, Values
from agentgauge.store import tables
from agentgauge.store.cache import ChunkCache, Decoded
from agentgauge.store.catalog import SelectPlan, Wanted
from agentgauge.store.chunk import BATCH, QUARANTINED, DenseChunk, EncodedChunk, decode
from agentgauge.store.columns import (
    Part,
    Samples,
    block_from_samples,
    blocks_from_part,
    cut_samples,
    join,
    join_samples,
    part_of_chunk,
    part_of_rows,
    samples_of_chunk,
    samples_of_part,
)
from agentgauge.store.sql import Connection, Readers, translated

OnBadChunk = Callable[[tables.ChunkRow, str], None]
Columns = NDArray[np.int64]


class Reading:
    """Answers plans from the file. Thread-safe: it holds no state of its own."""

    def __init__(self, readers: Readers, cache: ChunkCache, on_bad_chunk: OnBadChunk) -> None:
        self._readers = readers
        self._cache = cache
        self._on_bad_chunk = on_bad_chunk

    def blocks(self, plan: SelectPlan, start_ms: int, end_ms: int) -> Iterator[SeriesBlock]:
        """Yield what a plan asks for; each series in exactly one block."""
        for wanted in plan.whole:
            source = GroupSource(self, wanted, start_ms, end_ms)
            for batch in wanted.places.batches():
                if wanted.group.ragged:
                    names = dict(zip(batch.columns.tolist(), batch.labels, strict=True))
                    block = block_from_samples(source.samples(batch.columns), names)
                    if block is not None:
                        yield block
                else:
                    yield from blocks_from_part(source.part(batch.columns), batch)
        if plan.split:
            yield from self._split(plan.split, start_ms, end_ms)

    def chunks(self, group_id: int, column: int, start_ms: int, end_ms: int) -> list[tuple[tables.ChunkRow, Decoded]]:
        """Return the decoded chunks of one batch of columns in the order they were written."""
        rows: list[tables.ChunkRow] = []
        try:
            with self._readers.snapshot() as conn:
                rows = tables.chunk_rows(conn, group_id, column, start_ms, end_ms)
                cached = {row.id: self._cache.get(row.id) for row in rows}
                raw = {row.id: _read(conn, row.id) for row in rows if cached[row.id] is None}
        except StoreCorrupt as error:
            self._on_bad_chunk(_unread(group_id, column, start_ms, end_ms), str(error))
            return []
        found: list[tuple[tables.ChunkRow, Decoded]] = []
        for row in rows:
            chunk = cached[row.id]
            if chunk is None:
                chunk = self._decode(row, raw[row.id])
            if chunk is not None:
                found.append((row, chunk))
        return found

    def rows(self, group_id: int, columns: Columns, start_ms: int, end_ms: int) -> Part:
        """Return the unsealed rows of a dense group in a time range, cut to columns."""
        times, rows = [], []
        try:
            with self._readers.snapshot() as conn:
                for t_ms, _, values in tables.head_rows(conn, group_id, start_ms, end_ms):
                    times.append(t_ms)
                    rows.append(_cut(values, columns))
        except StoreCorrupt as error:
            # What was read before stays: rows come by time, the rest of them is missing.
            self._on_bad_chunk(_unread(group_id, 0, times[-1] + 1 if times else start_ms, end_ms), str(error))
        matrix = np.array(rows).reshape(len(rows), len(columns))
        return part_of_rows(np.array(times, np.int64), matrix, np.arange(len(columns)))

    def pushed(self, group_id: int, start_ms: int, end_ms: int) -> Samples:
        """Return the unsealed samples of a ragged group, in the order they were written."""
        batches: list[tables.PushedBatch] = []
        try:
            with self._readers.snapshot() as conn:
                batches += tables.pushed(conn, group_id, start_ms, end_ms)
        except StoreCorrupt as error:
            self._on_bad_chunk(_unread(group_id, 0, start_ms, end_ms), str(error))
        if not batches:
            return Samples(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0))
        return Samples(
            np.concatenate([batch.columns for batch in batches]).astype(np.int64),
            np.concatenate([batch.t_ms for batch in batches]),
            np.concatenate([batch.values for batch in batches]),
        )

    def _decode(self, row: tables.ChunkRow, raw: EncodedChunk | StoreCorrupt | None) -> Decoded | None:
        if row.flags & QUARANTINED:
            self._on_bad_chunk(row, "it failed its checksum before")
            return None
        if raw is None:
            return None
        try:
            if isinstance(raw, StoreCorrupt):
                raise raw
            chunk = decode(raw)
        except StoreCorrupt as error:
            self._on_bad_chunk(row, str(error))
            return None
        self._cache.put(row.id, chunk)
        return chunk

    def _split(self, split: Sequence[Wanted], start_ms: int, end_ms: int) -> Iterator[SeriesBlock]:
        """Yield series that lived in several groups, merged; the youngest group wins a time that two have."""
        names: dict[int, Labels] = {}
        for wanted in split:
            names.update(zip(wanted.series.tolist(), wanted.labels, strict=True))
        ids = np.unique(np.concatenate([wanted.series for wanted in split]))
        sources = [GroupSource(self, wanted, start_ms, end_ms) for wanted in split]
        for at in range(0, len(ids), BATCH):
            batch = ids[at : at + BATCH]
            parts: list[Samples] = []
            for wanted, source in zip(split, sources, strict=True):
                mine = np.isin(wanted.series, batch)
                series_of = dict(zip(wanted.columns[mine].tolist(), wanted.series[mine].tolist(), strict=True))
                for columns in _batches(wanted.columns[mine]):
                    samples = source.samples(columns)
                    owners = np.array([series_of[c] for c in samples.columns.tolist()], np.int64)
                    parts.append(Samples(owners, samples.t_ms, samples.values))
            block = block_from_samples(join_samples(parts), names)
            if block is not None:
                yield block


class GroupSource:
    """One group's samples for one query; reads its unsealed rows once."""

    def __init__(self, reading: Reading, wanted: Wanted, start_ms: int, end_ms: int) -> None:
        self._reading = reading
        self._wanted = wanted
        self._start_ms = start_ms
        self._end_ms = end_ms
        self._head: Part | None = None
        self._pushed: Samples | None = None

    def part(self, columns: Columns) -> Part:
        """Return columns of one batch of a dense group over the window."""
        view = self._wanted.view
        parts: list[Part] = []
        if self._start_ms < view.complete_from_ms:
            before_ms = min(self._end_ms, view.complete_from_ms - 1)
            head = self._head_rows(before_ms)
            base = int(columns[0]) // BATCH * BATCH
            for _, chunk in self._reading.chunks(self._wanted.group.id, base, self._start_ms, before_ms):
                if isinstance(chunk, DenseChunk):
                    parts.append(part_of_chunk(chunk, columns - base, self._start_ms, before_ms))
            at = np.searchsorted(self._wanted.columns, columns)
            parts.append(_narrow(head, at))
        a, b = np.searchsorted(view.t_ms, [self._start_ms, self._end_ms + 1])
        if b > a:
            parts.append(part_of_rows(view.t_ms[a:b], view.rows[a:b], columns))
        return join(parts, len(columns))

    def samples(self, columns: Columns) -> Samples:
        """Return columns of one batch of any group as samples, sorted by column, then time."""
        if not self._wanted.group.ragged:
            return samples_of_part(self.part(columns), columns)
        # The unsealed ones first: what is sealed in between is then seen twice, not missed.
        if self._pushed is None:
            self._pushed = self._reading.pushed(self._wanted.group.id, self._start_ms, self._end_ms)
        base = int(columns[0]) // BATCH * BATCH
        parts = [
            _samples_of(chunk, base)
            for _, chunk in self._reading.chunks(self._wanted.group.id, base, self._start_ms, self._end_ms)
        ]
        cut = [cut_samples(part, self._start_ms, self._end_ms, columns) for part in [*parts, self._pushed]]
        return join_samples(cut)

    def _head_rows(self, before_ms: int) -> Part:
        if self._head is None:
            group_id, columns = self._wanted.group.id, self._wanted.columns
            self._head = self._reading.rows(group_id, columns, self._start_ms, before_ms)
        return self._head


def _cut(values: Values, columns: Columns) -> Values:
    """Return some columns of a row; one that the row does not have yet has no sample."""
    if len(columns) and columns[-1] < len(values):
        return values[columns]
    row = np.full(len(columns), NO_SAMPLE)
    known = columns < len(values)
    row[known] = values[columns[known]]
    return row


def _read(conn: Connection, chunk_id: int) -> EncodedChunk | StoreCorrupt | None:
    """Read a chunk's bytes; pages that are damaged cost this chunk alone."""
    try:
        with translated():
            return tables.read_chunk(conn, chunk_id)
    except StoreCorrupt as error:
        return error


def _unread(group_id: int, column: int, start_ms: int, end_ms: int) -> tables.ChunkRow:
    """Stand for what could not even be listed."""
    return tables.ChunkRow(-1, group_id, 0, start_ms, end_ms, column, BATCH, 0, QUARANTINED)


def _samples_of(chunk: Decoded, base: int) -> Samples:
    if not isinstance(chunk, DenseChunk):
        return samples_of_chunk(chunk, base)
    columns = np.arange(chunk.values.shape[0])
    whole = part_of_chunk(chunk, columns, int(chunk.t_ms[0]), int(chunk.t_ms[-1]))
    return samples_of_part(whole, columns + base)


def _narrow(part: Part, at: NDArray[np.intp]) -> Part:
    hole = None if part.hole is None else part.hole[:, at]
    stale = None if part.stale is None else part.stale[:, at]
    return Part(part.t_ms, part.values[:, at], hole, stale, None)


def _batches(columns: Columns) -> Iterator[Columns]:
    """Cut ascending columns where the batches of the chunks begin."""
    cuts = np.flatnonzero(np.diff(columns // BATCH)) + 1
    return iter(np.split(columns, cuts)) if len(columns) else iter(())
