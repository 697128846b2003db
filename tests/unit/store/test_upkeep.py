"""Sealing, merging, forgetting and renumbering change no answer but what they are for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from agentgauge.model.labels import Labels, Matcher, labels_from_mapping
from agentgauge.model.sample import NO_SAMPLE, Sample
from agentgauge.model.series import Row
from agentgauge.store.store import Store

from .conftest import T0, Contents, HandClock

OpenStore = Callable[..., Store]
Everything = Callable[..., Contents]
HOUR = 3_600_000
DAY = 24 * HOUR


def label(i: int) -> Labels:
    return labels_from_mapping({"__name__": "m", "i": str(i)})


def levels(store: Store) -> list[int]:
    with store._readers.snapshot() as conn:
        return [level for (level,) in conn.execute("SELECT level FROM chunk ORDER BY level")]


def run(store: Store, clock: HandClock, until_ms: int, n_series: int = 3, step_ms: int = 60_000) -> None:
    """Scrape and keep up from the clock's time on."""
    group = store.group("g")
    rng = np.random.default_rng(1)
    while clock.ms < until_ms:
        have = len(group.columns)
        group.append(Row(clock.ms, rng.random(n_series), [label(i) for i in range(have, n_series)]))
        store.upkeep.step(clock.ms)
        clock.ms += step_ms


def test_rows_become_intervals_and_intervals_become_days(
    open_store: OpenStore, everything: Everything, clock: HandClock
) -> None:
    """After four days the old days are one chunk each, younger intervals one each, and every row is there."""
    store = open_store(retention_ms=0)
    run(store, clock, T0 + 4 * DAY, step_ms=300_000)
    found = everything(store)
    assert all(len(rows) == 4 * 288 for rows in found.values())
    by_level = levels(store)
    assert by_level.count(2) >= 1
    assert by_level.count(1) <= 37
    store.close()
    assert everything(open_store(retention_ms=0)) == found


def test_late_rows_are_folded_in(open_store: OpenStore, everything: Everything, clock: HandClock) -> None:
    """An out-of-order row is sealed as a chunk of its own and merged at the next turn."""
    store = open_store()
    run(store, clock, T0 + 3 * HOUR)
    store.group("g").append(Row(T0 + HOUR + 30_000, np.array([7.0, 8.0, 9.0])))
    before = everything(store)
    store.upkeep.seal_all()
    assert everything(store) == before
    store.upkeep.merge(T0 + 5 * HOUR)
    assert everything(store) == before
    assert levels(store) == [0, 1] or levels(store) == [1] * len(levels(store))


def test_age_lets_go_of_one_interval_per_run(open_store: OpenStore, everything: Everything, clock: HandClock) -> None:
    """Old samples go, young ones stay; a clock far ahead costs nothing."""
    store = open_store(retention_ms=6 * HOUR)
    run(store, clock, T0 + 12 * HOUR)
    found = everything(store)[label(0)]
    assert T0 + 2 * HOUR < found[0][0] <= T0 + 6 * HOUR
    clock.ms = T0 + 1000 * DAY
    for _ in range(20):
        clock.ms += 61_000
        store.upkeep.step(clock.ms)
    assert everything(store)[label(0)][-200:] == found[-200:]


def test_size_lets_go_of_the_oldest(open_store: OpenStore, everything: Everything, clock: HandClock) -> None:
    """The file stays near its limit, the newest interval stays."""
    limit = 1_500_000
    store = open_store(retention_bytes=limit, retention_ms=0)
    run(store, clock, T0 + 24 * HOUR, n_series=250)
    store.close()
    assert (Path(store.path or "")).stat().st_size < limit * 1.6
    found = everything(open_store())[label(0)]
    assert found[0][0] > T0
    assert found[-1][0] == clock.ms - 60_000


def test_groups_and_series_are_forgotten_when_nothing_is_left(open_store: OpenStore, clock: HandClock) -> None:
    """A target that is long gone leaves neither rows nor series; the same key can come back."""
    store = open_store(retention_ms=6 * HOUR)
    gone = store.group("gone")
    gone.append(Row(clock.ms, np.array([1.0]), [(("__name__", "lost"),)]))
    first_epoch = gone.epoch
    run(store, clock, T0 + 24 * HOUR)
    assert store.series([[Matcher("__name__", "=", "lost")]]) == []
    assert store.n_series == 3
    assert list(gone.columns) == []
    assert gone.epoch != first_epoch
    gone.append(Row(clock.ms, np.array([2.0]), [(("__name__", "lost"),)]))
    store.close()
    store = open_store(retention_ms=6 * HOUR)
    assert store.series([[Matcher("__name__", "=", "lost")]]) == [(("__name__", "lost"),)]


def test_churn_renumbers_columns(open_store: OpenStore, everything: Everything, clock: HandClock) -> None:
    """When most columns are dead the live ones go on alone; old samples stay, the epoch tells the caller."""
    store = open_store()
    group = store.group("g")
    epoch = group.epoch
    group.append(Row(clock.ms, np.arange(600.0), [label(i) for i in range(600)]))
    values = np.full(600, NO_SAMPLE)
    values[:10] = 1.0
    for _ in range(130):
        clock.ms += 60_000
        group.append(Row(clock.ms, values))
        store.upkeep.step(clock.ms)
        if group.epoch != epoch:
            break
    assert group.epoch != epoch
    assert list(group.columns) == [label(i) for i in range(10)]
    clock.ms += 60_000
    group.append(Row(clock.ms, np.arange(10.0) + 5))
    found = everything(store)
    assert len(found) == 600
    assert len(found[label(0)]) > len(found[label(10)]) == 1
    assert found[label(3)][-1][0] == clock.ms
    store.close()
    assert everything(open_store()) == found


def test_a_day_of_wide_chunks_stays_in_pieces(
    open_store: OpenStore, everything: Everything, clock: HandClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A query decodes whole chunks: old ones are merged up to a size, and what overlaps always."""
    monkeypatch.setattr("agentgauge.store.sealing.MAX_DAY_CELLS", 100)
    store = open_store(retention_ms=0)
    run(store, clock, T0 + 4 * DAY, step_ms=300_000)
    found = everything(store)
    with store.snapshot() as conn:
        sizes = [n for (n,) in conn.execute("SELECT nrow * ncol FROM chunk WHERE level=2")]
    assert len(sizes) > 4
    assert all(size <= 24 * 3 or size <= 100 for size in sizes)
    store.upkeep.merge(clock.ms + 10 * DAY)
    store.close()
    assert everything(open_store(retention_ms=0)) == found


def test_pushed_samples_are_sealed_and_merged(open_store: OpenStore, everything: Everything, clock: HandClock) -> None:
    """Ragged and shared times alike."""
    store = open_store()
    rng = np.random.default_rng(2)
    clock.ms = T0 + 5 * HOUR
    store.append(
        [Sample(label(i), T0 + int(t), float(t)) for i in range(5) for t in rng.integers(0, 4 * HOUR, 50)], any_age=True
    )
    shared = [Sample(label(i), T0 + j * 1000, float(j)) for i in range(300, 320) for j in range(50)]
    store.append(shared, any_age=True)
    before = everything(store)
    store.upkeep.step(clock.ms)
    assert everything(store) == before
    assert set(levels(store)) == {1}
    store.close()
    assert everything(open_store()) == before


def test_the_log_is_kept_short(open_store: OpenStore, clock: HandClock, tmp_path: Path) -> None:
    """Checkpoints and seals reset the write-ahead log."""
    store = open_store()
    run(store, clock, T0 + 6 * HOUR, n_series=200, step_ms=15_000)
    assert (tmp_path / "metrics.db-wal").stat().st_size < 8 << 20
