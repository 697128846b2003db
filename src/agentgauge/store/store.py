"""Store: samples to one file, read back exactly, across restarts.

One SQLite file holds everything (write-ahead log on); chunks of it are compressed columns. See ``store/sql.py`` for
threads and transactions, ``store/sealing.py`` for how rows become chunks, ``store/reading.py`` for how they are read.
Not here: PromQL (``database.py`` joins store and engine), scraping, HTTP.
"""

from __future__ import annotations

import contextlib
import re
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from agentgauge.errors import StoreCorrupt, StoreError, StoreFull
from agentgauge.model.clock import Clock, SystemClock
from agentgauge.model.labels import Labels, Matcher, label_value
from agentgauge.model.sample import Exemplar, MetricInfo, Sample
from agentgauge.model.series import SeriesBlock
from agentgauge.store import sql, tables
from agentgauge.store.cache import ChunkCache
from agentgauge.store.catalog import FOREVER_MS, NEVER_MS, Catalog
from agentgauge.store.chunk import DEFAULT_CODEC, QUARANTINED
from agentgauge.store.history import History
from agentgauge.store.index import CompileRegex, SeriesIds
from agentgauge.store.loading import load_catalog
from agentgauge.store.lock import FileLock, prepare_folder
from agentgauge.store.outbox import Outbox
from agentgauge.store.pen import GroupWriter, Pen
from agentgauge.store.reading import Reading
from agentgauge.store.recovery import open_and_load, set_aside
from agentgauge.store.reserve import Reserve
from agentgauge.store.retention import Retention
from agentgauge.store.sealing import Sealing
from agentgauge.store.unread import Unread
from agentgauge.store.upkeep import Upkeep
from agentgauge.store.writing import PUSH_KEY, AppendReport, Counters, Writing

DAY_MS = 24 * 3_600_000
DEFAULT_RETENTION_MS = 15 * DAY_MS
OUT_OF_ORDER_MS = 2 * 3_600_000
CACHE_BYTES = 64 << 20
RING_BYTES = 2 << 20

MatcherSets = Sequence[Sequence[Matcher]]


class Store:
    """One database file. Thread-safe; one process writes, others may read.

    Example:
        >>> store = Store.in_memory()
        >>> store.append([Sample((("__name__", "up"),), store.clock.now_ms(), 1.0)]).appended
        1
        >>> store.close()
    """

    def __init__(
        self,
        path: Path | None,
        *,
        read_only: bool,
        retention_ms: int,
        retention_bytes: int,
        fsync: sql.Fsync,
        clock: Clock,
        compile_regex: CompileRegex,
        background: bool,
        codec: str,
        cache_bytes: int,
        out_of_order_ms: int,
    ) -> None:
        """Use ``open`` or ``in_memory``."""
        self.path = path
        self.read_only = read_only
        self.clock = clock
        self._codec = codec
        self._compile_regex = compile_regex
        self._lock = threading.RLock()
        self._closed = False
        self._unread = Unread()
        self._metadata: dict[str, MetricInfo] = {}
        self._file_lock: FileLock | None = None
        self._catalog = Catalog(compile_regex, RING_BYTES)
        self._catalog_version = -1
        self._cache = ChunkCache(cache_bytes)
        self._pen: Pen | None = None
        self._swapping = threading.Lock()
        self._destinations: tuple[tuple[str, ...], int] = ((), 0)
        self.replaced = ""
        """What was wrong with the file that stood here before, when a fresh one took its place."""
        if read_only:
            assert path is not None, "BUG: a read-only store needs a file"
            self._readers = sql.Readers(path)
            self._reading = Reading(self._readers, self._cache, self._on_bad_chunk)
            self._reload()
            return
        self._settings = _Settings(retention_ms, retention_bytes, fsync, out_of_order_ms, background)
        if path is not None:
            prepare_folder(path.parent)
            self._file_lock = FileLock(path, clock.now_ms())
        try:
            self._start_writing()
        except BaseException:
            if self._file_lock is not None:
                self._file_lock.release()
            raise

    def _start_writing(self) -> None:
        """Open the file and wire what writes to it."""
        settings, path = self._settings, self.path
        reserve = None if path is None else Reserve(path)
        try:
            writer, readers, newest_seq = self._open_and_load()
        except StoreFull:
            if reserve is None or not reserve.give_up():
                raise
            writer, readers, newest_seq = self._open_and_load()
        self._readers, catalog = readers, self._catalog
        self._reading = Reading(readers, self._cache, self._on_bad_chunk)
        writing = Writing(
            writer, catalog, self._lock, settings.out_of_order_ms, self._make_room, newest_seq, self.clock
        )
        retention = Retention(readers, writer, catalog, self._lock, settings.retention_ms, settings.retention_bytes)
        sealing = Sealing(readers, writer, self._reading, self._codec)
        upkeep = Upkeep(
            self.clock, writer, catalog, self._lock, sealing, retention, reserve,
            on_damage=lambda reason: self._start_afresh(pen, reason),
        )  # fmt: skip
        self._pen = pen = Pen(writer, writing, upkeep, catalog)
        self._join_destinations()
        if reserve is not None:
            reserve.hold()
        if settings.background:
            upkeep.start()

    @classmethod
    def open(
        cls,
        path: str | Path,
        *,
        read_only: bool = False,
        retention_ms: int = DEFAULT_RETENTION_MS,
        retention_bytes: int = 0,
        fsync: sql.Fsync = "normal",
        clock: Clock | None = None,
        compile_regex: CompileRegex = re.compile,
        background: bool = True,
        codec: str = DEFAULT_CODEC,
        cache_bytes: int = CACHE_BYTES,
        out_of_order_ms: int = OUT_OF_ORDER_MS,
    ) -> Store:
        """Open a file, made when it is not there; limits of 0 are none.

        ``fsync`` ``"always"`` loses nothing acknowledged when the power goes; ``"normal"`` loses about 10 s then, and
        nothing when only the process dies. ``background`` False leaves upkeep to ``store.upkeep.step``.

        Raises:
            StoreLocked: another process writes to it.
            StoreCorrupt: it is damaged, and was to be read only; a writer gets a fresh file beside it (``replaced``).
            StoreError: it cannot be opened, is of a newer version, or on a network file system.
        """
        return cls(
            Path(path),
            read_only=read_only,
            retention_ms=retention_ms,
            retention_bytes=retention_bytes,
            fsync=fsync,
            clock=clock or SystemClock(),
            compile_regex=compile_regex,
            background=background,
            codec=codec,
            cache_bytes=cache_bytes,
            out_of_order_ms=out_of_order_ms,
        )

    @classmethod
    def in_memory(
        cls,
        *,
        clock: Clock | None = None,
        compile_regex: CompileRegex = re.compile,
        background: bool = False,
        codec: str = DEFAULT_CODEC,
        out_of_order_ms: int = OUT_OF_ORDER_MS,
    ) -> Store:
        """Make a store that is gone when it is closed."""
        return cls(
            None,
            read_only=False,
            retention_ms=DEFAULT_RETENTION_MS,
            retention_bytes=0,
            fsync="normal",
            clock=clock or SystemClock(),
            compile_regex=compile_regex,
            background=background,
            codec=codec,
            cache_bytes=CACHE_BYTES,
            out_of_order_ms=out_of_order_ms,
        )

    @property
    def counters(self) -> Counters:
        """What happened to what was appended."""
        return self._pen.writing.counters if self._pen is not None else Counters()

    @property
    def upkeep(self) -> Upkeep:
        """What seals, merges and forgets."""
        return self._writable().upkeep

    @property
    def problems(self) -> list[str]:
        """What is wrong with the file now, each in a sentence: damage, a full disk, one that soon will be."""
        found = [self.replaced]
        if self._pen is not None:
            found += [self._pen.writing.problem, self._pen.upkeep.problem, self._pen.upkeep.low_space]
        return [text for text in dict.fromkeys(found) if text]

    @property
    def n_series(self) -> int:
        """How many series the file knows."""
        return self._catalog.index.n_series

    def group(self, key: str) -> GroupWriter:
        """Return the writer of a scrape group, which is made when it is new."""
        self._writable().writing.group(key)
        return GroupWriter(self._writable, self._start_afresh, key)

    def append(self, samples: Iterable[Sample], *, key: str = PUSH_KEY, any_age: bool = False) -> AppendReport:
        """Write samples with times of their own; what the report counts as appended is in the file.

        Samples older than the out-of-order window or more than 10 min ahead of the clock are refused and counted,
        unless ``any_age`` (an import) allows them.
        """
        pen = self._writable()
        try:
            return pen.writing.append_samples(samples, self.clock.now_ms(), key=key, any_age=any_age)
        except StoreCorrupt as error:
            self._start_afresh(pen, str(error))
            raise

    def history(self) -> History:
        """Return the way in for samples of any age, written as chunks at once; for a store without background work."""
        pen = self._writable()
        return History(pen.writing, pen.writer, self._readers, self._catalog, self._lock, self._codec)

    def note(self, key: str) -> str | None:
        """Read a text that a part of the program keeps in the file; None when there is none."""
        with self._readers.snapshot() as conn:
            return tables.get_note(conn, key)

    def put_note(self, key: str, text: str | None) -> None:
        """Keep a text in the file; None deletes it."""
        self._writable().writer.run(lambda conn: tables.put_note(conn, key, text))

    def add_exemplars(self, exemplars: Sequence[Exemplar]) -> None:
        """Keep exemplars; those of series that are not known are left out."""

        def work(conn: sql.Connection) -> None:
            found = [(self._catalog.index.find(exemplar.series), exemplar) for exemplar in exemplars]
            tables.insert_exemplars(conn, [(i, exemplar) for i, exemplar in found if i is not None])

        self._writable().writer.run(work)

    def send_to(self, destinations: Sequence[str], limit_bytes: int) -> None:
        """Keep a queue of all that is stored from now on, for other servers, by their names; at most so large."""
        self._destinations = (tuple(destinations), limit_bytes)
        self._join_destinations()

    @property
    def outbox(self) -> Outbox:
        """The queue that ``send_to`` made; another one after the file was replaced."""
        outbox = self._writable().writing.outbox
        assert outbox is not None, "BUG: no destinations were given"
        return outbox

    def set_metadata(self, infos: Mapping[str, MetricInfo]) -> None:
        """Note type, help and unit of metric families."""
        pen = self._writable()
        changed = {metric: info for metric, info in infos.items() if self._metadata.get(metric) != info}
        if changed:
            try:
                pen.writer.run(lambda conn: tables.put_metadata(conn, changed))
            except StoreCorrupt as error:
                self._start_afresh(pen, str(error))
                raise
            with self._lock:
                self._metadata = {**self._metadata, **changed}

    def select(self, matchers: Sequence[Matcher], start_ms: int, end_ms: int) -> Iterator[SeriesBlock]:
        """Yield the samples of all matching series in [start_ms, end_ms], about 256 series at a time."""
        self._refresh()
        with self._lock:
            plan = self._catalog.plan(matchers, start_ms, end_ms)
        return self._reading.blocks(plan, start_ms, end_ms)

    def time_range(self) -> tuple[int, int] | None:
        """Return the first and last times of any sample in the file; None when it holds none."""
        with self._readers.snapshot() as conn:
            return tables.time_range(conn)

    def series(
        self, matcher_sets: MatcherSets, start_ms: int = NEVER_MS, end_ms: int = FOREVER_MS, limit: int = 0
    ) -> list[Labels]:
        """Return the sorted label sets that match any of the sets and may have samples in the range."""
        with self._lock:
            found = sorted(self._catalog.index.labels(int(i)) for i in self._match_any(matcher_sets, start_ms, end_ms))
        return found[:limit] if limit else found

    def label_names(
        self, matcher_sets: MatcherSets = (), start_ms: int = NEVER_MS, end_ms: int = FOREVER_MS, limit: int = 0
    ) -> list[str]:
        """Return the sorted names of labels in use; without matchers those of all series."""
        names = {name for labels in self.series(matcher_sets or ((),), start_ms, end_ms) for name, _ in labels}
        return sorted(names)[: limit or None]

    def label_values(
        self,
        name: str,
        matcher_sets: MatcherSets = (),
        start_ms: int = NEVER_MS,
        end_ms: int = FOREVER_MS,
        limit: int = 0,
    ) -> list[str]:
        """Return the sorted values of a label; without matchers those of all series."""
        found = self.series(matcher_sets or ((),), start_ms, end_ms)
        return sorted({label_value(labels, name) for labels in found} - {""})[: limit or None]

    def metadata(self) -> Mapping[str, Sequence[MetricInfo]]:
        """Return what is known of each metric family."""
        if self.read_only:
            with self._readers.snapshot() as conn:
                return {metric: (info,) for metric, info in tables.metadata(conn).items()}
        return {metric: (info,) for metric, info in self._metadata.items()}

    def exemplars(self, matchers: Sequence[Matcher], start_ms: int, end_ms: int) -> list[Exemplar]:
        """Return the exemplars of the matching series in the range, by series, then time."""
        self._refresh()
        with self._lock:
            ids = [int(i) for i in self._catalog.index.match(matchers)]
        found: list[Exemplar] = []
        with self._readers.snapshot() as conn:
            for i in ids:
                labels = self._catalog.index.labels(i)
                found += [Exemplar(labels, own, t, v) for t, own, v in tables.exemplars(conn, i, start_ms, end_ms)]
        return found

    def snapshot(self) -> AbstractContextManager[sql.Connection]:
        """Lend a read connection inside a transaction, to look the file over. Keep it short."""
        return self._readers.snapshot()

    def compact(self) -> None:
        """Seal and merge all that can be, and write the file anew without free pages: needs its size again.

        Raises:
            StoreError: the store is open for reading only, or there is no room.
        """
        pen = self._writable()
        with pen.upkeep.lock:
            pen.upkeep.seal_all()
            pen.upkeep.merge(self.clock.now_ms())
            pen.writer.run(sql.vacuum, in_transaction=False)

    def backup(self, target: Path, *, compact: bool = False) -> None:
        """Write a consistent copy while others write; ``compact`` leaves free pages out.

        Raises:
            StoreError: the target exists, or cannot be written.
        """
        if target.exists():
            raise StoreError(f"{target} exists: name a new file")
        copy = sql.vacuum_into if compact else sql.copy_online
        copy(self._readers.connection(), target)

    def value_counts(self, name: str) -> dict[str, int]:
        """Return how many series have each value of a label."""
        self._refresh()
        with self._lock:
            return self._catalog.index.counts(name)

    def take_warnings(self) -> list[str]:
        """Return and forget what this thread's selects could not read."""
        return self._unread.take()

    def close(self) -> None:
        """Finish what runs, write the clean mark, let go of the file. Idempotent."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
        # Only look: upkeep may be about to ask for a fresh file, and is waited for below.
        with self._swapping:
            pen = self._pen
        if pen is not None:
            pen.put_down()
        self._readers.close()
        if self._file_lock is not None:
            self._file_lock.release()

    def _open_and_load(self) -> tuple[sql.Writer, sql.Readers, int]:
        """Open the file and read the catalog; a file that is damaged there makes place for a fresh one."""
        try:
            opened = open_and_load(self.path, self._settings.fsync, self._catalog)
        except StoreCorrupt as error:
            if self.path is None:
                raise
            self._set_aside(str(error))
            opened = open_and_load(self.path, self._settings.fsync, self._catalog)
        writer, readers, newest_seq, self._metadata = opened
        return writer, readers, newest_seq

    def _set_aside(self, reason: str) -> None:
        """Make place for a fresh file; no group of it has an epoch that one of the old file had."""
        assert self.path is not None, "BUG: a store in memory is no file"
        self.replaced = set_aside(self.path, self.clock.now_ms(), reason)
        fresh = Catalog(self._compile_regex, RING_BYTES)
        fresh.next_group_id = self._catalog.next_group_id
        self._catalog = fresh
        # The numbers of chunks begin anew, so nothing decoded from the old file may stay.
        self._cache = ChunkCache(self._cache.max_bytes)
        self._metadata = {}

    def _start_afresh(self, pen: Pen, reason: str) -> None:
        """Put a fresh file in the place of one that turned out to be damaged while it was written to.

        All connections are closed first: SQLite finds a file's log by its name, and must not take the new one for
        the old one's. Whoever reads right now gets an error, once.
        """
        with self._swapping:
            if self._closed or self.path is None or self._pen is not pen:
                return
            pen.upkeep.stop(wait=False)
            pen.writer.close()
            self._readers.close()
            with self._lock:
                self._set_aside(reason)
            self._start_writing()

    def _join_destinations(self) -> None:
        destinations, limit_bytes = self._destinations
        if destinations and self._pen is not None:
            pen = self._pen
            outbox = Outbox(pen.writer, self._readers, self._catalog, self._lock, limit_bytes)
            outbox.join(destinations)
            pen.writing.outbox = outbox

    def _writable(self) -> Pen:
        if self._pen is None:
            raise StoreError(f"{self.path} is open for reading only")
        return self._pen

    def _match_any(self, matcher_sets: MatcherSets, start_ms: int, end_ms: int) -> SeriesIds:
        self._refresh()
        sets = [self._catalog.index.match(matchers) for matchers in matcher_sets]
        ids = np.unique(np.concatenate(sets)) if sets else np.empty(0, np.int64)
        return self._catalog.live(ids, start_ms, end_ms)

    def _refresh(self) -> None:
        if self._closed:
            raise StoreError("the store is closed")
        if self.read_only:
            self._reload()

    def _reload(self) -> None:
        """Read the catalog again when the writing process has changed it."""
        with self._readers.snapshot() as conn:
            version = tables.get_meta(conn, "catalog")
            if version == self._catalog_version:
                return
            catalog = Catalog(self._compile_regex, RING_BYTES)
            load_catalog(conn, catalog, with_rows=False)
        with self._lock:
            self._catalog, self._catalog_version = catalog, version

    def _make_room(self) -> bool:
        """Free a few of the oldest chunks of a full disk; return whether it is worth trying again."""
        return self.upkeep.make_room()

    def _on_bad_chunk(self, row: tables.ChunkRow, reason: str) -> None:
        self._unread.note(self._catalog, row, reason)
        if self._pen is not None and not row.flags & QUARANTINED:
            # The answer does not hang on it: on a full or damaged disk the chunk fails its checksum again next time.
            with contextlib.suppress(StoreError):
                self._pen.writer.run(lambda conn: tables.flag_chunk(conn, row.id, QUARANTINED))


@dataclass(frozen=True, slots=True)
class _Settings:
    """What a store that may write was opened with."""

    retention_ms: int
    retention_bytes: int
    fsync: sql.Fsync
    out_of_order_ms: int
    background: bool
