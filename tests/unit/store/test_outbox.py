"""The queue holds what was stored, in that order, for each destination until it took it; and no more than its limit."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from agentgauge.model.clock import SystemClock
from agentgauge.model.labels import labels_from_mapping
from agentgauge.model.sample import NO_SAMPLE, STALE, STALE_BITS, Sample, float_bits
from agentgauge.model.series import Row
from agentgauge.store.outbox import ENTRIES_PER_READ
from agentgauge.store.store import Store

NOW_MS = SystemClock.now_ms()
A, B = labels_from_mapping({"__name__": "a"}), labels_from_mapping({"__name__": "b"})
LIMIT = 1 << 20


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "m.db"


@pytest.fixture
def store(path: Path) -> Iterator[Store]:
    store = Store.open(path, background=False)
    yield store
    store.close()


def scrape(store: Store, at: int, *values: float, new: bool = False) -> None:
    store.group("g").append(Row(NOW_MS + at, np.array(values), [A, B] if new else ()))


def read(store: Store, destination: str) -> list[tuple[object, int, float]]:
    return [
        (labels, t_ms - NOW_MS, value)
        for entry in store.outbox.read(destination)
        for labels, t_ms, value in zip(entry.labels, entry.t_ms.tolist(), entry.values.tolist(), strict=True)
    ]


def test_all_that_is_stored_is_queued_in_order(store: Store) -> None:
    """Rows without their holes, pushed samples, late ones too: in the order in which they were stored."""
    scrape(store, 0, 9.0, 9.0, new=True)
    store.send_to(["x"], LIMIT)
    assert read(store, "x") == []
    scrape(store, 10, 1.0, NO_SAMPLE)
    store.append([Sample(B, NOW_MS + 5, 2.0)])
    scrape(store, 7, NO_SAMPLE, 3.0)
    assert read(store, "x") == [(A, 10, 1.0), (B, 5, 2.0), (B, 7, 3.0)]
    scrape(store, 20, STALE, STALE)
    assert float_bits(read(store, "x")[-1][2]) == STALE_BITS


def test_each_destination_has_its_place(store: Store) -> None:
    """What one took the other still gets; what both took is gone from the file."""
    store.send_to(["x", "y"], LIMIT)
    scrape(store, 0, 1.0, 1.0, new=True)
    scrape(store, 10, 2.0, 2.0)
    first, second = store.outbox.read("x")
    store.outbox.took("x", second.seq)
    assert read(store, "x") == []
    assert len(read(store, "y")) == 4
    assert store.outbox.oldest_ms("x") is None
    assert store.outbox.oldest_ms("y") == NOW_MS
    store.outbox.took("y", first.seq)
    assert read(store, "y") == [(A, 10, 2.0), (B, 10, 2.0)]
    with store.snapshot() as conn:
        assert conn.execute("SELECT count(*) FROM outbox").fetchone() == (1,)


def test_places_survive_a_restart(path: Path) -> None:
    """A known destination goes on where it was, a new one begins now, a dropped one holds nothing back."""
    with_two = Store.open(path, background=False)
    with_two.send_to(["x", "y"], LIMIT)
    scrape(with_two, 0, 1.0, 1.0, new=True)
    scrape(with_two, 10, 2.0, 2.0)
    with_two.outbox.took("x", with_two.outbox.read("x")[0].seq)
    with_two.close()
    again = Store.open(path, background=False)
    again.send_to(["x", "z"], LIMIT)
    assert read(again, "x") == [(A, 10, 2.0), (B, 10, 2.0)]
    assert read(again, "z") == []
    again.outbox.took("x", again.outbox.read("x")[0].seq)
    with again.snapshot() as conn:
        assert conn.execute("SELECT count(*) FROM outbox").fetchone() == (0,)
    again.close()


def test_a_place_never_passes_what_is_new(path: Path) -> None:
    """After an empty queue and a restart, numbers go on: nothing new is taken for old."""
    for at in range(3):
        store = Store.open(path, background=False)
        store.send_to(["x"], LIMIT)
        scrape(store, at, 1.0, 1.0, new=at == 0)
        (entry,) = store.outbox.read("x")
        store.outbox.took("x", entry.seq)
        store.close()


def test_the_queue_keeps_to_its_limit(store: Store) -> None:
    """The oldest entries go first; the samples lost are told for each destination that had not taken them."""
    store.send_to(["x", "y"], 16 * 20)
    for at in range(30):
        scrape(store, at, float(at), 0.0, new=at == 0)
    store.outbox.took("y", store.outbox.read("y")[4].seq)
    assert store.outbox.trim() == {"x": 20, "y": 10}
    assert read(store, "x")[0] == (A, 10, 10.0)
    assert store.outbox.trim() == {}


def test_sealing_and_retention_leave_the_queue_alone(store: Store) -> None:
    """What is sealed, merged or read in pieces is still to be sent, whole and once."""
    store.send_to(["x"], LIMIT)
    n = ENTRIES_PER_READ + 10
    for at in range(n):
        scrape(store, at, float(at), 0.0, new=at == 0)
    store.upkeep.seal_all()
    store.upkeep.merge(NOW_MS + 10**9)
    found = []
    while entries := store.outbox.read("x"):
        found += [entry.values[0] for entry in entries]
        store.outbox.took("x", entries[-1].seq)
    assert found == list(range(n))


def test_nothing_is_queued_without_a_destination(store: Store) -> None:
    """A store that sends nowhere has no queue in its file."""
    scrape(store, 0, 1.0, 1.0, new=True)
    with store.snapshot() as conn:
        assert conn.execute("SELECT count(*) FROM sqlite_master WHERE name='outbox'").fetchone() == (0,)
