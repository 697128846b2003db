"""Full disks, damaged files, other versions: what is wrong is said, what can be read is read."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from agentgauge.errors import StoreError, StoreFull
from agentgauge.model.labels import Labels, labels_from_mapping
from agentgauge.model.series import Row
from agentgauge.store.lock import refuse_network
from agentgauge.store.store import Store

from .conftest import Contents, HandClock

OpenStore = Callable[..., Store]
Everything = Callable[..., Contents]
HOUR = 3_600_000


def label(i: int) -> Labels:
    return labels_from_mapping({"__name__": "m", "i": str(i)})


def fill(store: Store, clock: HandClock, n_rows: int, n_series: int = 20, step_ms: int = 60_000) -> list[int]:
    """Append noise; return the times that were acknowledged."""
    group = store.group("g")
    rng = np.random.default_rng(1)
    acknowledged = []
    for _ in range(n_rows):
        have = len(group.columns)
        group.append(Row(clock.ms, rng.random(n_series), [label(i) for i in range(have, n_series)]))
        acknowledged.append(clock.ms)
        clock.ms += step_ms
    return acknowledged


def limit_pages(store: Store, extra: int) -> None:
    """Make the file as large as it may get: SQLite then answers as on a full disk."""

    def work(conn: sqlite3.Connection) -> None:
        (pages,) = conn.execute("PRAGMA page_count").fetchone()
        conn.execute(f"PRAGMA max_page_count={pages + extra}")

    assert store._pen is not None
    store._pen.writer.run(work, in_transaction=False)


def test_a_full_disk_costs_the_oldest_chunks(open_store: OpenStore, everything: Everything, clock: HandClock) -> None:
    """Rows go on being taken: the oldest sealed chunks make room, acknowledged young rows stay."""
    store = open_store()
    acknowledged = fill(store, clock, 600, n_series=300)
    store.upkeep.seal_all()
    store.upkeep.merge(clock.ms)
    limit_pages(store, 4)
    acknowledged += fill(store, clock, 800, n_series=300)
    found = [t for t, _ in everything(store)[label(0)]]
    assert found[-200:] == acknowledged[-200:]
    assert len(found) < len(acknowledged)


def test_a_disk_that_stays_full_is_said(open_store: OpenStore, everything: Everything, clock: HandClock) -> None:
    """With nothing left to delete append raises StoreFull; what was acknowledged stays, live views see the row."""
    store = open_store()
    acknowledged = fill(store, clock, 5, n_series=300)
    limit_pages(store, 0)
    with pytest.raises(StoreFull):
        fill(store, clock, 200, n_series=300)
    assert store.counters.lost == 300
    assert "full" in store.problems[0]
    assert everything(store, start_ms=clock.ms)[label(0)][0][0] == clock.ms
    lost_ms = clock.ms
    store.close()
    found = [t for t, _ in everything(open_store())[label(0)]]
    assert found[:5] == acknowledged
    assert lost_ms not in found


def test_a_full_disk_registers_nothing_half(open_store: OpenStore, clock: HandClock) -> None:
    """A row with new series that finds no room leaves neither series nor columns."""
    store = open_store()
    fill(store, clock, 1)
    limit_pages(store, 0)
    with pytest.raises(StoreFull):
        store.group("g").append(Row(clock.ms, np.zeros(5000), [label(i) for i in range(20, 5000)]))
    assert len(store.group("g").columns) == 20
    assert store.n_series == 20


def corrupt_chunk(path: Path) -> None:
    conn = sqlite3.connect(path)
    (chunk_id, vals) = conn.execute("SELECT id, vals FROM chunk ORDER BY id LIMIT 1").fetchone()
    flipped = bytearray(vals)
    flipped[len(flipped) // 2] ^= 4
    conn.execute("UPDATE chunk SET vals=? WHERE id=?", (bytes(flipped), chunk_id))
    conn.commit()
    conn.close()


def test_a_flipped_bit_costs_its_chunk_and_is_said(
    open_store: OpenStore, everything: Everything, clock: HandClock, tmp_path: Path
) -> None:
    """The chunk is quarantined, the rest answers, every query of it warns."""
    store = open_store()
    fill(store, clock, 200)
    store.upkeep.seal_all()
    before = everything(store)
    store.close()
    corrupt_chunk(tmp_path / "metrics.db")
    store = open_store()
    for _ in range(2):
        after = everything(store)
        (warning,) = store.take_warnings()
        assert "20 series" in warning
        assert "from 2023-11-14T22:00:00.000Z to " in warning
        assert 0 < len(after[label(0)]) < len(before[label(0)])
        assert set(after[label(0)]) < set(before[label(0)])
    store.upkeep.merge(clock.ms + 100 * HOUR)
    assert everything(store) == after


@pytest.mark.parametrize("damage", ["garbage", "scribble", "truncate"])
def test_a_damaged_file_is_set_aside(
    open_store: OpenStore, everything: Everything, clock: HandClock, tmp_path: Path, damage: str
) -> None:
    """Never a crash, never a wrong sample: a fresh file takes the place, the old one is kept and named."""
    store = open_store()
    fill(store, clock, 300, n_series=300)
    store.upkeep.seal_all()
    store.close()
    path = tmp_path / "metrics.db"
    body = bytearray(path.read_bytes())
    if damage == "truncate":
        body = body[: len(body) // 3]
    elif damage == "scribble":
        body[4_096:100_000] = b"\xff" * (100_000 - 4_096)
    else:
        body = bytearray(b"<html>" * 10_000)
    path.write_bytes(bytes(body))
    store = open_store()
    assert ".corrupt-" in store.replaced
    assert [p for p in tmp_path.iterdir() if p.name.endswith(f".corrupt-{clock.ms}")]
    acknowledged = fill(store, clock, 3)
    assert [t for t, _ in everything(store)[label(0)]] == acknowledged


def test_a_newer_file_is_refused(open_store: OpenStore, clock: HandClock, tmp_path: Path) -> None:
    """Both versions are named, nothing is touched, the lock is free again."""
    store = open_store()
    fill(store, clock, 1)
    store.close()
    conn = sqlite3.connect(tmp_path / "metrics.db")
    conn.execute("UPDATE meta SET v=99 WHERE k='schema'")
    conn.commit()
    conn.close()
    for _ in range(2):
        with pytest.raises(StoreError, match=r"schema 99.*up to 1"):
            open_store()


def test_another_programs_database_is_refused(open_store: OpenStore, tmp_path: Path) -> None:
    """A database that is not ours is left alone."""
    conn = sqlite3.connect(tmp_path / "metrics.db")
    conn.execute("CREATE TABLE theirs(x)")
    conn.commit()
    conn.close()
    with pytest.raises(StoreError, match="not one of agentgauge"):
        open_store()


def test_a_missing_file_cannot_be_read(open_store: OpenStore) -> None:
    """Reading makes no file."""
    with pytest.raises(StoreError):
        open_store(read_only=True)


def test_network_file_systems_are_refused(tmp_path: Path) -> None:
    """The mount that holds the directory decides."""
    mounts = tmp_path / "mounts"
    mounts.write_text(f"/dev/vda / ext4 rw 0 0\nhost:/x {tmp_path} nfs4 rw 0 0\n")
    with pytest.raises(StoreError, match="nfs4"):
        refuse_network(tmp_path / "deep", mounts)
    mounts.write_text(f"host:/x / nfs4 rw 0 0\n/dev/vdb {tmp_path} ext4 rw 0 0\n")
    refuse_network(tmp_path, mounts)
    refuse_network(tmp_path, tmp_path / "none")
