"""Start: the catalog and the rings, rebuilt from the file."""

from __future__ import annotations

import numpy as np

from agentgauge.store import tables
from agentgauge.store.catalog import FOREVER_MS, NEVER_MS, Catalog, Group
from agentgauge.store.sql import Connection


def load_catalog(conn: Connection, catalog: Catalog, *, with_rows: bool) -> int:
    """Fill an empty catalog; return the newest sequence number. Without rows nothing is known to be in the rings."""
    seen: dict[int, bytes | None] = {}
    for group_id, key, epoch, ragged, body in tables.groups(conn):
        catalog.add_group(Group(group_id, key, epoch, ragged))
        seen[group_id] = body
    for series_id, text in conn.execute("SELECT id, labels FROM series ORDER BY id"):
        catalog.add_series(series_id, tables.labels_from_json(text))
    columns: dict[int, list[int]] = {}
    for group_id, series_id in conn.execute("SELECT grp, series FROM col ORDER BY grp, col"):
        columns.setdefault(group_id, []).append(series_id)
    for group_id, series_ids in columns.items():
        group = catalog.groups[group_id]
        for series_id in series_ids:
            catalog.add_column(group, series_id)
        _restore_seen(group, seen[group_id])
    newest_seq = 0
    for group in catalog.groups.values():
        catalog.size_ring(group)
        newest_seq = max(newest_seq, _load_rows(conn, group) if with_rows else 0)
        if not with_rows:
            group.ring.complete_from_ms = FOREVER_MS
            if catalog.current.get(group.key) is group or tables.has_unsealed(conn, group.id):
                _assume_alive(group)
    return newest_seq


def _restore_seen(group: Group, body: bytes | None) -> None:
    if body is None:
        return
    first, last = np.frombuffer(body, "<i8").reshape(2, -1)
    group.first_ms.view()[: len(first)] = first
    group.last_ms.view()[: len(last)] = last


def _assume_alive(group: Group) -> None:
    """A reader beside the writer does not know what the head holds: any column may have samples up to now."""
    group.first_ms.view()[group.first_ms.view() == FOREVER_MS] = NEVER_MS
    group.last_ms.view()[:] = FOREVER_MS


def _load_rows(conn: Connection, group: Group) -> int:
    (sealed_ms,) = conn.execute("SELECT max(t_max) FROM chunk WHERE grp=?", (group.id,)).fetchone()
    group.ring.complete_from_ms = NEVER_MS if sealed_ms is None else sealed_ms + 1
    group.newest_ms = NEVER_MS if sealed_ms is None else sealed_ms
    if group.ragged:
        return _load_pushed(conn, group)
    newest_seq = 0
    for t_ms, seq, values in tables.head_rows(conn, group.id, NEVER_MS, FOREVER_MS):
        newest_seq = max(newest_seq, seq)
        group.saw_row(t_ms, values)
        group.ring.put(t_ms, values)
        group.added_rows(1, t_ms, t_ms)
    return newest_seq


def _load_pushed(conn: Connection, group: Group) -> int:
    for batch in tables.pushed(conn, group.id, NEVER_MS, FOREVER_MS):
        group.saw_samples(batch.columns.astype(np.int64), batch.t_ms)
        group.added_rows(len(batch.t_ms), int(batch.t_ms.min()), int(batch.t_ms.max()))
    return 0
