"""append: rows of scraped groups and pushed samples, from the caller to the commit.

Theory of operation: everything that changes runs on the writer thread, one transaction per row: checks and
registrations first (the writer thread is the only one that changes the catalog, so it may read it without the lock),
then the inserts; after the commit, and under the lock, the catalog and the ring take the row. So memory never shows
what the file has not, and a failed insert leaves both as they were. Times (storage notes, section 9): a row at a time
that is already there is laid over it cell by cell, the last write wins and differences are counted; a row older than
the newest of its group, or than our clock when that is behind it, is taken inside the out-of-order window, else
dropped and counted.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from agentgauge.errors import StoreCorrupt, StoreError, StoreFull
from agentgauge.model.clock import Clock
from agentgauge.model.labels import Labels
from agentgauge.model.sample import NO_SAMPLE_BITS, Exemplar, Sample
from agentgauge.model.series import Row, Values
from agentgauge.store import tables
from agentgauge.store.catalog import NEVER_MS, Catalog, Group
from agentgauge.store.head import merge_cells
from agentgauge.store.outbox import Outbox
from agentgauge.store.sql import Connection, Writer

PUSH_KEY = "push"
TOO_NEW_MS = 600_000


@dataclass(slots=True)
class Counters:
    """What happened to what was appended, since the store was opened."""

    rows: int = 0
    samples: int = 0
    duplicates: int = 0
    out_of_order: int = 0
    too_old: int = 0
    too_new: int = 0
    lost: int = 0
    """Samples that the file did not take; those of rows are seen in live views for a while."""


@dataclass(frozen=True, slots=True)
class AppendReport:
    """What happened to pushed samples. ``too_old`` and ``too_new`` ones were refused."""

    appended: int = 0
    too_old: int = 0
    too_new: int = 0


@dataclass(slots=True)
class _Taken:
    """A row as it was written, and what it registered."""

    group: Group
    t_ms: int
    values: Values
    new_series: list[tuple[int, Labels]] = field(default_factory=list)
    column_series: list[int] = field(default_factory=list)
    duplicates: int = 0
    dropped: bool = False
    noted_lost: int = 0


class Writing:
    """The way in. Thread-safe."""

    def __init__(
        self,
        writer: Writer,
        catalog: Catalog,
        lock: threading.RLock,
        window_ms: int,
        make_room: Callable[[], bool],
        newest_seq: int,
        clock: Clock,
    ) -> None:
        self.counters = Counters()
        self.saw_damage = False
        self.problem = ""
        """Why the last write failed; empty when it did not."""
        self._writer = writer
        self._catalog = catalog
        self._lock = lock
        self._window_ms = window_ms
        self._make_room = make_room
        self._seq = newest_seq
        self._clock = clock
        self.outbox: Outbox | None = None
        """What other servers are to get too, when there are any."""
        self._unnoted_lost = 0

    def group(self, key: str, ragged: bool = False) -> Group:
        """Return the current group of a key; register it when it is new."""
        found = self._catalog.current.get(key)
        return found if found is not None else self._new_group(key, ragged)

    def add_columns(self, key: str, labels: Sequence[Labels], *, ragged: bool) -> tuple[Group, int]:
        """Give series the next columns of a group, which is made when it is new; return it and the first of them.

        Raises:
            ValueError: one of them is in the group already.
        """
        self.group(key, ragged)

        def work(conn: Connection) -> _Taken:
            taken = _Taken(self._catalog.current[key], 0, np.empty(0))
            self._register(conn, taken, labels)
            return taken

        def then(taken: _Taken) -> None:
            with self._lock:
                self._remember(taken.group, taken.new_series, taken.column_series)

        group = self._writer.run(work, then).group
        return group, group.n_columns - len(labels)

    def append_row(self, key: str, row: Row, exemplars: Sequence[Exemplar]) -> None:
        """Write one row; it is in the file when this returns.

        Raises:
            StoreError: it is not; ``StoreFull`` when there is no room even after making some.
            ValueError: the row does not fit its group's columns.
        """
        values = np.ascontiguousarray(row.values, np.float64)
        try:
            with self._noting_failure():
                self._with_room(lambda: self._append(key, row, values, exemplars))
        except StoreError:
            self._keep_in_memory(key, row.t_ms, values)
            raise
        # Only here do columns get new numbers: the caller of this group is not in the middle of a row.
        if self._catalog.current[key].wants_renumbering:
            with contextlib.suppress(StoreFull), self._noting_failure():
                self._renumber(self._catalog.current[key])

    def append_samples(self, samples: Iterable[Sample], now_ms: int, *, key: str, any_age: bool) -> AppendReport:
        """Write samples with times of their own; those that were taken are in the file when this returns."""
        group = self.group(key, ragged=True)
        newest_ms = now_ms + TOO_NEW_MS
        oldest_ms = NEVER_MS if any_age else min(now_ms, max(group.newest_ms, now_ms)) - self._window_ms
        taken: list[Sample] = []
        too_old = too_new = 0
        for sample in samples:
            if sample.t_ms > newest_ms and not any_age:
                too_new += 1
            elif sample.t_ms < oldest_ms:
                too_old += 1
            else:
                taken.append(sample)
        if taken:
            try:
                with self._noting_failure():
                    self._with_room(lambda: self._write_samples(key, taken))
            except StoreError:
                with self._lock:
                    self._count_lost(len(taken))
                raise
        with self._lock:
            self.counters.too_old += too_old
            self.counters.too_new += too_new
        return AppendReport(len(taken), too_old, too_new)

    @contextlib.contextmanager
    def _noting_failure(self) -> Iterator[None]:
        """Remember how the last write went, for whoever asks what is wrong."""
        try:
            yield
        except StoreError as error:
            self.problem = str(error)
            # No clean mark at the end then: the next start looks at the file and sets it aside.
            self.saw_damage = self.saw_damage or isinstance(error, StoreCorrupt)
            raise
        self.problem = ""

    def _with_room(self, write: Callable[[], None]) -> None:
        """Write, and once more when the disk was full and some room could be made."""
        try:
            write()
        except StoreFull:
            if not self._make_room():
                raise
            write()

    def _renumber(self, old: Group) -> None:
        """Let a group go on with its live columns only, as a new group of the same key."""

        def work(conn: Connection) -> tuple[Group, list[int]]:
            group_id = self._catalog.next_group_id
            group = Group(group_id, old.key, group_id, ragged=False, newest_ms=old.newest_ms)
            series_ids = old.series.view()[old.live_columns()].tolist()
            tables.insert_group(conn, group)
            tables.insert_columns(conn, group.id, 0, series_ids)
            tables.bump_catalog(conn)
            return group, series_ids

        def then(result: tuple[Group, list[int]]) -> None:
            group, series_ids = result
            with self._lock:
                old.wants_renumbering = False
                self._catalog.add_group(group)
                self._remember(group, [], series_ids)

        self._writer.run(work, then)

    def _new_group(self, key: str, ragged: bool) -> Group:
        def work(conn: Connection) -> Group:
            found = self._catalog.current.get(key)
            if found is not None:
                return found
            # The id is the epoch: a group that was forgotten and comes back never has an epoch it had before.
            group_id = self._catalog.next_group_id
            group = Group(group_id, key, group_id, ragged)
            tables.insert_group(conn, group)
            return group

        def then(group: Group) -> None:
            with self._lock:
                if group.id not in self._catalog.groups:
                    self._catalog.add_group(group)

        return self._writer.run(work, then)

    def _append(self, key: str, row: Row, values: Values, exemplars: Sequence[Exemplar]) -> None:
        self.group(key)

        def work(conn: Connection) -> _Taken:
            taken = self._take(conn, self._catalog.current[key], row, values)
            if exemplars and not taken.dropped:
                new = {labels: series_id for series_id, labels in taken.new_series}
                found = [(new.get(e.series, self._catalog.index.find(e.series)), e) for e in exemplars]
                tables.insert_exemplars(conn, [(i, e) for i, e in found if i is not None])
            taken.noted_lost = self._note_lost(conn)
            return taken

        self._writer.run(work, self._taken)

    def _take(self, conn: Connection, group: Group, row: Row, values: Values) -> _Taken:
        if group.n_columns + len(row.new_labels) != len(values):
            raise ValueError(
                f"group {group.key!r} has {group.n_columns} columns and {len(row.new_labels)} new ones, "
                f"the row has {len(values)} values"
            )
        taken = _Taken(group, row.t_ms, values)
        # Our clock counts too: after it was far ahead once, rows of now are not late.
        if row.t_ms < min(group.newest_ms, self._clock.now_ms()) - self._window_ms:
            # The columns are registered all the same: the caller counts on them from now on.
            taken.dropped = True
        if row.new_labels:
            self._register(conn, taken, row.new_labels)
        if taken.dropped:
            return taken
        if row.t_ms <= group.newest_ms:
            older = group.ring.find(row.t_ms)
            older = tables.head_row(conn, group.id, row.t_ms) if older is None else older
            if older is not None:
                taken.duplicates = _n_different(older, values)
                taken.values = merge_cells(older, values)
        self._seq += 1
        tables.put_row(conn, group.id, row.t_ms, self._seq, taken.values)
        if self.outbox is not None:
            self.outbox.put_row(conn, group, row.t_ms, values)
        return taken

    def _register(self, conn: Connection, taken: _Taken, new_labels: Sequence[Labels]) -> None:
        group, index = taken.group, self._catalog.index
        next_id = len(index)
        own = set(group.series.view().tolist()) if group.n_columns else set()
        given: dict[Labels, int] = {}
        for labels in new_labels:
            series_id = index.find(labels)
            if series_id is None and labels not in given:
                series_id = given[labels] = next_id
                taken.new_series.append((next_id, labels))
                next_id += 1
            if series_id is None or series_id in own:
                raise ValueError(f"series {labels} is in group {group.key!r} twice")
            own.add(series_id)
            taken.column_series.append(series_id)
        tables.insert_series(conn, taken.new_series)
        tables.insert_columns(conn, group.id, group.n_columns, taken.column_series)
        tables.bump_catalog(conn)

    def _taken(self, taken: _Taken) -> None:
        with self._lock:
            self._unnoted_lost -= taken.noted_lost
            self._remember(taken.group, taken.new_series, taken.column_series)
            if taken.dropped:
                self.counters.too_old += 1
                return
            group, t_ms = taken.group, taken.t_ms
            self.counters.rows += 1
            self.counters.samples += len(taken.values)
            self.counters.duplicates += taken.duplicates
            self.counters.out_of_order += t_ms < group.newest_ms
            group.saw_row(t_ms, taken.values)
            group.ring.put(t_ms, taken.values)
            group.added_rows(1, t_ms, t_ms)

    def _remember(self, group: Group, new_series: list[tuple[int, Labels]], column_series: list[int]) -> None:
        for series_id, labels in new_series:
            self._catalog.add_series(series_id, labels)
        for series_id in column_series:
            self._catalog.add_column(group, series_id)
        if column_series:
            self._catalog.size_ring(group)

    def _keep_in_memory(self, key: str, t_ms: int, values: Values) -> None:
        """Show a row that the disk has no room for in live views; it is counted as lost."""
        with self._lock:
            self._count_lost(int((values.view(np.uint64) != NO_SAMPLE_BITS).sum()))
            group = self._catalog.current.get(key)
            if group is None:
                return
            known = values[: group.n_columns]
            group.saw_row(t_ms, known)
            group.ring.put(t_ms, known)

    def _count_lost(self, n_samples: int) -> None:
        self.counters.lost += n_samples
        self._unnoted_lost += n_samples

    def _note_lost(self, conn: Connection) -> int:
        """Write into the file, as soon as it takes anything, how many samples are missing from it."""
        n_samples = self._unnoted_lost
        if n_samples:
            tables.put_meta(conn, "lost", tables.get_meta(conn, "lost") + n_samples)
        return n_samples

    def _write_samples(self, key: str, samples: list[Sample]) -> None:
        def work(conn: Connection) -> tuple[_Taken, tables.PushedBatch]:
            group, index = self._catalog.current[key], self._catalog.index
            column_of = {int(s): c for c, s in enumerate(group.series.view())} if group.n_columns else {}
            taken = _Taken(group, 0, np.empty(0))
            columns = np.empty(len(samples), np.int32)
            new_columns: dict[Labels, int] = {}
            for i, sample in enumerate(samples):
                series_id = index.find(sample.labels)
                column = column_of.get(series_id) if series_id is not None else None
                if column is None:
                    column = new_columns.setdefault(sample.labels, group.n_columns + len(new_columns))
                columns[i] = column
            if new_columns:
                self._register(conn, taken, list(new_columns))
            batch = _sorted_batch(columns, samples)
            tables.insert_pushed(conn, group.id, batch)
            if self.outbox is not None:
                self.outbox.put_pushed(conn, group, batch)
            return taken, batch

        def then(result: tuple[_Taken, tables.PushedBatch]) -> None:
            taken, batch = result
            group = taken.group
            with self._lock:
                self._remember(group, taken.new_series, taken.column_series)
                group.saw_samples(batch.columns.astype(np.int64), batch.t_ms)
                group.added_rows(len(batch.t_ms), int(batch.t_ms.min()), int(batch.t_ms.max()))
                self.counters.samples += len(batch.t_ms)

        self._writer.run(work, then)


def _sorted_batch(columns: NDArray[np.int32], samples: list[Sample]) -> tables.PushedBatch:
    t_ms = np.array([sample.t_ms for sample in samples], np.int64)
    values = np.array([sample.value for sample in samples], np.float64)
    order = np.lexsort((t_ms, columns))
    return tables.PushedBatch(0, columns[order], t_ms[order], values[order])


def _n_different(older: Values, newer: Values) -> int:
    """Count the cells that two rows both have, with different bits."""
    n = min(len(older), len(newer))
    a, b = older[:n].view(np.uint64), newer[:n].view(np.uint64)
    return int(((a != b) & (a != NO_SAMPLE_BITS) & (b != NO_SAMPLE_BITS)).sum())
