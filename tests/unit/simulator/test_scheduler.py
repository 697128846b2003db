"""The scheduler alone, time turned by hand: the measured table of the notes, and what must hold for any traffic."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentgauge.simulator.presets import HARDWARE, MODELS
from agentgauge.simulator.runner import Options, Work
from agentgauge.simulator.scheduler import BUSY, Event, Finished, Refused, Scheduler, Settings, Timing, TokenSampled
from agentgauge.simulator.tokens import tokens

TINY = MODELS["tiny-agent:latest"]
EIGHT = MODELS["llama3.1:8b"]
SECOND = 1_000_000_000
CPU = Settings(HARDWARE["tiny-cpu"])
GPU = Settings(HARDWARE["rtx4090"])


def work(
    number: int, num_ctx: int = 2048, n_reply: int = 20, prompt: str = "weather in tokyo?", **more: object
) -> Work:
    """Return a small request."""
    made = Work(number, TINY, Options(num_ctx), "generate", tokens(prompt), ("w",) * n_reply, seed=number)
    return replace(made, **more)  # type: ignore[arg-type]


def run(scheduler: Scheduler, until_ns: int = 10_000 * SECOND) -> list[Event]:
    """Turn time from step to step until nothing is planned, and return what happened."""
    events: list[Event] = []
    while (due := scheduler.next_ns()) is not None and due <= until_ns:
        events += scheduler.advance(due)
    return events


def timings(events: Sequence[Event]) -> dict[int, Timing]:
    """Return the timings of the finished requests."""
    return {event.number: event.timing for event in events if isinstance(event, Finished)}


def warm(setup: Settings, number: int = 1000) -> tuple[Scheduler, int]:
    """Return a scheduler that has the model loaded, and the time."""
    scheduler = Scheduler(setup)
    events = scheduler.submit(work(number, n_reply=1), 0)
    while not timings(events):
        due = scheduler.next_ns()
        assert due is not None
        events = scheduler.advance(due)
    [end] = [event.t_ns for event in events if isinstance(event, Finished)]
    return scheduler, end


def test_eight_at_once_are_four_waves_on_two_slots() -> None:
    """Eight requests on a loaded model with two slots: no 503 whatever max_queue, residuals in four pairs, no load."""
    scheduler, t_ns = warm(replace(CPU, parallel=2, max_queue=4))
    events: list[Event] = []
    for number in range(8):
        events += scheduler.submit(work(number, n_reply=90), t_ns + SECOND)
    events += run(scheduler)
    assert not [event for event in events if isinstance(event, Refused)]
    done = timings(events)
    residuals = sorted(timing.queue_ns for timing in done.values())
    one = min(timing.total_ns for timing in done.values())
    for index, residual in enumerate(residuals):
        assert residual == pytest.approx(index // 2 * one, abs=0.2 * one)
    assert all(timing.load_ns < 4_000_000 for timing in done.values())


def test_twelve_contexts_at_once_overflow_the_queue() -> None:
    """Twelve options at once with max_queue 4: five served one after another, seven refused with 503."""
    scheduler = Scheduler(replace(CPU, max_queue=4))
    events: list[Event] = []
    for number in range(12):
        events += scheduler.submit(work(number, num_ctx=1024 + number), 0)
    refused = [event for event in events if isinstance(event, Refused)]
    assert [(event.status, event.message) for event in refused] == [(503, BUSY)] * 7
    loads = sorted(timing.load_ns for timing in timings(events + run(scheduler)).values())
    assert len(loads) == 5
    assert all(later - earlier > 0.25 * SECOND for earlier, later in pairwise(loads))


def test_alternating_contexts_reload_every_time() -> None:
    """Two callers with different num_ctx load the model at each call and lose its prompt cache."""
    scheduler = Scheduler(CPU)
    done: list[Timing] = []
    t_ns = 0
    for number in range(6):
        events = [*scheduler.submit(work(number, num_ctx=1024 if number % 2 else 2048), t_ns)]
        events += run(scheduler, t_ns + 5 * SECOND)
        done.append(timings(events)[number])
        t_ns += 5 * SECOND
    assert all(timing.load_ns > 0.25 * SECOND for timing in done)
    assert all(timing.n_cached == 0 for timing in done)


def test_same_options_are_warm_and_cached() -> None:
    """The same request again needs no load and processes one token of its prompt."""
    scheduler, t_ns = warm(CPU)
    events = [*scheduler.submit(work(0), t_ns + SECOND)]
    timing = timings(events + run(scheduler, t_ns + 9 * SECOND))[0]
    assert timing.load_ns < 2_000_000
    assert timing.n_cached == timing.n_prompt - 1


def test_another_prompt_in_the_slot_costs_the_cache() -> None:
    """With one slot, another agent's turn overwrites what the slot held; with two slots it does not."""
    found = {}
    for parallel in (1, 2):
        scheduler, t_ns = warm(replace(CPU, parallel=parallel))
        prompts = ["alpha " * 40, "other words " * 40, "alpha " * 40]
        for number, prompt in enumerate(prompts):
            t_ns += 10 * SECOND
            events = [*scheduler.submit(work(number, prompt=prompt), t_ns)]
            done = timings(events + run(scheduler, t_ns + 9 * SECOND))
        found[parallel] = done[2].n_cached
    assert found[1] < 5
    assert found[2] > 30


def test_disconnect_frees_the_slot_at_once() -> None:
    """A stream closed at 0.5 s gives its slot to the request that waits, at that moment."""
    scheduler, t_ns = warm(replace(CPU, parallel=2))
    for number in range(3):
        scheduler.submit(work(number, n_reply=500), t_ns + number * 10_000_000)
    events = scheduler.advance(t_ns + SECOND // 2)
    events += scheduler.cancel(0, t_ns + SECOND // 2)
    assert scheduler.queue_lengths() == (0, 0, 2)
    done = timings(events + run(scheduler))
    assert 0 not in done
    assert done[2].queue_ns == pytest.approx(SECOND // 2, abs=30_000_000)


def test_cancel_aborts_a_load() -> None:
    """A client that leaves while its model loads leaves no runner, and the next request loads anew."""
    scheduler = Scheduler(GPU)
    scheduler.submit(work(0), 0)
    scheduler.cancel(0, 1000)
    assert scheduler.runners(loading=True) == []
    assert scheduler.next_ns() is None
    events = [*scheduler.submit(work(1), 2000)]
    assert timings(events + run(scheduler))[1].load_ns > 0.5 * SECOND


def test_keep_alive_expires_after_the_last_request() -> None:
    """A model goes keep-alive after its last request ended; 0 goes at once, negative never."""
    for keep_alive_ns, gone_after_ns in ((0, 0), (30 * SECOND, 30 * SECOND), (-1, None)):
        scheduler = Scheduler(CPU)
        events = [*scheduler.submit(work(0, keep_alive_ns=keep_alive_ns), 0)]
        events += run(scheduler, 20 * SECOND)
        [end_ns] = [event.t_ns for event in events if isinstance(event, Finished)]
        if gone_after_ns is None:
            scheduler.advance(end_ns + 10_000 * SECOND)
            assert len(scheduler.runners()) == 1
            continue
        scheduler.advance(end_ns + gone_after_ns - 1)
        assert len(scheduler.runners()) == (gone_after_ns > 0)
        scheduler.advance(end_ns + gone_after_ns)
        assert scheduler.runners() == []


def test_eviction_takes_the_idle_runner_with_the_shortest_keep_alive() -> None:
    """A model that does not fit pushes out the idle one that would go first; memory takes its time to come back."""
    scheduler = Scheduler(replace(GPU, max_loaded=2))
    small, other, third = (MODELS[name] for name in ("llama3.2:1b", "llama3.2:3b", "nomic-embed-text:latest"))
    t_ns = 0
    for number, (model, keep_alive_ns) in enumerate(((small, 600 * SECOND), (other, 60 * SECOND), (third, None))):
        events = [*scheduler.submit(work(number, model=model, keep_alive_ns=keep_alive_ns), t_ns)]
        events += run(scheduler, t_ns + 9 * SECOND)
        t_ns += 10 * SECOND
    assert {runner.model.name for runner in scheduler.runners()} == {small.name, third.name}
    assert timings(events)[2].load_ns > 0.5 * SECOND


def test_a_busy_runner_is_waited_for() -> None:
    """A request that needs other options waits until the runner's last request has ended; others keep being served."""
    scheduler, t_ns = warm(replace(CPU, parallel=2))
    scheduler.submit(work(0, n_reply=200), t_ns)
    scheduler.submit(work(1, num_ctx=4096), t_ns + 1000)
    events = [*scheduler.submit(work(2), t_ns + 2000)]
    events += run(scheduler)
    ends = {event.number: event.t_ns for event in events if isinstance(event, Finished)}
    assert ends[2] < ends[0] < ends[1]


def test_without_fast_path_a_burst_overflows() -> None:
    """Before 0.11.5 requests to a loaded model cross the bounded queue too."""
    for fast_path, n_refused in ((True, 0), (False, 595)):
        scheduler, t_ns = warm(replace(CPU, fast_path=fast_path, max_queue=4))
        events = [event for number in range(600) for event in scheduler.submit(work(number), t_ns + SECOND)]
        refused = [event for event in events if isinstance(event, Refused)]
        assert len(refused) == pytest.approx(n_refused, abs=5)


def test_eval_spans_the_gaps_and_first_token_ends_the_prefill() -> None:
    """The first token comes at load + residual + prompt evaluation; n tokens have n - 1 gaps."""
    scheduler, t_ns = warm(CPU)
    events = [*scheduler.submit(work(0, prompt="something else entirely, and longer"), t_ns), *run(scheduler)]
    stamps = [event.t_ns for event in events if isinstance(event, TokenSampled) and event.number == 0]
    timing = timings(events)[0]
    before = timing.load_ns + timing.queue_ns + timing.prompt_eval_ns
    assert stamps[0] - t_ns == pytest.approx(before, abs=1_000_000)
    assert stamps[-1] - stamps[0] == timing.eval_ns


def test_busy_slots_slow_each_other() -> None:
    """Two requests at once each decode slower than one alone, by the machine's sharing."""
    rates = {}
    for n in (1, 2):
        scheduler, t_ns = warm(replace(CPU, parallel=2))
        events = [event for number in range(n) for event in scheduler.submit(work(number, n_reply=300), t_ns)]
        timing = timings(events + run(scheduler))[0]
        rates[n] = (timing.n_generated - 1) / timing.eval_ns
    assert rates[1] / rates[2] == pytest.approx(1 + CPU.hardware.sharing, rel=0.05)


@settings(max_examples=60, deadline=None)
@given(
    arrivals=st.lists(
        st.tuples(st.integers(0, 3 * SECOND), st.sampled_from([1024, 2048]), st.integers(0, 40), st.booleans()),
        min_size=1,
        max_size=25,
    ),
    parallel=st.integers(1, 4),
    max_queue=st.integers(0, 6),
)
def test_any_traffic_adds_up(arrivals: list[tuple[int, int, int, bool]], parallel: int, max_queue: int) -> None:
    """Each request ends once: done, refused or cancelled; parts sum to totals; no slot is left taken."""
    scheduler = Scheduler(replace(CPU, parallel=parallel, max_queue=max_queue))
    events: list[Event] = []
    cancelled = set()
    for number, (t_ns, num_ctx, n_reply, leaves) in enumerate(sorted(arrivals)):
        events += scheduler.submit(work(number, num_ctx=num_ctx, n_reply=n_reply), t_ns)
        if leaves:
            cancelled.add(number)
            events += scheduler.cancel(number, t_ns)
    events += run(scheduler)
    ended = [event.number for event in events if isinstance(event, Finished | Refused)]
    assert len(ended) == len(set(ended))
    assert set(ended) | cancelled == set(range(len(arrivals)))
    assert scheduler.queue_lengths() == (0, 0, 0)
    assert [event.t_ns for event in events] == sorted(event.t_ns for event in events)
    for number, timing in timings(events).items():
        n_reply = sorted(arrivals)[number][2]
        assert timing.n_generated == n_reply
        assert timing.queue_ns >= 0
        assert timing.total_ns == timing.load_ns + timing.queue_ns + timing.prompt_eval_ns + timing.eval_ns


def test_same_seed_same_times() -> None:
    """The same requests at the same times have the same events."""

    def history() -> list[Event]:
        scheduler = Scheduler(replace(CPU, parallel=2, seed=3))
        events = [event for number in range(6) for event in scheduler.submit(work(number), number * 1000)]
        return events + run(scheduler)

    assert history() == history()


def test_unload_on_request() -> None:
    """keep_alive 0 without a prompt unloads an idle model at once."""
    scheduler, t_ns = warm(CPU)
    events = [*scheduler.submit(work(0, kind="unload"), t_ns), *run(scheduler, t_ns + SECOND)]
    assert timings(events)[0].n_generated == 0
    assert scheduler.runners() == []
