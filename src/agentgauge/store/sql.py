"""The door to SQLite: schema, migrations, the one writer thread, a read connection per thread.

Theory of operation: one thread owns the only write connection. Work is handed to it as a function of the connection;
it runs between BEGIN and COMMIT, and the caller gets its result, or its error, when the commit has returned: that is
what *acknowledged* means. ``then`` runs on the writer thread after the commit and before the caller goes on, so that
what memory shows is always in the file. Readers open a connection per thread and keep their transactions short: a
reader that stays open stops the write-ahead log from being reset, and the file grows. A store in memory has one
connection under a lock, for both. SQLite's errors leave this module as ``StoreError``s. No ``mmap_size``: a disk
error under mmap is a signal that kills the process.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Generic, Literal, TypeVar

from agentgauge.errors import StoreCorrupt, StoreError, StoreFull, StoreReadOnly

Connection = sqlite3.Connection
Fsync = Literal["normal", "always"]
T = TypeVar("T")

SCHEMA_VERSION = 1
PAGE_BYTES = 4_096
"""Chunks are 20 to 60 kB, each ends in a half-filled page: with 16 kB pages a fifth of the file was air (measured)."""
BUSY_MS = 5_000
CACHE_KIB = 4_096
"""Per connection: rows are written once and chunks read once, decoded ones have a cache of their own."""
AUTOCHECKPOINT_PAGES = 16_000
"""Only a backstop at 64 MB of log: upkeep checkpoints every 10 s."""

_SCHEMA = """
CREATE TABLE meta(k TEXT PRIMARY KEY, v) WITHOUT ROWID;
CREATE TABLE grp(id INTEGER PRIMARY KEY, key TEXT NOT NULL, epoch INTEGER NOT NULL, kind TEXT NOT NULL, seen BLOB,
    UNIQUE(key, epoch));
CREATE TABLE series(id INTEGER PRIMARY KEY, labels TEXT NOT NULL);
CREATE TABLE col(grp INTEGER, col INTEGER, series INTEGER NOT NULL, PRIMARY KEY(grp, col)) WITHOUT ROWID;
CREATE TABLE head(grp INTEGER, t_ms INTEGER, seq INTEGER NOT NULL, n INTEGER NOT NULL, vals BLOB NOT NULL,
    PRIMARY KEY(grp, t_ms)) WITHOUT ROWID;
CREATE TABLE pushed(seq INTEGER PRIMARY KEY AUTOINCREMENT, grp INTEGER NOT NULL, t_min INTEGER NOT NULL,
    t_max INTEGER NOT NULL, n INTEGER NOT NULL, body BLOB NOT NULL);
CREATE TABLE chunk(id INTEGER PRIMARY KEY AUTOINCREMENT, grp INTEGER NOT NULL, level INTEGER NOT NULL,
    t_min INTEGER NOT NULL, t_max INTEGER NOT NULL, col0 INTEGER NOT NULL, ncol INTEGER NOT NULL,
    nrow INTEGER NOT NULL, flags INTEGER NOT NULL, codec TEXT NOT NULL, crc INTEGER NOT NULL,
    times BLOB NOT NULL, vals BLOB NOT NULL, resets BLOB NOT NULL, gaps BLOB NOT NULL);
CREATE INDEX chunk_i ON chunk(grp, col0, t_min, t_max);
CREATE INDEX chunk_age ON chunk(t_max, id);
CREATE INDEX chunk_level ON chunk(level, t_max, t_min, grp, col0);
CREATE TABLE exemplar(series INTEGER, t_ms INTEGER, labels TEXT, value REAL, PRIMARY KEY(series, t_ms, labels))
    WITHOUT ROWID;
CREATE TABLE metadata(metric TEXT PRIMARY KEY, type TEXT NOT NULL, help TEXT NOT NULL, unit TEXT NOT NULL)
    WITHOUT ROWID;
"""

MIGRATIONS: dict[int, str] = {}
"""Schema version → the statements that lead to the next one."""

_DAMAGE = (sqlite3.SQLITE_IOERR_SHORT_READ, sqlite3.SQLITE_IOERR_CORRUPTFS)
"""Words of the operating system for a file that is not as it was written: cut off, or failing its checksums."""


def store_error(error: sqlite3.Error) -> StoreError:
    """Return our exception for one of SQLite's."""
    extended = getattr(error, "sqlite_errorcode", 0)
    code = extended & 0xFF
    if code == sqlite3.SQLITE_FULL or extended == sqlite3.SQLITE_IOERR_SHMSIZE:
        return StoreFull(f"the disk is full: {error}")
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB) or extended in _DAMAGE:
        return StoreCorrupt(f"the file is damaged: {error}")
    if code == sqlite3.SQLITE_READONLY:
        return StoreReadOnly(f"the file cannot be written to: {error}")
    return StoreError(str(error))


@contextmanager
def translated() -> Iterator[None]:
    """Turn SQLite's errors into ours."""
    try:
        yield
    except sqlite3.Error as error:
        raise store_error(error) from error


@contextmanager
def transaction(conn: Connection, mode: str = "IMMEDIATE") -> Iterator[None]:
    """Run the body between BEGIN and COMMIT; roll back when either fails."""
    conn.execute(f"BEGIN {mode}")
    try:
        yield
        conn.execute("COMMIT")
    except BaseException:
        if conn.in_transaction:
            conn.execute("ROLLBACK")
        raise


def open_writer(path: Path, fsync: Fsync) -> Connection:
    """Open the write connection; make or migrate the schema.

    Raises:
        StoreError: the file has a newer schema, or cannot be opened.
        StoreCorrupt: the file is no database, or a damaged one.
    """
    with translated():
        conn = _connect(str(path))
        try:
            conn.execute(f"PRAGMA page_size={PAGE_BYTES}")
            conn.execute("PRAGMA auto_vacuum=INCREMENTAL")
            conn.execute("PRAGMA journal_mode=WAL")
            conn.execute(f"PRAGMA synchronous={'FULL' if fsync == 'always' else 'NORMAL'}")
            conn.execute(f"PRAGMA wal_autocheckpoint={AUTOCHECKPOINT_PAGES}")
            _make_or_migrate(conn, path)
        except BaseException:
            conn.close()
            raise
    return conn


def open_memory() -> Connection:
    """Open a database that lives in this process' memory."""
    conn = _connect(":memory:")
    conn.executescript(_SCHEMA)
    conn.execute("INSERT INTO meta VALUES ('schema', ?)", (SCHEMA_VERSION,))
    return conn


def open_reader(path: Path) -> Connection:
    """Open a connection that cannot write; where not even shared memory can be made, one for an unchanging file."""
    with translated():
        uri = path.absolute().as_uri()
        conn = _connect(f"{uri}?mode=ro", uri=True)
        try:
            conn.execute("SELECT count(*) FROM sqlite_master").fetchone()
        except sqlite3.OperationalError as error:
            conn.close()
            if error.sqlite_errorcode & 0xFF not in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY):
                raise
            _refuse_unread_log(path)
            conn = _connect(f"{uri}?immutable=1", uri=True)
        except BaseException:
            conn.close()
            raise
        check_version(conn, path)
        return conn


def _refuse_unread_log(path: Path) -> None:
    """Raise StoreReadOnly when rows wait in a log that cannot be read where nothing can be written."""
    log = path.with_name(path.name + "-wal")
    if log.exists() and log.stat().st_size:
        raise StoreReadOnly(
            f"{path} was not closed well and its newest rows are in {log.name}, which can be read only where the "
            "folder can be written to: make it writable once, or copy both files to where you may write"
        )


def check_version(conn: Connection, path: Path) -> int:
    """Return the schema version of a file, 0 for an empty one.

    Raises:
        StoreError: it is newer than this program, or not a store at all.
    """
    tables = {name for (name,) in conn.execute("SELECT name FROM sqlite_master WHERE type='table'")}
    if not tables:
        return 0
    if "meta" not in tables:
        raise StoreError(f"{path} is a database, but not one of agentgauge")
    (version,) = conn.execute("SELECT v FROM meta WHERE k='schema'").fetchone()
    if version > SCHEMA_VERSION:
        raise StoreError(
            f"{path} has schema {version}, this agentgauge reads up to {SCHEMA_VERSION}: update agentgauge"
        )
    return int(version)


def checkpoint(conn: Connection, mode: Literal["PASSIVE", "TRUNCATE"]) -> bool:
    """Move the log into the file; return False when a reader stood in the way. Waits for nobody."""
    conn.execute("PRAGMA busy_timeout=0")
    try:
        busy, _, _ = conn.execute(f"PRAGMA wal_checkpoint({mode})").fetchone()
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            return False
        raise
    else:
        return not busy
    finally:
        conn.execute(f"PRAGMA busy_timeout={BUSY_MS}")


def vacuum_some(conn: Connection, n_pages: int) -> None:
    """Give free pages back to the file system; only ``executescript`` frees more than one (measured)."""
    conn.executescript(f"PRAGMA incremental_vacuum({n_pages})")


def quick_check(conn: Connection) -> list[str]:
    """Return what SQLite finds wrong with the structure of the file; empty when nothing is."""
    found = [str(text) for (text,) in conn.execute("PRAGMA quick_check(20)")]
    return [] if found == ["ok"] else found


def integrity_check(conn: Connection) -> list[str]:
    """Return all that SQLite finds wrong with the file, indexes included; empty when nothing is."""
    found = [str(text) for (text,) in conn.execute("PRAGMA integrity_check(20)")]
    return [] if found == ["ok"] else found


def copy_online(conn: Connection, target: Path) -> None:
    """Write a consistent copy while others write, some pages at a time."""
    with translated():
        copy = sqlite3.connect(target, isolation_level=None)
        try:
            conn.backup(copy, pages=256)
            copy.execute("PRAGMA journal_mode=DELETE")
        finally:
            copy.close()


def vacuum(conn: Connection) -> None:
    """Write the file anew without free pages."""
    conn.execute("VACUUM")
    checkpoint(conn, "TRUNCATE")


def vacuum_into(conn: Connection, target: Path) -> None:
    """Write a compact copy."""
    with translated():
        conn.execute("VACUUM INTO ?", (str(target),))


def _connect(where: str, *, uri: bool = False) -> Connection:
    conn = sqlite3.connect(where, uri=uri, isolation_level=None, check_same_thread=False, cached_statements=256)
    conn.execute(f"PRAGMA busy_timeout={BUSY_MS}")
    conn.execute(f"PRAGMA cache_size=-{CACHE_KIB}")
    return conn


def _make_or_migrate(conn: Connection, path: Path) -> None:
    version = check_version(conn, path)
    if version == 0:
        with transaction(conn):
            for statement in _SCHEMA.split(";"):
                if statement.strip():
                    conn.execute(statement)
            conn.execute("INSERT INTO meta VALUES ('schema', ?)", (SCHEMA_VERSION,))
        return
    if version < SCHEMA_VERSION:
        copy_online(conn, path.with_name(f"{path.name}.schema-{version}"))
        with transaction(conn):
            for older in range(version, SCHEMA_VERSION):
                for statement in MIGRATIONS[older].split(";"):
                    if statement.strip():
                        conn.execute(statement)
            conn.execute("UPDATE meta SET v=? WHERE k='schema'", (SCHEMA_VERSION,))


class _Job(Generic[T]):
    """Work for the writer thread, and where its caller waits."""

    __slots__ = ("_done", "_error", "_result", "_then", "_work", "in_transaction")

    def __init__(self, work: Callable[[Connection], T], then: Callable[[T], None] | None, in_transaction: bool) -> None:
        self._work = work
        self._then = then
        self.in_transaction = in_transaction
        self._done = threading.Lock()
        self._done.acquire()
        self._result: Any = None
        self._error: BaseException | None = None

    def run(self, conn: Connection) -> None:
        try:
            if self.in_transaction:
                with transaction(conn):
                    self._result = self._work(conn)
            else:
                self._result = self._work(conn)
            if self._then is not None:
                self._then(self._result)
        except sqlite3.Error as error:
            self._error = store_error(error)
            self._error.__cause__ = error
        except BaseException as error:  # noqa: BLE001 - it is the caller's error, handed over the thread border
            self._error = error
        finally:
            self._done.release()

    def wait(self) -> T:
        self._done.acquire()
        if self._error is not None:
            raise self._error
        result: T = self._result
        return result


class Writer:
    """The thread that owns the write connection."""

    def __init__(self, conn: Connection, guard: threading.RLock | None = None) -> None:
        """Start the thread; ``guard`` is held while it works (a store in memory shares its connection)."""
        self._conn = conn
        self._guard = guard if guard is not None else threading.RLock()
        self._jobs: SimpleQueue[_Job[Any] | None] = SimpleQueue()
        self._closing = threading.Lock()
        self._closed = False
        self._thread = threading.Thread(target=self._loop, name="agentgauge-store-writer", daemon=True)
        self._thread.start()

    def run(
        self,
        work: Callable[[Connection], T],
        then: Callable[[T], None] | None = None,
        *,
        in_transaction: bool = True,
    ) -> T:
        """Run ``work`` on the writer thread and return its result once it is committed.

        Raises:
            StoreError: the store is closed, or the file did not take it; nothing of it was written then.
        """
        job = _Job(work, then, in_transaction)
        if threading.current_thread() is self._thread:
            raise AssertionError("BUG: the writer thread waits for itself")
        with self._closing:
            if self._closed:
                raise StoreError("the store is closed")
            self._jobs.put(job)
        return job.wait()

    def close(self) -> None:
        """Finish what is queued, end the thread, close the connection."""
        with self._closing:
            if self._closed:
                return
            self._closed = True
            self._jobs.put(None)
        self._thread.join()
        self._conn.close()

    def _loop(self) -> None:
        while (job := self._jobs.get()) is not None:
            with self._guard:
                job.run(self._conn)


class Readers:
    """A read connection per thread; of a store in memory, the one connection under its lock."""

    def __init__(
        self, path: Path | None, shared: Connection | None = None, guard: threading.RLock | None = None
    ) -> None:
        self._path = path
        self._shared = shared
        self._guard = guard
        self._local = threading.local()
        self._all: list[tuple[threading.Thread, Connection]] = []
        self._lock = threading.Lock()
        self._closed = False

    @contextmanager
    def snapshot(self) -> Iterator[Connection]:
        """Lend a connection inside a read transaction: all its statements see one state. Keep it short."""
        if self._shared is not None and self._guard is not None:
            with self._guard, translated():
                yield self._shared
            return
        conn = self._connection()
        with translated(), transaction(conn, "DEFERRED"):
            yield conn

    def connection(self) -> Connection:
        """Return this thread's connection, outside any transaction."""
        return self._shared if self._shared is not None else self._connection()

    def close(self) -> None:
        """Close all connections; threads that still read get a ``StoreError``."""
        with self._lock:
            self._closed = True
            for _, conn in self._all:
                conn.close()
            self._all.clear()

    def _connection(self) -> Connection:
        if self._closed:
            raise StoreError("the store is closed")
        found: Connection | None = getattr(self._local, "conn", None)
        if found is None:
            assert self._path is not None, "BUG: readers without a path"
            found = open_reader(self._path)
            self._local.conn = found
            with self._lock:
                self._drop_dead()
                self._all.append((threading.current_thread(), found))
        return found

    def _drop_dead(self) -> None:
        for thread, conn in self._all:
            if not thread.is_alive():
                conn.close()
        self._all = [(thread, conn) for thread, conn in self._all if thread.is_alive()]
