"""Clocks that jump, processes that come and go: nothing is lost that should not be, nothing grows that should not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from agentgauge.model.labels import Labels, Matcher, labels_from_mapping
from agentgauge.model.sample import NO_SAMPLE
from agentgauge.model.series import Row
from agentgauge.store.check import check_store, store_info
from agentgauge.store.store import Store

from .conftest import T0, Contents, HandClock

OpenStore = Callable[..., Store]
Everything = Callable[..., Contents]
MINUTE = 60_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR
LABELS = (labels_from_mapping({"__name__": "m", "i": "0"}), labels_from_mapping({"__name__": "m", "i": "1"}))


def scrape(store: Store, clock: HandClock, until_ms: int, step_ms: int = MINUTE) -> list[int]:
    """Append rows that show their number, stamped by the clock, with upkeep; return their times."""
    group, times = store.group("g"), []
    while clock.ms < until_ms:
        new = () if len(group.columns) else LABELS
        group.append(Row(clock.ms, np.array([len(times), 1.0]), new))
        store.upkeep.step(clock.ms)
        times.append(clock.ms)
        clock.ms += step_ms
    return times


def test_a_clock_that_was_far_ahead_costs_nothing(
    open_store: OpenStore, everything: Everything, clock: HandClock
) -> None:
    """One row a day ahead: it is kept, the rows of now go on being taken, are sealed and merged, and none is lost."""
    store = open_store(retention_ms=30 * DAY)
    times = scrape(store, clock, T0 + HOUR)
    right_ms, clock.ms = clock.ms, T0 + DAY + HOUR
    times += scrape(store, clock, clock.ms + 1)
    clock.ms = right_ms
    times += scrape(store, clock, T0 + 9 * HOUR)
    found = everything(store)
    assert [t for t, _ in found[LABELS[0]]] == sorted(times)
    assert store.counters.too_old == 0
    group = store._catalog.current["g"]
    assert len(group.ring.view().t_ms) <= 2 * group.ring.capacity
    with store.snapshot() as conn:
        n_small = conn.execute("SELECT count(*) FROM chunk WHERE level=0").fetchone()[0]
    assert n_small <= 4
    store.close()
    again = open_store(retention_ms=30 * DAY)
    assert everything(again) == found
    assert check_store(again) == []


def test_a_jump_ahead_closes_the_interval(open_store: OpenStore, clock: HandClock) -> None:
    """Rows before a jump of more than an hour are sealed at the next step, though their interval is not over."""
    store = open_store()
    scrape(store, clock, T0 + 5 * MINUTE)
    assert store._catalog.current["g"].unsealed_rows == 5
    clock.ms += HOUR + MINUTE
    scrape(store, clock, clock.ms + 1)
    assert store._catalog.current["g"].unsealed_rows == 0


def test_a_clock_set_back_merges_what_it_repeats(
    open_store: OpenStore, everything: Everything, clock: HandClock
) -> None:
    """Half an hour again: rows at times that are there are laid over them and counted, the others lie between."""
    store = open_store()
    first = scrape(store, clock, T0 + HOUR)
    clock.ms = T0 + HOUR // 2
    same = scrape(store, clock, T0 + 45 * MINUTE)
    clock.ms += 30_000
    between = scrape(store, clock, T0 + 80 * MINUTE)
    found = dict(everything(store)[LABELS[0]])
    assert sorted(found) == sorted({*first, *same, *between})
    assert found[same[3]] == int(np.float64(3).view(np.uint64))
    assert store.counters.duplicates == len(same)
    assert store.counters.too_old == 0


def test_a_new_process_every_minute_for_a_day(open_store: OpenStore, clock: HandClock) -> None:
    """1,440 processes of 40 series, four scrapes each: file, memory and query stay bounded, each series is found."""
    store = open_store(retention_ms=0)
    for minute in range(1440):
        group = store.group(f"process {minute}")
        new = [
            labels_from_mapping({"__name__": f"m{i}_total", "instance": f"127.0.0.1:{10_000 + minute}"})
            for i in range(40)
        ]
        for row in range(4):
            clock.ms = T0 + minute * MINUTE + row * 15_000
            group.append(Row(clock.ms, np.arange(40.0) + row, () if row else new))
        store.upkeep.step(clock.ms)
    store.upkeep.seal_all()
    clock.ms += 3 * HOUR
    store.upkeep.step(clock.ms)
    info = store_info(store)
    assert info.n_samples == 1440 * 40 * 4
    assert info.size_bytes / info.n_series < 130, "labels, column, times and samples of one that lived for a minute"
    rings = sum(group.ring.size_bytes() for group in store._catalog.groups.values())
    assert rings < 64 << 10, "what is gone holds no rows in memory"
    matcher = [Matcher("__name__", "=", "m7_total")]
    assert sum(len(b.labels) for b in store.select(matcher, T0 + 600 * MINUTE, T0 + 605 * MINUTE)) in (5, 6)
    assert sum(len(b.labels) for b in store.select(matcher, T0, T0 + DAY)) == 1440
    assert check_store(store) == []
    store.close()


def test_a_target_whose_series_change_every_minute(open_store: OpenStore, clock: HandClock, tmp_path: Path) -> None:
    """One process, 60 new series a minute for half a day: the group is renumbered, rows do not grow wider for ever."""
    store = open_store(retention_ms=0)
    group, epochs, widest = store.group("g"), set(), 0
    column_of: dict[Labels, int] = {}
    for minute in range(720):
        clock.ms = T0 + minute * MINUTE
        if group.epoch not in epochs:
            epochs.add(group.epoch)
            column_of = {labels: i for i, labels in enumerate(group.columns)}
        now = [labels_from_mapping({"__name__": "m", "i": str(i), "minute": str(minute)}) for i in range(60)]
        column_of.update({labels: len(column_of) + i for i, labels in enumerate(now)})
        values = np.full(len(column_of), NO_SAMPLE)
        values[-60:] = minute
        group.append(Row(clock.ms, values, now))
        widest = max(widest, len(values))
        store.upkeep.step(clock.ms)
    assert len(epochs) > 3
    assert widest < 720 * 60 / 4
    found = sum(len(block.labels) for block in store.select([], T0, T0 + DAY))
    assert found == 720 * 60
    store.close()
