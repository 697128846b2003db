"""Slow against normal: more calls or slower calls, and nothing left over."""

from __future__ import annotations

from math import fsum

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentgauge.why.components import OWN, Key
from agentgauge.why.decompose import Account, Change, Decomposition, decompose

KEYS: list[Key] = [OWN, ("llm", "m"), ("decode", "m"), ("queue", "m"), ("tool", "db"), ("tool", "web"), ("wait", "x")]
amounts = st.floats(0, 1e6, allow_subnormal=False)
seconds = st.dictionaries(st.sampled_from(KEYS), st.one_of(st.just(0.0), amounts))
calls = st.dictionaries(st.sampled_from(KEYS), st.integers(0, 10_000).map(float))
accounts = st.builds(Account, st.integers(1, 10_000).map(float), seconds, calls)


def split(before: Account, after: Account) -> Decomposition:
    found = decompose(before, after)
    assert found is not None
    return found


@settings(max_examples=1_000)
@given(accounts, accounts)
def test_the_parts_sum_to_the_gap(before: Account, after: Account) -> None:
    """Whatever the counts, zero calls on one side included, the parts sum to the gap within 1e-9 of its size."""
    found = split(before, after)
    total_s = fsum(change.total_s for change in found.changes)
    size = max(1.0, before.mean_s, after.mean_s, *(abs(change.more_calls_s) for change in found.changes))
    assert total_s == pytest.approx(found.gap_s, abs=1e-9 * size)


@given(accounts, accounts)
def test_turned_around_it_changes_sign(before: Account, after: Account) -> None:
    """What made it slower makes it faster the other way round."""
    there = {change.key: change for change in split(before, after).changes}
    back = {change.key: change for change in split(after, before).changes}
    for key, change in there.items():
        scale = 1e-9 * max(1.0, before.mean_s, after.mean_s, abs(change.more_calls_s))
        assert change.more_calls_s == pytest.approx(-back[key].more_calls_s, abs=scale)
        assert change.slower_calls_s == pytest.approx(-back[key].slower_calls_s, abs=scale)


def test_the_table_of_the_specification() -> None:
    """More LLM calls and a slower db are told apart."""
    before = Account(
        1_000.0,
        {("llm", "m"): 1_000 * 3.0 * 1.45, ("tool", "db"): 1_000 * 1.5 * 0.42},
        {OWN: 1_000.0, ("llm", "m"): 3_000.0, ("tool", "db"): 1_500.0},
    )
    after = Account(
        65.0,
        {("llm", "m"): 65 * 7.6 * 1.53, ("tool", "db"): 65 * 4.0 * 1.04},
        {OWN: 65.0, ("llm", "m"): 65 * 7.6, ("tool", "db"): 65 * 4.0},
    )
    changes: dict[Key, Change] = {change.key: change for change in split(before, after).changes}
    llm, db = changes["llm", "m"], changes["tool", "db"]
    assert llm.more_calls_s == pytest.approx(4.6 * 1.49)
    assert llm.slower_calls_s == pytest.approx(0.08 * 5.3)
    assert db.more_calls_s == pytest.approx(2.5 * 0.73)
    assert db.slower_calls_s == pytest.approx(0.62 * 2.75)


def test_phases_share_the_calls_of_their_model() -> None:
    """A queue that grows is slower, not more calls, when the model is called as often."""
    calls = {OWN: 10.0, ("llm", "m"): 30.0}
    found = split(Account(10.0, {("queue", "m"): 3.0}, calls), Account(10.0, {("queue", "m"): 30.0}, calls))
    (change,) = found.changes
    assert (change.more_calls_s, change.slower_calls_s) == (0.0, pytest.approx(2.7))


def test_a_tool_that_only_slow_tasks_use_is_more_calls() -> None:
    """A side without calls takes its seconds per call from the other."""
    found = split(
        Account(10.0, {}, {OWN: 10.0}), Account(10.0, {("tool", "db"): 5.0}, {OWN: 10.0, ("tool", "db"): 5.0})
    )
    (change,) = found.changes
    assert (change.more_calls_s, change.slower_calls_s) == (pytest.approx(0.5), 0.0)


def test_without_tasks_on_a_side_there_is_no_answer() -> None:
    """Nothing is split where one side has no tasks."""
    some = Account(1.0, {OWN: 1.0}, {OWN: 1.0})
    assert decompose(some, Account(0.0, {}, {})) is None
    assert decompose(Account(0.0, {}, {}), some) is None
