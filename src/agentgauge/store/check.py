"""Looking a store over: its structure, each chunk's checksum, the references between tables; and its sizes."""

from __future__ import annotations

from dataclasses import dataclass

from agentgauge.errors import StoreCorrupt
from agentgauge.store import sql, tables
from agentgauge.store.chunk import QUARANTINED, decode
from agentgauge.store.reserve import disk_space
from agentgauge.store.retention import file_size
from agentgauge.store.store import Store

_REFERENCES = {
    "columns of no group": "SELECT count(*) FROM col WHERE grp NOT IN (SELECT id FROM grp)",
    "columns of no series": "SELECT count(*) FROM col WHERE series NOT IN (SELECT id FROM series)",
    "series in no column": "SELECT count(*) FROM series WHERE id NOT IN (SELECT series FROM col)",
    "rows of no group": "SELECT count(*) FROM head WHERE grp NOT IN (SELECT id FROM grp)",
    "pushed samples of no group": "SELECT count(*) FROM pushed WHERE grp NOT IN (SELECT id FROM grp)",
    "chunks of no group": "SELECT count(*) FROM chunk WHERE grp NOT IN (SELECT id FROM grp)",
    "rows of another width than they say": "SELECT count(*) FROM head WHERE length(vals) != 8 * n",
}


@dataclass(frozen=True, slots=True)
class StoreInfo:
    """What a file holds; ``disk_free_bytes`` is what its file system has left, None for a store in memory.

    ``n_samples`` counts cells of chunks and rows, holes included; ``n_lost`` samples that found no room, ever.
    """

    size_bytes: int
    free_bytes: int
    disk_free_bytes: int | None
    chunk_bytes: int
    head_bytes: int
    n_series: int
    n_groups: int
    n_chunks: int
    n_quarantined: int
    n_samples: int
    n_lost: int
    oldest_ms: int | None
    newest_ms: int | None
    schema: int
    codecs: tuple[str, ...]

    @property
    def bytes_per_sample(self) -> float:
        """File size, free pages included, by sample."""
        return self.size_bytes / self.n_samples if self.n_samples else 0.0


def check_store(store: Store) -> list[str]:
    """Return what is wrong with a store, one line each; empty when nothing is. Reads the whole file."""
    with store.snapshot() as conn:
        findings = sql.integrity_check(conn)
        for what, query in _REFERENCES.items():
            (n,) = conn.execute(query).fetchone()
            if n:
                findings.append(f"{n} {what}")
        rows = tables.all_chunk_rows(conn)
    for row in rows:
        finding = _check_chunk(store, row)
        if finding:
            findings.append(finding)
    return findings


def _check_chunk(store: Store, row: tables.ChunkRow) -> str:
    with store.snapshot() as conn:
        raw = tables.read_chunk(conn, row.id)
    if raw is None:
        return ""  # merged or aged out meanwhile
    where = f"chunk {row.id} (group {row.group_id}, {row.n_cols} series, {row.t_min} to {row.t_max} ms)"
    if row.flags & QUARANTINED:
        return f"{where} is quarantined"
    try:
        chunk = decode(raw)
    except StoreCorrupt as error:
        return f"{where}: {error}"
    if int(chunk.t_ms.min()) != row.t_min or int(chunk.t_ms.max()) != row.t_max:
        return f"{where} holds other times than its row says"
    return ""


def store_info(store: Store) -> StoreInfo:
    """Measure a store."""
    with store.snapshot() as conn:
        size = file_size(conn)
        n_chunks, n_cells, body, oldest, newest, bad = conn.execute(
            "SELECT count(*), coalesce(sum(CASE WHEN flags & 16 THEN nrow ELSE nrow * ncol END), 0),"
            " coalesce(sum(length(times) + length(vals) + length(resets) + length(gaps)), 0), min(t_min), max(t_max),"
            f" coalesce(sum(flags & {QUARANTINED} != 0), 0) FROM chunk"
        ).fetchone()
        n_head, head, head_old, head_new = conn.execute(
            "SELECT coalesce(sum(n), 0), coalesce(sum(length(vals)), 0), min(t_ms), max(t_ms) FROM head"
        ).fetchone()
        n_pushed, pushed, pushed_old, pushed_new = conn.execute(
            "SELECT coalesce(sum(n), 0), coalesce(sum(length(body)), 0), min(t_min), max(t_max) FROM pushed"
        ).fetchone()
        (n_series,) = conn.execute("SELECT count(*) FROM series").fetchone()
        (n_groups,) = conn.execute("SELECT count(*) FROM grp").fetchone()
        codecs = tuple(codec for (codec,) in conn.execute("SELECT DISTINCT codec FROM chunk ORDER BY codec"))
        schema, n_lost = tables.get_meta(conn, "schema"), tables.get_meta(conn, "lost")
    olds = [t for t in (oldest, head_old, pushed_old) if t is not None]
    news = [t for t in (newest, head_new, pushed_new) if t is not None]
    return StoreInfo(
        size_bytes=size.total,
        free_bytes=size.free,
        disk_free_bytes=None if store.path is None else disk_space(store.path.parent).free,
        chunk_bytes=body,
        head_bytes=head + pushed,
        n_series=n_series,
        n_groups=n_groups,
        n_chunks=n_chunks,
        n_quarantined=bad,
        n_samples=n_cells + n_head + n_pushed,
        n_lost=n_lost,
        oldest_ms=min(olds, default=None),
        newest_ms=max(news, default=None),
        schema=schema,
        codecs=codecs,
    )
