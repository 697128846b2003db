"""What recording costs, by its own measure and from outside."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from agentgauge.model.clock import SystemClock
from agentgauge.record import overhead
from agentgauge.record.api import llm_call, task, tool_call, use_recorder
from agentgauge.record.recorder import Recorder

N_TASKS = 3000


@pytest.fixture
def recorder() -> object:
    recorder = Recorder()
    restore = use_recorder(recorder)
    yield recorder
    restore()


def told_s(recorder: Recorder, part: str = "record") -> float:
    """Return the seconds that were told."""
    return sum(
        sample.value
        for family in recorder.ledger.collect()
        for sample in family.samples
        if sample.name == overhead.METRIC and sample.labels["part"] == part
    )


def blocks() -> None:
    with task(agent="a"):
        with llm_call(model="m") as call:
            call.usage(prompt=10, completion=5)
        with tool_call("t"):
            pass


@task(agent="b")
def decorated() -> None:
    tool()


@tool_call("t")
def tool() -> None:
    pass


@pytest.mark.parametrize("work", [blocks, decorated])
def test_what_is_told_agrees_with_the_outside(recorder: Recorder, work: Callable[[], None]) -> None:
    """CPU time of tasks that do nothing is ours alone: both measures agree within a fifth, in one of three tries."""
    for _ in range(200):
        work()
    ratios = []
    for _ in range(3):
        before_s, start_ns = told_s(recorder), SystemClock.thread_ns()
        for _ in range(N_TASKS):
            work()
        outside_s = (SystemClock.thread_ns() - start_ns) / 1e9
        ratios.append((told_s(recorder) - before_s) / outside_s)
        if 0.8 <= ratios[-1] <= 1.2:
            return
    pytest.fail(f"told / outside: {ratios}")


def test_work_of_the_host_is_not_ours(recorder: Recorder) -> None:
    """Ten milliseconds of the host's own CPU inside each block are not counted."""
    for _ in range(2 * overhead.STRIDE):
        with task(agent="a"):
            start_ns = SystemClock.thread_ns()
            while SystemClock.thread_ns() - start_ns < 3_000_000:
                pass
    assert 0 < told_s(recorder) < 0.1


def test_nothing_negative_is_counted(recorder: Recorder) -> None:
    """A reading below the clock's own cost is none."""
    overhead.note(recorder.ledger, "record", -5)
    assert told_s(recorder) == 0
