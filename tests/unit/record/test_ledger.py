"""One ledger under one lock: exact sums, bounded memory, nothing lost to re-entrant callers."""

from __future__ import annotations

import gc
import logging
import threading
import tracemalloc

import pytest
from prometheus_client import CollectorRegistry, Counter

from agentgauge.errors import ConfigError
from agentgauge.model.metrics import METRICS, OTHER
from agentgauge.record.ledger import Ledger
from agentgauge.record.snapshot import Snapshot

TOOL_CALLS = "agent_tool_calls_total"
LATENCY = "agent_llm_latency_seconds"


def series_of(snapshot: Snapshot, name: str) -> dict[tuple[str, ...], int]:
    """Return the first integer of every series of a metric."""
    for family, size in zip(snapshot.families, snapshot.sizes, strict=True):
        if family.metric.name == name:
            return {
                labels: snapshot.values[slot]
                for labels, slot in zip(family.keys[:size], family.starts[:size], strict=True)
            }
    raise LookupError(name)


def test_adds_are_exact_and_zero_rows_show():
    """What is added is what a snapshot holds, beyond what a float can."""
    ledger = Ledger()
    ledger.add(TOOL_CALLS, ("a", "t", "success"), 2**60 + 1)
    ledger.add(TOOL_CALLS, ("a", "t", "error"), 0)
    held = series_of(ledger.snapshot(), TOOL_CALLS)
    assert held == {("a", "t", "success"): 2**60 + 1, ("a", "t", "error"): 0}


def test_a_thread_that_is_inside_defers_and_loses_nothing():
    """A commit that calls back into the ledger, as a finaliser would, is counted by the next event or scrape."""
    ledger = Ledger()

    def commit() -> None:
        ledger.add(TOOL_CALLS, ("a", "t", "success"), 1)
        assert series_of(ledger.snapshot(), TOOL_CALLS) == {}

    ledger.apply(commit)
    assert series_of(ledger.snapshot(), TOOL_CALLS) == {("a", "t", "success"): 1}
    assert not ledger.inside


def test_a_drain_is_bounded_by_what_it_found():
    """A commit that defers itself again keeps no scrape for ever."""
    ledger = Ledger()
    runs = []

    def again() -> None:
        runs.append(1)
        ledger.defer(again)

    ledger.defer(again)
    ledger.snapshot()
    ledger.snapshot()
    assert len(runs) == 2


def test_a_failing_deferred_commit_costs_itself_alone():
    """The next one still runs; the failure is counted."""
    ledger = Ledger()
    ledger.defer(lambda: 1 / 0)
    ledger.defer(ledger.values_add, TOOL_CALLS, ("a", "t", "success"), 1)
    ledger.snapshot()
    snapshot = ledger.snapshot()
    assert series_of(snapshot, TOOL_CALLS) == {("a", "t", "success"): 1}
    assert series_of(snapshot, "agentgauge_record_errors_total") == {("deferred",): 1}


def test_live_totals_are_advanced_in_the_snapshot():
    """A live source is asked under the lock at each scrape, its totals replace what was there; failures are counted."""
    ledger = Ledger()
    ticks = iter(range(10, 100, 10))

    def failing(now_ns: int) -> list[tuple[str, tuple[str, ...], int]]:
        raise ValueError(now_ns)

    ledger.live.append(failing)
    ledger.live.append(lambda now_ns: [("agent_task_state_seconds_total", ("a", "llm"), next(ticks))])
    assert series_of(ledger.snapshot(), "agent_task_state_seconds_total") == {("a", "llm"): 10}
    assert series_of(ledger.snapshot(), "agent_task_state_seconds_total") == {("a", "llm"): 20}
    assert series_of(ledger.snapshot(), "agentgauge_record_errors_total") == {("live",): 2}


def test_no_scrape_sees_a_torn_histogram():
    """Beside 3 busy writers of one second each, 3,000 snapshots all have sum == count."""
    ledger = Ledger()
    stop = threading.Event()

    def write() -> None:
        while not stop.is_set():
            ledger.apply(ledger.observe, LATENCY, ("a", "m"), 1_000_000_000)

    writers = [threading.Thread(target=write) for _ in range(3)]
    for writer in writers:
        writer.start()
    try:
        for _ in range(3_000):
            snapshot = ledger.snapshot()
            family = ledger.families[LATENCY]
            for slot in family.starts[: len(snapshot.values)]:
                if slot + family.width <= len(snapshot.values):
                    counts = snapshot.values[slot + 1 : slot + family.width]
                    assert sum(counts) * 1_000_000_000 == snapshot.values[slot]
    finally:
        stop.set()
        for writer in writers:
            writer.join()


def test_100_000_random_names_leave_memory_flat_and_the_sum_right():
    """Past the limit a new value is __other__, counted as folded; the sum over all series is what was added."""
    ledger = Ledger()
    for i in range(1_000):
        ledger.add(TOOL_CALLS, (f"a{i}", f"t{i}", "success"), 1)
    gc.collect()
    tracemalloc.start()
    for i in range(1_000, 100_000):
        ledger.add(TOOL_CALLS, (f"a{i}", f"t{i}", "success"), 1)
    gc.collect()
    grown, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert grown < 100_000
    snapshot = ledger.snapshot()
    held = series_of(snapshot, TOOL_CALLS)
    assert sum(held.values()) == 100_000
    assert len({labels[0] for labels in held}) == 101
    assert len({labels[1] for labels in held}) == 201
    folds = series_of(snapshot, "agentgauge_labels_folded_total")
    assert folds == {(TOOL_CALLS, "agent"): 99_900, (TOOL_CALLS, "tool_name"): 99_800}


def test_the_series_limit_holds_and_the_sum_stays_right():
    """Past the limit of series every open label folds; closed labels stay."""
    ledger = Ledger(series_limit=50)
    for i in range(90):
        ledger.add(TOOL_CALLS, (f"a{i}", "t", "success" if i % 2 else "error"), 1)
    held = series_of(ledger.snapshot(), TOOL_CALLS)
    assert sum(held.values()) == 90
    assert {labels for labels in held if labels[0] == OTHER} == {(OTHER, OTHER, "success"), (OTHER, OTHER, "error")}
    assert ledger.n_series < 60


def test_it_says_how_many_series_it_holds():
    """agentgauge_series counts lines as a scraper does; the limit stands beside it."""
    ledger = Ledger()
    ledger.apply(ledger.observe, LATENCY, ("a", "m"), 1)
    snapshot = ledger.snapshot()
    n_lines = sum(
        size * (family.n_lines if family.bounds else 1)
        for family, size in zip(snapshot.families, snapshot.sizes, strict=True)
    )
    assert series_of(snapshot, "agentgauge_series") == {(): n_lines}
    assert series_of(snapshot, "agentgauge_series_limit") == {(): 20_000}


def test_thresholds_are_bounds_and_ladders_can_be_set():
    """An SLO is always a bound; a ladder of one's own replaces the table's."""
    ledger = Ledger(thresholds={"agent_task_duration_seconds": 12.5}, buckets={LATENCY: [1, 3]})
    assert 12_500_000_000 in ledger.families["agent_task_duration_seconds"].bounds
    assert ledger.families[LATENCY].bounds == (1_000_000_000, 3_000_000_000)


@pytest.mark.parametrize(
    "buckets",
    [{"nope": [1]}, {TOOL_CALLS: [1]}, {LATENCY: [float("nan")]}, {LATENCY: [-1]}, {LATENCY: []}, {LATENCY: ["1"]}],
)
def test_buckets_that_cannot_be_used_are_refused(buckets):
    """The message names the metric."""
    with pytest.raises(ConfigError, match="buckets for"):
        Ledger(buckets=buckets)


def test_buckets_cannot_change_once_counted():
    """A histogram with observations keeps its bounds; one without takes new ones."""
    ledger = Ledger()
    ledger.configure(buckets={LATENCY: [1, 2]})
    ledger.apply(ledger.observe, LATENCY, ("a", "m"), 1)
    ledger.configure(buckets={LATENCY: [1, 2]})
    with pytest.raises(ConfigError, match="counted already"):
        ledger.configure(buckets={LATENCY: [1, 2, 3]})


def test_a_fork_starts_empty():
    """A child holds nothing of its parent's counts, and tells who asked."""
    ledger = Ledger()
    told = []
    ledger.when_forked.append(lambda: told.append(ledger.epoch))
    ledger.add(TOOL_CALLS, ("a", "t", "success"), 1)
    ledger.defer(ledger.values_add, TOOL_CALLS, ("a", "t", "success"), 1)
    ledger.inside.add(12345)
    ledger.after_fork()
    assert told == [1]
    assert series_of(ledger.snapshot(), TOOL_CALLS) == {}
    assert not ledger.inside


def test_it_joins_a_registry_and_a_name_clash_is_told_there():
    """describe() lets a registry find clashes without collecting."""
    registry = CollectorRegistry()
    registry.register(Ledger())
    with pytest.raises(ValueError, match="agent_tasks"):
        Counter("agent_tasks_total", "clash", registry=registry)
    assert {metric.name for metric in Ledger().describe()} == {
        name.removesuffix("_total") if row.type == "counter" else name for name, row in METRICS.items()
    }


def test_nothing_is_logged_under_the_lock():
    """A log handler that records (as one that counts errors would) is called when the lock is free again."""
    ledger = Ledger(limits={"agent": 1})
    locked = []

    class Recording(logging.Handler):
        def emit(self, record):
            locked.append(ledger._lock.locked())
            ledger.add(TOOL_CALLS, ("a", "t", "success"), 1)

    handler = Recording()
    logging.getLogger("agentgauge").addHandler(handler)
    try:
        ledger.add(TOOL_CALLS, ("a", "t", "success"), 1)
        ledger.add(TOOL_CALLS, ("b", "t", "success"), 1)
    finally:
        logging.getLogger("agentgauge").removeHandler(handler)
    assert locked == [False]
    assert sum(series_of(ledger.snapshot(), TOOL_CALLS).values()) == 3


def test_overflow_is_the_share_of_the_last_hour():
    """Observations in the last finite bucket or above, among those of the last hour."""

    class Clock:
        t_ns = 0

        def now_ms(self) -> int:
            return 0

        def monotonic_ns(self) -> int:
            return self.t_ns

    clock = Clock()
    ledger = Ledger(clock=clock)
    ratio = ("agentgauge_bucket_overflow_ratio", (LATENCY,))

    def observe(seconds: int, n: int) -> None:
        for _ in range(n):
            ledger.apply(ledger.observe, LATENCY, ("a", "m"), seconds * 10**9)

    def measured(t_s: int) -> int:
        clock.t_ns = t_s * 10**9
        return series_of(ledger.snapshot(), ratio[0])[ratio[1]]

    observe(1000, 1)
    observe(1, 3)
    assert measured(1) == 250_000_000
    observe(1, 6)
    assert measured(2) == 250_000_000, "looked at once a minute"
    assert measured(100) == 100_000_000
    observe(1, 10)
    assert measured(3_800) == 0, "the slow one is older than an hour"
