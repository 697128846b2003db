"""What is too old, or too much, goes: chunks first, then groups and series that nothing is left of.

By age the cutoff is ``min(now, newest row) - retention`` and one run deletes at most the oldest interval, so that a bad
clock cannot erase the store. By size the oldest chunks go until the file fits, never those of the newest interval.
Deletes are small transactions, each followed by giving pages back (storage notes, sections 9 and 10).
"""

from __future__ import annotations

import contextlib
import threading
from dataclasses import dataclass

from agentgauge.errors import StoreFull
from agentgauge.store import tables
from agentgauge.store.catalog import Catalog, Group
from agentgauge.store.sealing import INTERVAL_MS
from agentgauge.store.sql import Connection, Readers, Writer, checkpoint, vacuum_some

MAX_CHUNKS_PER_TRANSACTION = 64
KEEP_FREE_PAGES = 64
VACUUM_PAGES = 256


@dataclass(frozen=True, slots=True)
class FileSize:
    """The database file, in bytes; ``free`` is inside ``total``."""

    total: int
    free: int

    @property
    def used(self) -> int:
        """Bytes that hold something."""
        return self.total - self.free


def file_size(conn: Connection) -> FileSize:
    """Measure the database."""
    (page,) = conn.execute("PRAGMA page_size").fetchone()
    (pages,) = conn.execute("PRAGMA page_count").fetchone()
    (free,) = conn.execute("PRAGMA freelist_count").fetchone()
    return FileSize(page * pages, page * free)


class Retention:
    """Deletes what the limits say. One caller at a time: upkeep holds a lock."""

    def __init__(
        self,
        readers: Readers,
        writer: Writer,
        catalog: Catalog,
        catalog_lock: threading.RLock,
        retention_ms: int,
        retention_bytes: int,
    ) -> None:
        self._catalog = catalog
        self._catalog_lock = catalog_lock
        self._readers = readers
        self._writer = writer
        self._retention_ms = retention_ms
        self._retention_bytes = retention_bytes

    def run(self, now_ms: int) -> int:
        """Delete what is over the limits; return how many chunks went."""
        n_deleted = self._by_age(now_ms) if self._retention_ms else 0
        if self._retention_bytes:
            n_deleted += self._by_size(self._retention_bytes)
        if n_deleted:
            self._writer.run(_drop_old_exemplars)
            self._forget_empty_groups()
        self.give_back()
        return n_deleted

    def give_back(self) -> None:
        """Return free pages to the file system, but for a few that the next rows will use."""
        with self._readers.snapshot() as conn:
            free = conn.execute("PRAGMA freelist_count").fetchone()[0]
            pages = conn.execute("PRAGMA page_count").fetchone()[0]
        spare = max(KEEP_FREE_PAGES, pages // 50)
        for _ in range((free - spare + VACUUM_PAGES - 1) // VACUUM_PAGES):
            self._writer.run(lambda conn: vacuum_some(conn, VACUUM_PAGES), in_transaction=False)

    def free_oldest(self, n_chunks: int) -> int:
        """Delete a few of the oldest chunks to make room on a full disk; the newest interval stays."""
        with self._readers.snapshot() as conn:
            (newest,) = conn.execute("SELECT max(t_max) FROM chunk").fetchone()
            if newest is None:
                return 0
            ids = _oldest(conn, newest // INTERVAL_MS * INTERVAL_MS, n_chunks)
        if ids:
            self._writer.run(lambda conn: tables.delete_chunks(conn, ids))
            self._writer.run(lambda conn: checkpoint(conn, "TRUNCATE"), in_transaction=False)
        return len(ids)

    def rescue(self, n_chunks: int) -> bool:
        """Free some of the oldest chunks of a full disk, one at a time; return whether anything was freed.

        The log is emptied before each deletion, which has to be written to it.
        """
        freed = False
        with contextlib.suppress(StoreFull):
            for _ in range(n_chunks):
                freed = self._writer.run(lambda conn: checkpoint(conn, "TRUNCATE"), in_transaction=False) or freed
                if not self.free_oldest(1):
                    break
                freed = True
            self.give_back()
        return freed

    def _forget_empty_groups(self) -> None:
        with self._catalog_lock:
            idle = [g for g in self._catalog.groups.values() if g.n_columns and not g.unsealed_rows]

        def work(conn: Connection) -> list[Group]:
            # On the writer thread nothing is appended between the look and the deletion.
            gone = [group for group in idle if not tables.has_samples(conn, group.id)]
            for group in gone:
                tables.delete_group(conn, group.id)
            if gone:
                tables.delete_series(conn, self._catalog.orphans(gone))
                tables.bump_catalog(conn)
            return gone

        def then(gone: list[Group]) -> None:
            with self._catalog_lock:
                self._catalog.remove_groups(gone)

        self._writer.run(work, then)

    def _by_age(self, now_ms: int) -> int:
        with self._readers.snapshot() as conn:
            oldest, newest = conn.execute("SELECT min(t_max), max(t_max) FROM chunk").fetchone()
            head = conn.execute("SELECT max(t_ms) FROM head").fetchone()[0]
        if oldest is None:
            return 0
        cutoff = min(now_ms, max(newest, head or newest)) - self._retention_ms
        return self._delete_before(min(cutoff, (oldest // INTERVAL_MS + 1) * INTERVAL_MS))

    def _by_size(self, limit_bytes: int) -> int:
        n_deleted = 0
        while True:
            with self._readers.snapshot() as conn:
                if file_size(conn).used <= limit_bytes:
                    return n_deleted
            n = self.free_oldest(MAX_CHUNKS_PER_TRANSACTION)
            if not n:
                return n_deleted
            n_deleted += n

    def _delete_before(self, cutoff_ms: int) -> int:
        n_deleted = 0
        while True:
            with self._readers.snapshot() as conn:
                ids = _oldest(conn, cutoff_ms, MAX_CHUNKS_PER_TRANSACTION)
            if not ids:
                return n_deleted
            self._writer.run(lambda conn, ids=ids: tables.delete_chunks(conn, ids))  # type: ignore[misc]
            n_deleted += len(ids)


def _oldest(conn: Connection, before_ms: int, limit: int) -> list[int]:
    rows = conn.execute("SELECT id FROM chunk WHERE t_max < ? ORDER BY t_max, id LIMIT ?", (before_ms, limit))
    return [i for (i,) in rows]


def _drop_old_exemplars(conn: Connection) -> None:
    (oldest,) = conn.execute("SELECT min(t_min) FROM chunk").fetchone()
    if oldest is not None:
        conn.execute("DELETE FROM exemplar WHERE t_ms < ?", (oldest,))
