"""Intervals, and when there are none."""

from __future__ import annotations

import pytest

from agentgauge.why.whatif import DOUBTS, doubt_about, waits_for, what_if


def test_an_interval() -> None:
    """Twice as fast saves between half of what is alone and half of what is on the path."""
    answer = what_if(4.0, 1.0, 2.0)
    assert (answer.low_s, answer.high_s, answer.reason) == (0.5, 2.0, "")
    assert what_if(4.0, 1.0, 4.0).high_s == 3.0


def test_waits_in_line_may_vanish_whole() -> None:
    """The upper end holds the queue in full; without it, it is told apart."""
    answer = what_if(4.0, 1.0, 2.0, waits_s=1.5)
    assert (answer.high_s, answer.direct_s) == (3.5, 2.0)


def test_without_seconds_alone_the_lower_end_is_zero() -> None:
    """Unknown is not a promise."""
    assert what_if(4.0, None, 2.0).low_s == 0.0


def test_more_alone_than_on_the_path_is_a_contradiction() -> None:
    """S > P proves that an assumption is broken: no number. Within the slack of extrapolation it is clipped."""
    assert what_if(1.0, 2.0, 2.0).low_s is None
    assert what_if(1.0, 2.0, 2.0).reason == "contradiction"
    assert what_if(1.0, 1.01, 2.0).low_s == 0.5
    assert what_if(0.001, 0.002, 2.0, mean_s=1.0).reason == ""


@pytest.mark.parametrize("reason", sorted(DOUBTS))
def test_doubts_leave_no_upper_end(reason: str) -> None:
    """A race keeps the lower end, everything else leaves nothing; each says why."""
    answer = what_if(4.0, 1.0, 2.0, reason=reason)
    assert answer.high_s is None
    assert answer.low_s == (0.5 if reason == "race" else None)
    assert answer.says


def test_few_doubtful_tasks_do_not_count() -> None:
    """One in a thousand moves no mean; one in fifty does."""
    assert doubt_about(1000, 1000.0, {"race": 1}, 0.0) == ""
    assert doubt_about(1000, 1000.0, {"race": 20}, 0.0) == "race"
    assert doubt_about(1000, 1000.0, {"race": 20, "unwrapped": 20}, 0.0) == "unwrapped"
    assert doubt_about(1000, 1000.0, {}, 60.0) == "detached"
    assert doubt_about(1000, 1000.0, {}, 40.0) == ""


def test_what_stands_in_line_for_what() -> None:
    """A model holds its queue, a tool only this process' waits, and a wait nothing."""
    path = {("queue", "m"): 3.0, ("client_wait", "m"): 2.0, ("wait", "slots"): 1.0, ("tool", "db"): 9.0}
    assert waits_for(("decode", "m"), path) == 6.0
    assert waits_for(("tool", "db"), path) == 3.0
    for key in (("queue", "m"), ("wait", "slots"), ("own", ""), ("retry", "m"), ("agent", "a")):
        assert waits_for(key, path) == 0.0
