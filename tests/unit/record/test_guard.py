"""Our failures never reach the host."""

from __future__ import annotations

import logging

import pytest

from agentgauge.record.guard import Guard


def guard_with_log():
    counted = []
    return Guard(counted.append), counted


def test_a_failure_is_counted_each_time_and_logged_once(caplog):
    """The block ends, the host goes on."""
    guard, counted = guard_with_log()
    with caplog.at_level(logging.WARNING, "agentgauge"):
        for _ in range(3):
            with guard("here"):
                raise ValueError("odd")
    assert counted == ["here"] * 3
    assert len(caplog.records) == 1
    assert "ValueError: odd" in caplog.text


def test_strict_mode_raises():
    """Tests see our failures."""
    guard, counted = guard_with_log()
    guard.strict = True
    with pytest.raises(ValueError, match="odd"), guard("here"):
        raise ValueError("odd")
    assert counted == ["here"]


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_what_ends_the_host_passes(kind):
    """Only Exception is ours to keep."""
    guard, counted = guard_with_log()
    with pytest.raises(kind), guard("here"):
        raise kind
    assert counted == []


def test_a_logging_filter_that_raises_reaches_nobody():
    """A user's logging set-up is not the recording call's failure."""
    guard, counted = guard_with_log()

    class Broken(logging.Filter):
        def filter(self, record):
            raise RuntimeError("filter")

    broken = Broken()
    logging.getLogger("agentgauge").addFilter(broken)
    try:
        guard.refused("here", "why")
    finally:
        logging.getLogger("agentgauge").removeFilter(broken)
    assert counted == ["here", "log"]
