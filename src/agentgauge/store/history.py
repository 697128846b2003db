"""The way in for history: samples of any age become chunks at once, without passing the head.

Theory of operation: series of one target (the same ``job`` and ``instance``) nearly always share their times, so each
target gets a dense group, ``import/<job>/<instance>``. A run of samples is cut into pieces, one per batch of columns
and day; a piece whose series share their times becomes a dense chunk, one whose series each have times of their own
goes to the target's ragged group instead (a matrix of it would be mostly holes). All chunks of a run, the times their
series were seen, and the importer's note of how far it came are one transaction: after a kill the note says exactly
what is there. What comes twice is laid over itself when it is read, and becomes one chunk when upkeep merges.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agentgauge.model.labels import Labels, label_value
from agentgauge.model.sample import NO_SAMPLE, Exemplar
from agentgauge.model.series import Times, Values
from agentgauge.store import tables
from agentgauge.store.catalog import Catalog, Group
from agentgauge.store.chunk import BATCH, EncodedChunk, encode_dense, encode_ragged
from agentgauge.store.sealing import DAY_MS
from agentgauge.store.sql import Connection, Readers, Writer
from agentgauge.store.writing import Writing

LEVEL = 1
"""Chunks of history lie within a day: upkeep leaves them alone until the day is old enough to become one."""

MIN_FILL = 0.5
"""The share of a dense chunk's cells that must hold a sample."""

Numbers = NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a series' history goes."""

    group: Group
    column: int


@dataclass(frozen=True, slots=True)
class _NewChunk:
    group: Group
    column: int
    t_min: int
    t_max: int
    chunk: EncodedChunk


@dataclass(slots=True)
class _Seen:
    """First and last times per column of one group, to be noted when the chunks are in the file."""

    columns: list[NDArray[np.int64]]
    t_ms: list[Times]


class History:
    """Takes runs of samples of any age. One caller at a time, in a store without upkeep beside it."""

    def __init__(
        self, writing: Writing, writer: Writer, readers: Readers, catalog: Catalog, lock: threading.RLock, codec: str
    ) -> None:
        """Use ``Store.history``."""
        self._writing = writing
        self._writer = writer
        self._readers = readers
        self._catalog = catalog
        self._lock = lock
        self._codec = codec
        self._dense: dict[Labels, _Place] = {}
        self._own: dict[Labels, _Place] = {}

    def write(
        self,
        labels: Sequence[Labels],
        numbers: Numbers,
        t_ms: Times,
        values: Values,
        *,
        exemplars: Sequence[Exemplar] = (),
        notes: Mapping[str, str | None] | None = None,
    ) -> None:
        """Write samples and notes in one transaction; for one time of one series the last sample wins.

        Shapes: numbers (N,) index ``labels``; t_ms, values (N,), in any order.

        Raises:
            StoreError: nothing of them is in the file.
        """
        present = np.unique(numbers)
        places = self._places([labels[i] for i in present.tolist()], self._dense, ragged=False)
        local = np.searchsorted(present, numbers)
        new: list[_NewChunk] = []
        sparse: list[NDArray[np.int64]] = []
        for rows in _pieces(places, local, t_ms):
            chunk = self._dense_chunk(places, local[rows], t_ms[rows], values[rows])
            if chunk is None:
                sparse.append(rows)
            else:
                new.append(chunk)
        seen = _seen(
            places, local, t_ms, np.setdiff1d(np.arange(len(t_ms)), np.concatenate(sparse)) if sparse else None
        )
        if sparse:
            more, more_seen = self._own_chunks(labels, numbers, t_ms, values, np.concatenate(sparse))
            new += more
            seen |= more_seen
        self._commit(new, seen, exemplars, notes or {})

    def _own_chunks(
        self, labels: Sequence[Labels], numbers: Numbers, t_ms: Times, values: Values, rows: NDArray[np.int64]
    ) -> tuple[list[_NewChunk], dict[int, tuple[Group, _Seen]]]:
        """Encode samples whose series have times of their own."""
        numbers, t_ms, values = numbers[rows], t_ms[rows], values[rows]
        present = np.unique(numbers)
        places = self._places([labels[i] for i in present.tolist()], self._own, ragged=True)
        local = np.searchsorted(present, numbers)
        new = [
            self._ragged_chunk(places, local[piece], t_ms[piece], values[piece])
            for piece in _pieces(places, local, t_ms)
        ]
        return new, _seen(places, local, t_ms, None)

    def _places(self, labels: Sequence[Labels], known: dict[Labels, _Place], *, ragged: bool) -> list[_Place]:
        """Return where series go, in their order; new ones get columns."""
        new: dict[str, list[Labels]] = {}
        for one in labels:
            if one not in known:
                key = _group_key(one, ragged=ragged)
                found = self._known_place(key, one)
                if found is None:
                    new.setdefault(key, []).append(one)
                else:
                    known[one] = found
        for key, ones in new.items():
            group, column = self._writing.add_columns(key, ones, ragged=ragged)
            known.update({one: _Place(group, column + i) for i, one in enumerate(ones)})
        return [known[one] for one in labels]

    def _known_place(self, key: str, labels: Labels) -> _Place | None:
        """Find the column that an earlier import gave a series."""
        group, series_id = self._catalog.current.get(key), self._catalog.index.find(labels)
        if group is None or series_id is None:
            return None
        for group_id, column in self._catalog.placements(series_id):
            if group_id == group.id:
                return _Place(group, column)
        return None

    def _dense_chunk(
        self, places: list[_Place], local: NDArray[np.int64], t_ms: Times, values: Values
    ) -> _NewChunk | None:
        """Encode a piece as a matrix, or return None when it would be mostly holes."""
        times, rows = np.unique(t_ms, return_inverse=True)
        ones = np.unique(local)
        group = places[int(ones[0])].group
        column_of = np.array([places[i].column for i in ones.tolist()], np.int64)
        if len(t_ms) < MIN_FILL * len(times) * len(ones):
            return None
        base = int(column_of[0]) // BATCH * BATCH
        matrix = np.full((len(times), int(column_of.max()) - base + 1), NO_SAMPLE)
        # Of a time that comes twice the last assignment stays.
        matrix[rows, column_of[np.searchsorted(ones, local)] - base] = values
        return _NewChunk(group, base, int(times[0]), int(times[-1]), encode_dense(times, matrix, self._codec))

    def _ragged_chunk(self, places: list[_Place], local: NDArray[np.int64], t_ms: Times, values: Values) -> _NewChunk:
        columns = np.array([place.column for place in places], np.int64)[local]
        base = int(columns[0]) // BATCH * BATCH
        order = np.lexsort((np.arange(len(t_ms)), t_ms, columns))
        columns, t_ms, values = columns[order] - base, t_ms[order], values[order]
        last = np.append((columns[1:] != columns[:-1]) | (t_ms[1:] != t_ms[:-1]), True)
        columns, t_ms, values = columns[last], t_ms[last], values[last]
        offsets = np.concatenate(([0], np.cumsum(np.bincount(columns)))).astype(np.int64)
        group = places[int(local[0])].group
        return _NewChunk(
            group, base, int(t_ms.min()), int(t_ms.max()), encode_ragged(offsets, t_ms, values, self._codec)
        )

    def _commit(
        self,
        new: Sequence[_NewChunk],
        seen: Mapping[int, tuple[Group, _Seen]],
        exemplars: Sequence[Exemplar],
        notes: Mapping[str, str | None],
    ) -> None:
        def work(conn: Connection) -> None:
            for c in new:
                tables.insert_chunk(conn, c.group.id, LEVEL, c.column, c.t_min, c.t_max, c.chunk)
            found = [(self._catalog.index.find(e.series), e) for e in exemplars]
            tables.insert_exemplars(conn, [(i, e) for i, e in found if i is not None])
            for group, times in seen.values():
                # Before the commit, because the file keeps them too; a failed commit leaves times that only make
                # a query look once more.
                with self._lock:
                    for columns, t_ms in zip(times.columns, times.t_ms, strict=True):
                        group.saw_samples(columns, t_ms)
                tables.put_seen(conn, group)
            for key, text in notes.items():
                tables.put_note(conn, key, text)
            tables.bump_catalog(conn)

        def then(_: None) -> None:
            with self._lock:
                for c in new:
                    c.group.newest_ms = max(c.group.newest_ms, c.t_max)
                    # The ring of such a group is empty: everything is on disk.
                    c.group.ring.complete_from_ms = max(c.group.ring.complete_from_ms, c.t_max + 1)

        self._writer.run(work, then)


def _group_key(labels: Labels, *, ragged: bool) -> str:
    target = f"import/{label_value(labels, 'job')}/{label_value(labels, 'instance')}"
    return f"{target}/own times" if ragged else target


def _pieces(places: Sequence[_Place], local: NDArray[np.int64], t_ms: Times) -> Iterator[NDArray[np.int64]]:
    """Yield the rows of each (group, batch of columns, day), in their order."""
    batches = {key: i for i, key in enumerate(dict.fromkeys((p.group.id, p.column // BATCH) for p in places))}
    batch_of = np.array([batches[p.group.id, p.column // BATCH] for p in places], np.int64)
    days = t_ms // DAY_MS
    first = int(days.min())
    keys = batch_of[local] * (int(days.max()) - first + 1) + (days - first)
    order = np.argsort(keys, kind="stable")
    cuts = np.flatnonzero(np.diff(keys[order])) + 1
    yield from np.split(order, cuts)


def _seen(
    places: Sequence[_Place], local: NDArray[np.int64], t_ms: Times, rows: NDArray[np.int64] | None
) -> dict[int, tuple[Group, _Seen]]:
    """Return the first and last times of each series, by group; ``rows`` None takes all."""
    if rows is not None:
        local, t_ms = local[rows], t_ms[rows]
    first = np.full(len(places), np.iinfo(np.int64).max)
    last = np.full(len(places), np.iinfo(np.int64).min)
    np.minimum.at(first, local, t_ms)
    np.maximum.at(last, local, t_ms)
    found: dict[int, tuple[Group, _Seen]] = {}
    columns: dict[int, list[int]] = {}
    for i in np.flatnonzero(first <= last).tolist():
        columns.setdefault(places[i].group.id, []).append(i)
    for group_id, ones in columns.items():
        at = np.array([places[i].column for i in ones], np.int64)
        found[group_id] = (places[ones[0]].group, _Seen([at, at], [first[ones], last[ones]]))
    return found


OpenHistory = Callable[[], History]
