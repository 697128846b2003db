"""The store's tables as functions: one statement each, values in, values out.

Label sets are canonical JSON; vectors are little-endian bytes. Decoding a chunk's bytes is ``store/chunk.py``'s work.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agentgauge.model.labels import Labels
from agentgauge.model.sample import Exemplar, MetricInfo
from agentgauge.model.series import Values
from agentgauge.store.catalog import Group
from agentgauge.store.chunk import EncodedChunk
from agentgauge.store.sql import Connection


def labels_json(labels: Labels) -> str:
    """Write a label set as JSON with sorted keys."""
    return json.dumps(dict(labels), separators=(",", ":"))


def labels_from_json(text: str) -> Labels:
    """Read what ``labels_json`` wrote."""
    return tuple(sorted(json.loads(text).items()))


def get_meta(conn: Connection, key: str, default: int = 0) -> int:
    """Read a number of the ``meta`` table."""
    row = conn.execute("SELECT v FROM meta WHERE k=?", (key,)).fetchone()
    return default if row is None else int(row[0])


def put_meta(conn: Connection, key: str, value: int | str) -> None:
    """Write a value of the ``meta`` table."""
    conn.execute("INSERT OR REPLACE INTO meta VALUES (?,?)", (key, value))


def get_note(conn: Connection, key: str) -> str | None:
    """Read a text that a part of the program keeps in the file."""
    row = conn.execute("SELECT v FROM meta WHERE k=?", (f"note:{key}",)).fetchone()
    return None if row is None else str(row[0])


def put_note(conn: Connection, key: str, text: str | None) -> None:
    """Write such a text; None deletes it."""
    if text is None:
        conn.execute("DELETE FROM meta WHERE k=?", (f"note:{key}",))
    else:
        put_meta(conn, f"note:{key}", text)


def time_range(conn: Connection) -> tuple[int, int] | None:
    """Return the first and last times of any sample; None when there is none."""
    first, last = conn.execute(
        "SELECT min(a), max(b) FROM (SELECT min(t_min) a, max(t_max) b FROM chunk"
        " UNION ALL SELECT min(t_ms), max(t_ms) FROM head UNION ALL SELECT min(t_min), max(t_max) FROM pushed)"
    ).fetchone()
    return None if first is None else (int(first), int(last))


def bump_catalog(conn: Connection) -> None:
    """Tell readers in other processes that groups, series or columns changed."""
    put_meta(conn, "catalog", get_meta(conn, "catalog") + 1)


def delete_group(conn: Connection, group_id: int) -> None:
    """Delete a group and its columns."""
    conn.execute("DELETE FROM col WHERE grp=?", (group_id,))
    conn.execute("DELETE FROM grp WHERE id=?", (group_id,))


def delete_series(conn: Connection, series_ids: Iterable[int]) -> None:
    """Delete series that live in no group, and their exemplars."""
    ids = [(i,) for i in series_ids]
    conn.executemany("DELETE FROM series WHERE id=?", ids)
    conn.executemany("DELETE FROM exemplar WHERE series=?", ids)


def has_unsealed(conn: Connection, group_id: int) -> bool:
    """Tell whether a group has samples that are in no chunk yet."""
    (found,) = conn.execute(
        "SELECT EXISTS(SELECT 1 FROM head WHERE grp=?1) OR EXISTS(SELECT 1 FROM pushed WHERE grp=?1)", (group_id,)
    ).fetchone()
    return bool(found)


def has_samples(conn: Connection, group_id: int) -> bool:
    """Tell whether a group has any row or chunk."""
    (found,) = conn.execute(
        "SELECT EXISTS(SELECT 1 FROM head WHERE grp=?1) OR EXISTS(SELECT 1 FROM chunk WHERE grp=?1)"
        " OR EXISTS(SELECT 1 FROM pushed WHERE grp=?1)",
        (group_id,),
    ).fetchone()
    return bool(found)


def insert_group(conn: Connection, group: Group) -> None:
    """Register a group."""
    kind = "R" if group.ragged else "D"
    conn.execute("INSERT INTO grp VALUES (?,?,?,?,NULL)", (group.id, group.key, group.epoch, kind))


def groups(conn: Connection) -> Iterator[tuple[int, str, int, bool, bytes | None]]:
    """Yield (id, key, epoch, ragged, seen) of all groups by id."""
    for group_id, key, epoch, kind, seen in conn.execute("SELECT id, key, epoch, kind, seen FROM grp ORDER BY id"):
        yield group_id, key, epoch, kind == "R", seen


def put_seen(conn: Connection, group: Group) -> None:
    """Write the first and last times of a group's columns."""
    seen = np.concatenate((group.first_ms.view(), group.last_ms.view())).astype("<i8").tobytes()
    conn.execute("UPDATE grp SET seen=? WHERE id=?", (seen, group.id))


def insert_series(conn: Connection, series: Iterable[tuple[int, Labels]]) -> None:
    """Register series."""
    conn.executemany("INSERT INTO series VALUES (?,?)", [(i, labels_json(labels)) for i, labels in series])


def insert_columns(conn: Connection, group_id: int, column: int, series_ids: Sequence[int]) -> None:
    """Give series the columns of a group from ``column`` on."""
    rows = [(group_id, column + i, series_id) for i, series_id in enumerate(series_ids)]
    conn.executemany("INSERT INTO col VALUES (?,?,?)", rows)


def put_row(conn: Connection, group_id: int, t_ms: int, seq: int, values: Values) -> None:
    """Write one row of the head."""
    conn.execute("INSERT OR REPLACE INTO head VALUES (?,?,?,?,?)", (group_id, t_ms, seq, len(values), values.tobytes()))


def head_row(conn: Connection, group_id: int, t_ms: int) -> Values | None:
    """Read one row of the head."""
    row = conn.execute("SELECT vals FROM head WHERE grp=? AND t_ms=?", (group_id, t_ms)).fetchone()
    return None if row is None else np.frombuffer(row[0], np.float64)


def head_rows(conn: Connection, group_id: int, start_ms: int, end_ms: int) -> Iterator[tuple[int, int, Values]]:
    """Yield (t_ms, seq, values) of a group's unsealed rows by time."""
    rows = conn.execute(
        "SELECT t_ms, seq, vals FROM head WHERE grp=? AND t_ms BETWEEN ? AND ? ORDER BY t_ms",
        (group_id, start_ms, end_ms),
    )
    for t_ms, seq, body in rows:
        yield t_ms, seq, np.frombuffer(body, np.float64)


def delete_rows(conn: Connection, group_id: int, start_ms: int, end_ms: int, seq: int) -> None:
    """Delete the unsealed rows in a range that are not newer writes than ``seq``."""
    conn.execute("DELETE FROM head WHERE grp=? AND t_ms BETWEEN ? AND ? AND seq<=?", (group_id, start_ms, end_ms, seq))


@dataclass(frozen=True, slots=True)
class ChunkRow:
    """A chunk without its bytes."""

    id: int
    group_id: int
    level: int
    t_min: int
    t_max: int
    column: int
    n_cols: int
    n_rows: int
    flags: int


_CHUNK_ROW = "id, grp, level, t_min, t_max, col0, ncol, nrow, flags"


def insert_chunk(
    conn: Connection, group_id: int, level: int, column: int, t_min: int, t_max: int, chunk: EncodedChunk
) -> int:
    """Write a chunk; return its id."""
    cursor = conn.execute(
        "INSERT INTO chunk(grp, level, t_min, t_max, col0, ncol, nrow, flags, codec, crc, times, vals, resets, gaps)"
        " VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
        (
            group_id, level, t_min, t_max, column, chunk.n_cols, chunk.n_rows, chunk.flags, chunk.codec, chunk.crc,
            chunk.times, chunk.values, chunk.resets, chunk.gaps,
        ),
    )  # fmt: skip
    assert cursor.lastrowid is not None, "BUG: no row id"
    return cursor.lastrowid


def chunk_rows(conn: Connection, group_id: int, column: int, start_ms: int, end_ms: int) -> list[ChunkRow]:
    """Return the chunks of one batch of columns that reach into a time range, in the order they were written."""
    rows = conn.execute(
        f"SELECT {_CHUNK_ROW} FROM chunk WHERE grp=? AND col0=? AND t_min<=? AND t_max>=? ORDER BY id",
        (group_id, column, end_ms, start_ms),
    )
    return [ChunkRow(*row) for row in rows]


def all_chunk_rows(conn: Connection, where: str = "1", params: Sequence[object] = ()) -> list[ChunkRow]:
    """Return chunks by a condition on their columns."""
    return [ChunkRow(*row) for row in conn.execute(f"SELECT {_CHUNK_ROW} FROM chunk WHERE {where} ORDER BY id", params)]


def read_chunk(conn: Connection, chunk_id: int) -> EncodedChunk | None:
    """Read a chunk's bytes."""
    row = conn.execute(
        "SELECT nrow, ncol, flags, codec, times, vals, resets, gaps, crc FROM chunk WHERE id=?", (chunk_id,)
    ).fetchone()
    return None if row is None else EncodedChunk(*row)


def delete_chunks(conn: Connection, ids: Iterable[int]) -> None:
    """Delete chunks."""
    conn.executemany("DELETE FROM chunk WHERE id=?", [(i,) for i in ids])


def flag_chunk(conn: Connection, chunk_id: int, flag: int) -> None:
    """Set a flag of a chunk."""
    conn.execute("UPDATE chunk SET flags=flags|? WHERE id=?", (flag, chunk_id))


def insert_exemplars(conn: Connection, exemplars: Iterable[tuple[int, Exemplar]]) -> None:
    """Write exemplars, each with the id of its series; one that is there already stays."""
    rows = [(series_id, e.t_ms, labels_json(e.labels), e.value) for series_id, e in exemplars]
    conn.executemany("INSERT OR IGNORE INTO exemplar VALUES (?,?,?,?)", rows)


def exemplars(conn: Connection, series_id: int, start_ms: int, end_ms: int) -> list[tuple[int, Labels, float]]:
    """Return (t_ms, labels, value) of a series' exemplars by time."""
    rows = conn.execute(
        "SELECT t_ms, labels, value FROM exemplar WHERE series=? AND t_ms BETWEEN ? AND ? ORDER BY t_ms, labels",
        (series_id, start_ms, end_ms),
    )
    return [(t_ms, labels_from_json(text), float("nan") if value is None else value) for t_ms, text, value in rows]


def put_metadata(conn: Connection, infos: Mapping[str, MetricInfo]) -> None:
    """Write what the exposition says of metric families."""
    rows = [(metric, info.type, info.help, info.unit) for metric, info in infos.items()]
    conn.executemany("INSERT OR REPLACE INTO metadata VALUES (?,?,?,?)", rows)


def metadata(conn: Connection) -> dict[str, MetricInfo]:
    """Read it."""
    rows = conn.execute("SELECT metric, type, help, unit FROM metadata")
    return {metric: MetricInfo(kind, text, unit) for metric, kind, text, unit in rows}


@dataclass(frozen=True, slots=True)
class PushedBatch:
    """Samples with times of their own, as pushed together.

    Shapes: columns int32, t_ms int64, values float64, all (N,), sorted by column, then time.
    """

    seq: int
    columns: NDArray[np.int32]
    t_ms: NDArray[np.int64]
    values: Values


def insert_pushed(conn: Connection, group_id: int, batch: PushedBatch) -> int:
    """Write pushed samples; return their sequence number."""
    body = batch.columns.astype("<i4").tobytes() + batch.t_ms.astype("<i8").tobytes() + batch.values.tobytes()
    cursor = conn.execute(
        "INSERT INTO pushed(grp, t_min, t_max, n, body) VALUES (?,?,?,?,?)",
        (group_id, int(batch.t_ms.min()), int(batch.t_ms.max()), len(batch.t_ms), body),
    )
    assert cursor.lastrowid is not None, "BUG: no row id"
    return cursor.lastrowid


def pushed(conn: Connection, group_id: int, start_ms: int, end_ms: int) -> Iterator[PushedBatch]:
    """Yield unsealed pushed batches that reach into a time range, in the order they were written."""
    rows = conn.execute(
        "SELECT seq, n, body FROM pushed WHERE grp=? AND t_min<=? AND t_max>=? ORDER BY seq",
        (group_id, end_ms, start_ms),
    )
    for seq, n, body in rows:
        columns = np.frombuffer(body, "<i4", n)
        yield PushedBatch(seq, columns, np.frombuffer(body, "<i8", n, 4 * n), np.frombuffer(body, "<f8", n, 12 * n))


def delete_pushed(conn: Connection, group_id: int, seq: int) -> None:
    """Delete pushed batches up to a sequence number."""
    conn.execute("DELETE FROM pushed WHERE grp=? AND seq<=?", (group_id, seq))
