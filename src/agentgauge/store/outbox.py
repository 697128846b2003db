"""What is still to be sent to other servers: a queue inside the file, with a place in it for each destination.

Theory of operation: while there is a destination, every row and every pushed batch is also put into the ``outbox``
table, in the transaction that stores it: what was acknowledged will be sent, whatever kills the process in between,
and in the order in which it was stored. A destination's place is the number of the last entry that it took; entries
that all have taken are deleted. When the queue outgrows its limit the oldest entries go, and what was in them is
counted for each destination that had not taken it: so a destination that is away for long costs a bounded part of the
disk. History that is imported does not pass here.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agentgauge.model.labels import Labels
from agentgauge.model.sample import NO_SAMPLE_BITS
from agentgauge.model.series import Values
from agentgauge.store.catalog import Catalog, Group
from agentgauge.store.sql import Connection, Readers, Writer
from agentgauge.store.tables import PushedBatch, get_note, put_note

ENTRIES_PER_READ = 64
SAMPLES_PER_READ = 50_000
_SCHEMA = (
    "CREATE TABLE IF NOT EXISTS outbox(seq INTEGER PRIMARY KEY AUTOINCREMENT, grp INTEGER NOT NULL,"
    " t_ms INTEGER, n INTEGER NOT NULL, upto INTEGER NOT NULL, body BLOB NOT NULL)"
)
_NOTE = "sent:"


@dataclass(frozen=True, slots=True)
class Entry:
    """What was stored at once.

    Shapes: columns, t_ms int64, values float64, all (N,), stale markers as stored; ``labels`` N, () for a series that
    was forgotten since.
    """

    seq: int
    labels: Sequence[Labels]
    t_ms: NDArray[np.int64]
    values: Values


class Outbox:
    """The queue of one store.

    Thread-safety: any thread; the ``put`` methods run on the writer thread, inside its transaction.
    """

    def __init__(
        self, writer: Writer, readers: Readers, catalog: Catalog, lock: threading.RLock, limit_bytes: int
    ) -> None:
        """Use ``Store.open_outbox``."""
        self._writer = writer
        self._readers = readers
        self._catalog = catalog
        self._lock = lock
        self._limit_bytes = limit_bytes
        self._places: dict[str, int] = {}
        self._upto = 0
        """How many bytes were ever queued: each entry notes it, so that the queue's size needs no scan."""
        writer.run(lambda conn: conn.execute(_SCHEMA).rowcount)

    def join(self, destinations: Sequence[str]) -> None:
        """Give each destination its place, a new one the end of the queue; who is not named any more loses it."""

        def work(conn: Connection) -> dict[str, int]:
            (end,) = conn.execute("SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name='outbox'").fetchone()
            (upto,) = conn.execute(
                "SELECT coalesce(max(upto), 0) FROM (SELECT upto FROM outbox ORDER BY seq DESC LIMIT 1)"
            ).fetchone()
            self._upto = int(upto)
            places: dict[str, int] = {}
            for destination in destinations:
                found = get_note(conn, _NOTE + destination)
                places[destination] = int(end if found is None else found)
                put_note(conn, _NOTE + destination, str(places[destination]))
            for (key,) in conn.execute("SELECT k FROM meta WHERE k LIKE ?", (f"note:{_NOTE}%",)).fetchall():
                if key.removeprefix(f"note:{_NOTE}") not in places:
                    conn.execute("DELETE FROM meta WHERE k=?", (key,))
            conn.execute("DELETE FROM outbox WHERE seq<=?", (min(places.values(), default=end),))
            return places

        self._places = self._writer.run(work)

    def put_row(self, conn: Connection, group: Group, t_ms: int, values: Values) -> None:
        """Queue a row of a scrape group."""
        self._put(conn, group, t_ms, len(values), values.tobytes())

    def put_pushed(self, conn: Connection, group: Group, batch: PushedBatch) -> None:
        """Queue a pushed batch."""
        body = batch.columns.astype("<i4").tobytes() + batch.t_ms.astype("<i8").tobytes() + batch.values.tobytes()
        self._put(conn, group, None, len(batch.t_ms), body)

    def read(self, destination: str) -> list[Entry]:
        """Return the next entries that a destination has not taken, oldest first; none when it has all."""
        with self._readers.snapshot() as conn:
            found = conn.execute(
                "SELECT seq, grp, t_ms, n, body FROM outbox WHERE seq>? ORDER BY seq LIMIT ?",
                (self._places[destination], ENTRIES_PER_READ),
            )
            rows, n_samples = [], 0
            for row in found:
                rows.append(row)
                n_samples += row[3]
                if n_samples >= SAMPLES_PER_READ:
                    break
        with self._lock:
            return [self._entry(*row) for row in rows]

    def took(self, destination: str, seq: int) -> None:
        """Note that a destination has an entry and all before it; what nobody waits for goes."""

        def work(conn: Connection) -> None:
            put_note(conn, _NOTE + destination, str(seq))
            others = [place for name, place in self._places.items() if name != destination]
            conn.execute("DELETE FROM outbox WHERE seq<=?", (min([seq, *others]),))

        def then(_: None) -> None:
            self._places[destination] = seq

        self._writer.run(work, then)

    def oldest_ms(self, destination: str) -> int | None:
        """Return the time of the oldest sample that a destination has not taken; None when it has all."""
        with self._readers.snapshot() as conn:
            row = conn.execute(
                "SELECT seq, grp, t_ms, n, body FROM outbox WHERE seq>? ORDER BY seq LIMIT 1",
                (self._places[destination],),
            ).fetchone()
        if row is None:
            return None
        with self._lock:
            times = self._entry(*row).t_ms
        return int(times.min()) if len(times) else None

    def trim(self) -> dict[str, int]:
        """Cut the queue down to its limit; return how many samples each destination will not get."""

        def work(conn: Connection) -> dict[str, int]:
            lost = dict.fromkeys(self._places, 0)
            last_seq = 0
            for seq, n, upto in conn.execute("SELECT seq, n, upto FROM outbox ORDER BY seq"):
                if upto > self._upto - self._limit_bytes:
                    break
                last_seq = seq
                for destination, place in self._places.items():
                    lost[destination] += n if place < seq else 0
            conn.execute("DELETE FROM outbox WHERE seq<=?", (last_seq,))
            return lost

        return {destination: n for destination, n in self._writer.run(work).items() if n}

    def _put(self, conn: Connection, group: Group, t_ms: int | None, n: int, body: bytes) -> None:
        if self._places:
            self._upto += len(body)
            conn.execute(
                "INSERT INTO outbox(grp, t_ms, n, upto, body) VALUES (?,?,?,?,?)", (group.id, t_ms, n, self._upto, body)
            )

    def _entry(self, seq: int, group_id: int, t_ms: int | None, n: int, body: bytes) -> Entry:
        if t_ms is None:
            columns = np.frombuffer(body, "<i4", n).astype(np.int64)
            times, values = np.frombuffer(body, "<i8", n, 4 * n), np.frombuffer(body, "<f8", n, 12 * n)
        else:
            row = np.frombuffer(body, "<f8")
            columns = np.flatnonzero(row.view(np.uint64) != NO_SAMPLE_BITS)
            times, values = np.full(len(columns), t_ms, np.int64), row[columns]
        group = self._catalog.groups.get(group_id)
        if group is None:
            return Entry(seq, [()] * len(columns), times, values)
        index = self._catalog.index
        labels = [index.labels(series_id) for series_id in group.series.view()[columns].tolist()]
        return Entry(seq, labels, times, values)
