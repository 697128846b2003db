"""The ring keeps its promise: all rows since complete_from_ms, and views that never change."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from agentgauge.model.sample import NO_SAMPLE, NO_SAMPLE_BITS
from agentgauge.store.head import Ring, merge_cells


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(1, 6)), max_size=80), st.integers(1, 20))
@settings(max_examples=200, deadline=None)
def test_a_ring_has_every_row_since_its_time(puts: list[tuple[int, int]], capacity: int) -> None:
    """Whatever the order of times and the width of rows; old views stay as they were."""
    ring, truth = Ring(capacity, -1), {}
    views = []
    for i, (t_ms, width) in enumerate(puts):
        row = np.arange(width) + i * 100.0
        ring.put(t_ms, row)
        truth[t_ms] = merge_cells(truth.get(t_ms, np.empty(0)), row)
        view = ring.view()
        views.append((view, view.t_ms.copy(), view.rows.copy()))
    view = ring.view()
    expected = {t: row for t, row in truth.items() if t >= view.complete_from_ms}
    assert view.t_ms.tolist() == sorted(expected)
    for t_ms, row in zip(view.t_ms.tolist(), view.rows, strict=True):
        known = expected[t_ms]
        assert row[: len(known)].view(np.uint64).tolist() == known.view(np.uint64).tolist()
        assert (row[len(known) :].view(np.uint64) == NO_SAMPLE_BITS).all()
    for old, t_copy, rows_copy in views:
        assert np.array_equal(old.t_ms, t_copy)
        assert np.array_equal(old.rows.view(np.uint64), rows_copy.view(np.uint64))


def test_a_ring_is_bounded() -> None:
    """Thousands of rows leave about its capacity."""
    ring = Ring(16, -1)
    for t_ms in range(5000):
        ring.put(t_ms, np.ones(10))
    assert ring.size_bytes() < 30 * 11 * 8
    assert len(ring.view().t_ms) >= 16


def test_cells_win_one_by_one() -> None:
    """A later row at the same time changes only what it has."""
    merged = merge_cells(np.array([1.0, 2.0]), np.array([NO_SAMPLE, 5.0, 6.0]))
    assert merged.tolist() == [1.0, 5.0, 6.0]
