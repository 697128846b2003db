"""Requests in flight to a model: seconds and tokens by how many."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from agentgauge.record.concurrency import Meter, level

STEPS = st.lists(st.tuples(st.integers(0, 3), st.sampled_from([1, 1, -1])), max_size=40)


@given(STEPS, st.lists(st.tuples(st.integers(0, 8), st.integers(0, 3)), min_size=1, max_size=20))
def test_chunks_count_at_the_level_that_held_at_their_mark(
    steps: list[tuple[int, int]], gaps: list[tuple[int, int]]
) -> None:
    """Sorted afterwards by looking back, chunks stand where a look at each moment would have put them."""
    meter = Meter(0)
    t_ns, levels = 0, {0: 0}
    for gap_ns, step in steps:
        t_ns += gap_ns
        if meter.n + step >= 0:
            meter.change(step, t_ns)
            levels[t_ns] = level(meter.n)
    marks, at_ns, n_chunks = [], 0, 0
    for gap_ns, more in gaps:
        at_ns += gap_ns
        marks.append((at_ns, n_chunks))
        n_chunks += more
    marks.append((at_ns + 1, n_chunks))
    expected: dict[int, int] = {}
    for (mark_ns, before), (_, after) in pairwise(marks):
        held = levels[max(since_ns for since_ns in levels if since_ns <= mark_ns)]
        if after > before:
            expected[held or 1] = expected.get(held or 1, 0) + after - before
    found: dict[int, int] = {}
    meter.sort_chunks(marks, found)
    assert found == expected


def test_tokens_of_a_level_that_was_never_reached_stay() -> None:
    """A call that is named anew in mid-answer brings chunks from levels of another model: they are not lost."""
    meter = Meter(0)
    meter.change(1, 1)
    meter.credit(7, {2: 3})
    meter.change(1, 2)
    assert sum(meter.tokens.values()) == 7


def test_chunks_from_before_what_is_remembered_count_at_the_oldest_level() -> None:
    """No chunk is lost when the level changed more often than is kept."""
    meter = Meter(0)
    for t_ns in range(1, 6_001):
        meter.change(1 if t_ns % 2 else -1, t_ns)
    found: dict[int, int] = {}
    meter.sort_chunks([(0, 0), (1, 5), (6_001, 7)], found)
    assert sum(found.values()) == 7
