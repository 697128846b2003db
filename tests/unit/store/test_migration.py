"""A file of an older schema is copied and migrated in one transaction; a failure leaves it as it was."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from agentgauge.errors import StoreError
from agentgauge.model.labels import labels_from_mapping
from agentgauge.model.series import Row
from agentgauge.store import sql
from agentgauge.store.store import Store

from .conftest import T0, Contents, HandClock

OpenStore = Callable[..., Store]
Everything = Callable[..., Contents]


def fill(store: Store, codec_row: int) -> None:
    group = store.group("g")
    for row in range(codec_row, codec_row + 50):
        new = () if len(group.columns) else [labels_from_mapping({"__name__": "m", "i": str(i)}) for i in range(9)]
        group.append(Row(T0 + row * 15_000, np.arange(9) * 0.5 + row, new))
    store.upkeep.seal_all()


def test_an_older_file_is_copied_and_migrated(
    open_store: OpenStore, everything: Everything, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Chunks of both codecs are read on, the copy of before is kept, the new statements ran."""
    for codec, row in (("zlib-d8", 0), ("pco1", 50)):
        store = open_store(codec=codec)
        fill(store, row)
        before = everything(store)
        store.close()
    monkeypatch.setattr(sql, "SCHEMA_VERSION", 2)
    monkeypatch.setitem(sql.MIGRATIONS, 1, "ALTER TABLE series ADD COLUMN note TEXT; CREATE TABLE more(x)")
    store = open_store()
    assert everything(store) == before
    assert len(before) == 9
    with store.snapshot() as conn:
        assert conn.execute("SELECT count(*) FROM more").fetchone() == (0,)
    copy = sqlite3.connect(tmp_path / "metrics.db.schema-1")
    assert copy.execute("SELECT v FROM meta WHERE k='schema'").fetchone() == (1,)
    copy.close()


def test_a_migration_that_fails_leaves_the_file(
    open_store: OpenStore, everything: Everything, clock: HandClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All statements or none: the old program reads its file as if nothing had been tried."""
    store = open_store()
    fill(store, 0)
    before = everything(store)
    store.close()
    with monkeypatch.context() as patch:
        patch.setattr(sql, "SCHEMA_VERSION", 2)
        patch.setitem(sql.MIGRATIONS, 1, "CREATE TABLE more(x); CREATE TABLE series(x)")
        with pytest.raises(StoreError, match="already exists"):
            open_store()
    store = open_store()
    assert everything(store) == before
    with store.snapshot() as conn:
        assert not conn.execute("SELECT 1 FROM sqlite_master WHERE name='more'").fetchone()
