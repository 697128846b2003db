"""The store answers what was appended: sealed or not, merged or not, before and after a restart."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentgauge.errors import StoreError, StoreLocked
from agentgauge.model.labels import Labels, Matcher, labels_from_mapping
from agentgauge.model.sample import NO_SAMPLE, NO_SAMPLE_BITS, STALE, Exemplar, MetricInfo, Sample, float_bits
from agentgauge.model.series import DenseBlock, RaggedBlock, Row
from agentgauge.store import chunk as chunks
from agentgauge.store.store import Store

from .conftest import T0, Contents, HandClock, contents_of

OpenStore = Callable[..., Store]
Everything = Callable[..., Contents]

HOUR = 3_600_000


def label(i: int, group: str = "g") -> Labels:
    return labels_from_mapping({"__name__": f"m{i % 3}", "i": str(i), "group": group})


def fill(store: Store, n_rows: int, n_series: int, key: str = "g", start_ms: int = T0, step_ms: int = 15_000) -> None:
    """Append counters; values tell row and column."""
    group = store.group(key)
    new = [label(i, key) for i in range(len(group.columns), n_series)]
    for j in range(n_rows):
        row = Row(start_ms + j * step_ms, np.arange(n_series) + j * 1000.0, new)
        group.append(row)
        new = []


cells = st.sampled_from([1.0, 2.5, -0.0, float("nan"), float("inf"), STALE, NO_SAMPLE, 3.0])
steps = st.one_of(
    st.tuples(st.just("row"), st.sampled_from("ab"), st.integers(-8, 40), st.lists(cells, min_size=1, max_size=5)),
    st.tuples(st.just("push"), st.lists(st.tuples(st.integers(0, 3), st.integers(0, 50), cells), max_size=6)),
    st.sampled_from([("seal",), ("merge",), ("reopen",), ("step",)]),
)
MINUTES_7 = 7 * 60_000


@given(st.lists(steps, max_size=25), st.booleans())
@settings(max_examples=120, deadline=None)
def test_select_is_what_was_appended(script: list[tuple], zlib: bool) -> None:
    """Any order of rows, pushes, sealing, merging and restarts: the last write of each cell is there, bit for bit."""
    with tempfile.TemporaryDirectory() as folder:
        clock = HandClock(T0 + 6 * HOUR)
        path = Path(folder) / "m.db"
        codec = chunks.ZLIB if zlib else chunks.DEFAULT_CODEC

        def open_it() -> Store:
            return Store.open(path, clock=clock, background=False, codec=codec, out_of_order_ms=1 << 40, retention_ms=0)

        store = open_it()
        truth: dict[Labels, dict[int, int]] = {}
        newest = {"a": T0, "b": T0}
        try:
            for step in script:
                if step[0] == "row":
                    _, key, dt, values = step
                    t_ms = newest[key] + dt * MINUTES_7
                    newest[key] = max(newest[key], t_ms)
                    group = store.group(key)
                    have = len(group.columns)
                    values = values + [NO_SAMPLE] * (have - len(values))
                    group.append(Row(t_ms, np.array(values), [label(i, key) for i in range(have, len(values))]))
                    for i, value in enumerate(values):
                        if float_bits(value) != NO_SAMPLE_BITS:
                            truth.setdefault(label(i, key), {})[t_ms] = float_bits(value)
                elif step[0] == "push":
                    samples = [Sample(label(i, "p"), T0 + t * MINUTES_7, v) for i, t, v in step[1]]
                    samples = [s for s in samples if float_bits(s.value) != NO_SAMPLE_BITS]
                    store.append(samples, any_age=True)
                    for s in samples:
                        truth.setdefault(s.labels, {})[s.t_ms] = float_bits(s.value)
                elif step[0] == "seal":
                    store.upkeep.seal_all()
                elif step[0] == "merge":
                    store.upkeep.merge(T0 + 365 * 24 * HOUR)
                elif step[0] == "step":
                    store.upkeep.step(clock.now_ms())
                else:
                    store.close()
                    store = open_it()
            expected = {labels: sorted(rows.items()) for labels, rows in truth.items() if rows}
            assert contents_of(store.select([], 0, 1 << 60)) == expected
            a, b = T0 + 30 * 60_000, T0 + 5 * HOUR
            window = {k: [(t, v) for t, v in rows if a <= t <= b] for k, rows in expected.items()}
            assert contents_of(store.select([], a, b)) == {k: rows for k, rows in window.items() if rows}
        finally:
            store.close()


def test_clean_columns_are_dense(open_store: OpenStore) -> None:
    """A hole in one column leaves the others clean."""
    store = open_store()
    fill(store, 10, 300)
    values = np.arange(300) + 10_000.0
    values[7] = NO_SAMPLE
    store.group("g").append(Row(T0 + 10 * 15_000, values))
    for _ in range(2):
        blocks = list(store.select([], 0, 1 << 60))
        assert all(isinstance(block, DenseBlock) for block in blocks)
        dirty = [block for block in blocks if isinstance(block, DenseBlock) and block.present is not None]
        assert [list(block.labels) for block in dirty] == [[label(7)]]
        assert sum(len(block.labels) for block in blocks) == 300
        store.upkeep.seal_all()


def test_a_series_of_two_groups_stands_in_one_block(open_store: OpenStore, everything: Everything) -> None:
    """A series that was scraped and is pushed, or is scraped by two groups, is merged."""
    store = open_store()
    fill(store, 5, 3)
    store.group("h").append(Row(T0 + 60_000, np.array([7.0]), [label(1)]))
    store.append([Sample(label(2), T0 + 60_001, 8.0)], any_age=True)
    blocks = list(store.select([], 0, 1 << 60))
    assert {type(block) for block in blocks} == {DenseBlock, RaggedBlock}
    found = everything(store)
    assert found[label(1)][-1] == (T0 + 60_000, float_bits(7.0))
    assert found[label(2)][-2:] == [(T0 + 60_000, float_bits(4002.0)), (T0 + 60_001, float_bits(8.0))]
    store.close()
    assert everything(open_store()) == found


def test_two_groups_apart_in_time_stay_dense(open_store: OpenStore) -> None:
    """Only a window that both reach into needs merging."""
    store = open_store()
    fill(store, 5, 3)
    store.group("h").append(Row(T0 + HOUR, np.array([7.0]), [label(1)]))
    blocks = list(store.select([Matcher("i", "=", "1")], T0 + HOUR, T0 + HOUR))
    assert [type(block) for block in blocks] == [DenseBlock]


def test_what_is_acknowledged_survives_a_copy(open_store: OpenStore, everything: Everything, tmp_path: Path) -> None:
    """The file and its log, copied without closing the store, hold every acknowledged row."""
    store = open_store()
    fill(store, 20, 5)
    for suffix in ("", "-wal"):
        (tmp_path / f"copy.db{suffix}").write_bytes((tmp_path / f"metrics.db{suffix}").read_bytes())
    copy = Store.open(tmp_path / "copy.db", background=False)
    assert everything(copy) == everything(store)
    copy.close()


def test_labels_and_values(open_store: OpenStore) -> None:
    """Label APIs know names, values and ranges."""
    store = open_store()
    fill(store, 3, 4)
    fill(store, 3, 2, key="late", start_ms=T0 + 5 * HOUR)
    late = (T0 + 4 * HOUR, T0 + 6 * HOUR)
    assert store.label_names() == ["__name__", "group", "i"]
    assert store.label_values("i") == ["0", "1", "2", "3"]
    assert store.label_values("i", limit=2) == ["0", "1"]
    assert store.label_values("i", (), *late) == ["0", "1"]
    assert store.series([[Matcher("i", "=", "1")]], *late) == [label(1, "late")]
    assert store.series([[Matcher("i", "=", "1")], [Matcher("group", "=", "g")]]) == sorted(
        [label(1, "late"), *(label(i) for i in range(4))]
    )
    assert store.series([]) == []


def test_rows_that_do_not_fit_are_refused(open_store: OpenStore) -> None:
    """A row of the wrong width, or a series twice, changes nothing."""
    store = open_store()
    fill(store, 1, 3)
    group = store.group("g")
    with pytest.raises(ValueError, match="3 columns"):
        group.append(Row(T0 + 1, np.zeros(2)))
    with pytest.raises(ValueError, match="twice"):
        group.append(Row(T0 + 1, np.zeros(4), [label(1)]))
    with pytest.raises(ValueError, match="twice"):
        group.append(Row(T0 + 1, np.zeros(5), [label(9), label(9)]))
    assert len(group.columns) == 3
    group.append(Row(T0 + 1, np.zeros(4), [label(9)]))
    assert group.columns[3] == label(9)


def test_old_and_repeated_rows_are_counted(open_store: OpenStore, everything: Everything) -> None:
    """Inside the window a late row is taken, outside it is dropped; a changed repetition is counted."""
    store = open_store()
    group = store.group("g")
    group.append(Row(T0, np.array([1.0]), [label(0)]))
    group.append(Row(T0, np.array([1.0])))
    assert store.counters.duplicates == 0
    group.append(Row(T0, np.array([2.0])))
    assert store.counters.duplicates == 1
    group.append(Row(T0 - HOUR, np.array([0.5])))
    group.append(Row(T0 - 3 * HOUR, np.array([0.25])))
    assert (store.counters.out_of_order, store.counters.too_old) == (1, 1)
    assert everything(store)[label(0)] == [(T0 - HOUR, float_bits(0.5)), (T0, float_bits(2.0))]


def test_pushed_samples_from_far_times_are_refused(open_store: OpenStore, clock: HandClock) -> None:
    """Push: older than the window or more than ten minutes ahead is counted, an import may be of any age."""
    store = open_store()
    report = store.append([Sample(label(i), T0 + dt, 1.0) for i, dt in enumerate([0, -3 * HOUR, 11 * 60_000])])
    assert (report.appended, report.too_old, report.too_new) == (1, 1, 1)
    assert store.append([Sample(label(1), 5, 1.0)], any_age=True).appended == 1


def test_one_process_writes(open_store: OpenStore, tmp_path: Path) -> None:
    """A second writer is refused and told who writes; a reader is not."""
    import os

    store = open_store()
    fill(store, 3, 2)
    with pytest.raises(StoreLocked) as caught:
        Store.open(tmp_path / "metrics.db")
    assert caught.value.pid == os.getpid()
    assert str(os.getpid()) in str(caught.value)
    reader = open_store(read_only=True)
    assert len(contents_of(reader.select([], 0, 1 << 60))) == 2
    with pytest.raises(StoreError, match="reading only"):
        reader.group("g")


def test_a_reader_sees_what_is_written_after_it_opened(open_store: OpenStore, everything: Everything) -> None:
    """Rows, series, seals of the writing process show up."""
    store = open_store()
    fill(store, 3, 2)
    reader = open_store(read_only=True)
    assert everything(reader) == everything(store)
    fill(store, 3, 4, start_ms=T0 + HOUR)
    assert everything(reader) == everything(store)
    store.upkeep.seal_all()
    assert everything(reader) == everything(store)


def test_metadata_and_exemplars_are_kept(open_store: OpenStore) -> None:
    """Both come back after a restart."""
    store = open_store()
    exemplar = Exemplar(label(0), (("trace_id", "abc"),), T0, 0.25)
    store.group("g").append(Row(T0, np.array([1.0]), [label(0)]), exemplars=[exemplar, exemplar])
    store.set_metadata({"m0": MetricInfo("counter", "Help.", "")})
    store.close()
    store = open_store()
    assert store.exemplars([Matcher("i", "=", "0")], T0, T0) == [exemplar]
    assert store.exemplars([Matcher("i", "=", "0")], T0 + 1, T0 + 2) == []
    assert store.metadata() == {"m0": (MetricInfo("counter", "Help.", ""),)}


def test_many_threads_append_and_read(open_store: OpenStore, everything: Everything) -> None:
    """Groups on threads of their own, readers and upkeep beside them: nothing lost, nothing torn."""
    store = open_store()
    failures: list[BaseException] = []
    done = threading.Event()

    def write(key: str) -> None:
        try:
            fill(store, 300, 20, key=key)
        except BaseException as error:
            failures.append(error)

    def read() -> None:
        try:
            while not done.is_set():
                for rows in contents_of(store.select([], 0, 1 << 60)).values():
                    assert [t for t, _ in rows] == [T0 + j * 15_000 for j in range(len(rows))]
                store.upkeep.seal_all()
        except BaseException as error:
            failures.append(error)

    writers = [threading.Thread(target=write, args=(f"g{i}",)) for i in range(3)]
    reader = threading.Thread(target=read)
    for thread in [*writers, reader]:
        thread.start()
    for thread in writers:
        thread.join()
    done.set()
    reader.join()
    assert not failures
    found = everything(store)
    assert len(found) == 60
    assert all(len(rows) == 300 for rows in found.values())


def test_a_closed_store_says_so(open_store: OpenStore) -> None:
    """After close every door raises StoreError; close again does nothing."""
    store = open_store()
    fill(store, 1, 1)
    group = store.group("g")
    store.close()
    store.close()
    with pytest.raises(StoreError, match="closed"):
        group.append(Row(T0, np.zeros(1)))
    with pytest.raises(StoreError, match="closed"):
        list(store.select([], 0, 1))


def test_a_store_in_memory_does_all_of_it(everything: Everything, clock: HandClock) -> None:
    """Rows, seals, merges and label APIs without a file."""
    store = Store.in_memory(clock=clock)
    fill(store, 200, 5)
    before = everything(store)
    store.upkeep.seal_all()
    store.upkeep.merge(T0 + 100 * HOUR)
    assert everything(store) == before
    assert store.label_values("group") == ["g"]
    store.close()
