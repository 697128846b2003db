"""Pieces of counts add up once each, never fall, and survive a restart."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentgauge.database import Database
from agentgauge.errors import ConfigError
from agentgauge.model.clock import SystemClock
from agentgauge.scrape.handover import MAX_GROUPS, Handover
from agentgauge.scrape.tally import MAX_REMEMBERED, Tally, piece_from_text

GROUP = (("job", "j"),)
NOW_MS = SystemClock.now_ms()


def piece(piece_id: str, n: int, start_ms: int = NOW_MS - 2000, end_ms: int = NOW_MS - 1000, group=GROUP):
    """Return a piece of one counter, one histogram and one gauge."""
    text = f'# TYPE c_total counter\nc_total {n}\n# TYPE h histogram\nh_bucket{{le="+Inf"}} {n}\nh_count {n}\nh_sum 1\n'
    return piece_from_text(piece_id, group, (text + "# TYPE g gauge\ng 7\nu 3\n").encode(), start_ms, end_ms)


def values(samples, name: str) -> list[float]:
    return [sample.value for sample in samples if ("__name__", name) in sample.labels]


def test_counts_add_up_and_gauges_do_not() -> None:
    """The total before and after, of counters and histograms; a gauge, or what has no type, as it is."""
    tally = Tally()
    assert values(tally.add(piece("1", 5)), "c_total") == [0, 5]
    samples = tally.add(piece("2", 3))
    assert values(samples, "c_total") == [5, 8]
    assert values(samples, "h_count") == [5, 8]
    assert values(samples, "g") == [7]
    assert values(samples, "u") == [3]


def test_a_piece_counts_once() -> None:
    """The same id again adds nothing; a thousand ids are remembered, not more."""
    tally = Tally()
    tally.add(piece("1", 5))
    assert tally.add(piece("1", 5)) == []
    for i in range(MAX_REMEMBERED + 10):
        tally.add(piece(f"x{i}", 0))
    assert len(tally.taken) == MAX_REMEMBERED


@given(st.lists(st.tuples(st.integers(0, 100), st.integers(0, 1000), st.integers(0, 1000))))
def test_totals_never_fall_however_runs_overlap(runs) -> None:
    """In the order of time every sample is at least the one before it, and the last is the sum."""
    tally, stored = Tally(), []
    for i, (n, start_ms, length_ms) in enumerate(runs):
        stored += tally.add(piece(str(i), n, NOW_MS + start_ms, NOW_MS + start_ms + length_ms))
    counts = [(sample.t_ms, sample.value) for sample in stored if ("__name__", "c_total") in sample.labels]
    assert [value for _, value in sorted(counts)] == sorted(value for _, value in counts)
    assert len({t_ms for t_ms, _ in counts}) == len(counts)
    assert not counts or max(value for _, value in counts) == sum(n for n, _, _ in runs)


def test_totals_live_in_the_file(tmp_path) -> None:
    """After a restart a known piece is known, a new one adds on; increase() over both is their sum."""
    clock = SystemClock()
    with Database.open(tmp_path / "m.db") as database:
        assert Handover(database.store, clock).take(piece("1", 5))
    with Database.open(tmp_path / "m.db") as database:
        handover = Handover(database.store, clock)
        assert not handover.take(piece("1", 5))
        assert handover.take(piece("2", 3))
        found = database.query("last_over_time(c_total[1h])", clock.now_ms())
        assert found.steps.values.tolist() == [[8.0]]


def test_groups_are_bounded() -> None:
    """Past the limit a new group is refused with what to do; the known go on."""
    with Database.in_memory() as database:
        handover = Handover(database.store, SystemClock())
        handover.take(piece("1", 1))
        handover._known.extend(str(i) for i in range(MAX_GROUPS))
        with pytest.raises(ConfigError, match="name jobs by what they do"):
            handover.take(piece("1", 1, group=(("job", "new"),)))
        assert handover.take(piece("2", 1))
