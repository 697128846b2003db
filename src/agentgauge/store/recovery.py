"""Opening a file for writing, whatever state it was left in.

A file that SQLite calls damaged is kept under another name, ``<name>.corrupt-<ms>``, and a fresh one takes its place:
monitoring goes on, nothing is deleted. ``quick_check`` runs only after an unclean end, because it reads the whole file.
"""

from __future__ import annotations

import logging
import threading
from pathlib import Path

from agentgauge.errors import StoreCorrupt
from agentgauge.model.sample import MetricInfo
from agentgauge.store import sql, tables
from agentgauge.store.catalog import Catalog
from agentgauge.store.loading import load_catalog

QUICK_CHECK_BYTES = 256 << 20
"""Larger files are not read in full at a start; ``agentgauge db check`` does that."""

log = logging.getLogger("agentgauge.store")


def set_aside(path: Path, now_ms: int, reason: str) -> str:
    """Rename a damaged database and its log; return what to tell the user."""
    kept = path.with_name(f"{path.name}.corrupt-{now_ms}")
    for suffix in ("", "-wal"):
        old = path.with_name(path.name + suffix)
        if old.exists():
            old.rename(kept.with_name(kept.name + suffix))
    path.with_name(path.name + "-shm").unlink(missing_ok=True)
    text = f"{path} is damaged ({reason}); it is kept as {kept}, a fresh file takes its place"
    log.error("%s", text)
    return text


def _refuse(problems: list[str]) -> None:
    if problems:
        raise StoreCorrupt("; ".join(problems[:3]))


def open_checked(path: Path, fsync: sql.Fsync) -> sql.Connection:
    """Open the write connection; after an unclean end, look at the file's structure first.

    Raises:
        StoreCorrupt: the file is damaged.
        StoreError: it cannot be opened, is newer than this program, or no store.
    """
    existed = path.exists() and path.stat().st_size > 0
    conn = sql.open_writer(path, fsync)
    try:
        with sql.translated():
            clean = tables.get_meta(conn, "clean_shutdown")
            if existed and not clean and path.stat().st_size <= QUICK_CHECK_BYTES:
                _refuse(sql.quick_check(conn))
            tables.put_meta(conn, "clean_shutdown", 0)
    except BaseException:
        conn.close()
        raise
    return conn


def open_and_load(
    path: Path | None, fsync: sql.Fsync, catalog: Catalog
) -> tuple[sql.Writer, sql.Readers, int, dict[str, MetricInfo]]:
    """Open a file, or memory without a path, and read what it holds into an empty catalog.

    Returns the connections, the number of the newest change and what is known of metric families.

    Raises:
        StoreCorrupt, StoreError: as ``open_checked``.
    """
    if path is None:
        conn, guard = sql.open_memory(), threading.RLock()
        writer, readers = sql.Writer(conn, guard), sql.Readers(None, conn, guard)
    else:
        writer, readers = sql.Writer(open_checked(path, fsync)), sql.Readers(path)
    try:
        with readers.snapshot() as conn:
            newest_seq = load_catalog(conn, catalog, with_rows=True)
            return writer, readers, newest_seq, tables.metadata(conn)
    except BaseException:
        readers.close()
        writer.close()
        raise
