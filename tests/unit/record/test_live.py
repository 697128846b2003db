"""Promises of the accounting as it is wired: the identities hold at every scrape, of real concurrent programs too."""

from __future__ import annotations

import asyncio
import contextvars
import random
import threading
from collections.abc import Awaitable, Callable, Coroutine, Generator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeAlias

import pytest

import agentgauge as ag
from agentgauge.model.span import Phases
from agentgauge.record.snapshot import Snapshot
from agentgauge.testing import FakeClock, Recording, recording

Job: TypeAlias = Callable[[str], Coroutine[Any, Any, None]]


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def records(clock: FakeClock) -> Generator[Recording]:
    with recording(clock) as fresh:
        yield fresh


def values(snapshot: Snapshot, name: str) -> dict[tuple[str, ...], int]:
    """Return a metric's exact integers by label values, without the zeros."""
    for family, size in zip(snapshot.families, snapshot.sizes, strict=True):
        if family.metric.name == name:
            pairs = zip(family.keys[:size], family.starts, strict=False)
            return {labels: snapshot.values[start] for labels, start in pairs if snapshot.values[start]}
    raise AssertionError(name)


def taken(records: Recording, name: str) -> dict[tuple[str, ...], int]:
    return values(records.recorder.ledger.snapshot(), name)


def seconds(records: Recording, name: str) -> dict[str, float]:
    """Return a metric in seconds by its labels but the agent, joined with slashes."""
    return {"/".join(labels[1:]): ns / 1e9 for labels, ns in taken(records, name).items()}


def check_identities(snapshot: Snapshot) -> tuple[int, int]:
    """Check I1, I3 and I8 on one scrape; return state and path nanoseconds."""
    path = sum(values(snapshot, "agent_task_path_seconds_total").values())
    state = sum(values(snapshot, "agent_task_state_seconds_total").values())
    assert path == sum(values(snapshot, "agent_root_task_seconds_total").values())
    assert state >= path
    assert values(snapshot, "agentgauge_accounting_error_seconds") == {}
    own = [n for labels, n in values(snapshot, "agent_task_path_calls_total").items() if labels[1] == "own"]
    paths = values(snapshot, "agent_tasks_total")
    assert sum(own) <= sum(paths.values())
    return state, path


def test_a_task_is_partitioned(records: Recording, clock: FakeClock) -> None:
    """Path and state seconds of a small task are those of its program, phases included."""
    with ag.task(agent="a"):
        with ag.llm_call(model="m") as call:
            clock.advance(3)
            call.phases(Phases(queue_ns=1_000_000_000, prefill_ns=500_000_000, decode_ns=1_500_000_000))
        clock.advance(0.25)
        with ag.tool_call("t"):
            clock.advance(2)
    assert seconds(records, "agent_task_path_seconds_total") == {
        "queue/m/met": 1,
        "prefill/m/met": 0.5,
        "decode/m/met": 1.5,
        "own//met": 0.25,
        "tool/t/met": 2,
    }
    assert seconds(records, "agent_task_state_seconds_total") == {"llm": 3, "own": 0.25, "tool": 2}
    assert seconds(records, "agent_task_solo_seconds_total")["tool/t"] == 2
    calls = taken(records, "agent_task_path_calls_total")
    assert calls == {("a", "llm", "m", "met"): 1, ("a", "own", "", "met"): 1, ("a", "tool", "t", "met"): 1}


def test_work_in_flight_shows_at_every_scrape(records: Recording, clock: FakeClock) -> None:
    """State seconds grow while a task runs; path seconds wait for its end."""
    with ag.task(agent="a"), ag.tool_call("t"):
        clock.advance(2)
        assert seconds(records, "agent_task_state_seconds_total") == {"tool": 2}
        clock.advance(1)
        assert seconds(records, "agent_task_state_seconds_total") == {"tool": 3}
        assert taken(records, "agent_task_path_seconds_total") == {}
    assert seconds(records, "agent_task_path_seconds_total") == {"tool/t/met": 3}


def test_states_and_paths_exist_at_zero_from_the_start(records: Recording) -> None:
    """What will be counted is there at 0 before it is: a first increment shows in ``rate()``."""
    with ag.task(agent="a"), ag.tool_call("t"):
        samples = records.collected()
    for state in ("backoff", "llm", "own", "tool", "wait", "llm+tool"):
        assert samples[f'agent_task_state_seconds_total{{agent="a",state="{state}"}}'] == 0
    for slo in ("met", "missed"):
        labels = f'agent="a",component="tool",name="t",slo="{slo}"'
        assert samples[f"agent_task_path_seconds_total{{{labels}}}"] == 0


def test_sub_agents_are_parts_of_their_root(records: Recording, clock: FakeClock) -> None:
    """Only root tasks feed the partitions; a sub-agent's own code is component ``agent``."""
    with ag.task(agent="outer"), ag.task(agent="inner"):
        clock.advance(1)
        with ag.tool_call("t"):
            clock.advance(2)
    assert taken(records, "agent_task_path_seconds_total") == {
        ("outer", "agent", "inner", "met"): 1_000_000_000,
        ("outer", "tool", "t", "met"): 2_000_000_000,
    }
    assert taken(records, "agent_root_task_seconds_total") == {("outer",): 3_000_000_000}
    assert ("inner",) in taken(records, "agent_task_duration_seconds")


def test_waits_are_spans(records: Recording, clock: FakeClock) -> None:
    """``wait`` and ``limit`` charge the wait, not what follows it."""
    slots = ag.limit(threading.Semaphore(1), "slots")
    with ag.task(agent="a"):
        with ag.wait("approval"):
            clock.advance(2)
        with slots:
            clock.advance(1)
        with ag.wait("again", component="backoff"):
            clock.advance(4)
    found = seconds(records, "agent_task_path_seconds_total")
    assert found == {"wait/approval/met": 2, "own//met": 1, "backoff/again/met": 4}
    assert ("a", "wait", "slots", "met") in taken(records, "agent_task_path_calls_total")


def test_attempts_and_the_pauses_between_them_share_a_call(records: Recording, clock: FakeClock) -> None:
    """Each attempt begins when the pause before it is over, however many there are."""
    with ag.task(agent="a"), ag.llm_call(model="m") as call:
        for _ in range(2):
            clock.advance(3)
            call.attempt("retried")
            pause = call.backoff()
            clock.advance(2)
            pause.finish()
        clock.advance(1)
        call.attempt("ok")
        call.phases(Phases(decode_ns=1_000_000_000))
    found = {"retry/m": 6.0, "backoff/m": 4.0, "decode/m": 1.0}
    assert seconds(records, "agent_task_path_seconds_total") == {f"{key}/met": value for key, value in found.items()}
    assert seconds(records, "agent_task_solo_seconds_total") == found


@pytest.mark.parametrize("length", [None, "x", -1, float("nan")])
def test_phases_that_are_no_times_cost_only_themselves(clock: FakeClock, length: Any) -> None:
    """What a host says of phases is counted where it can be; the call, its time and the next ones always are."""
    fraction: Any = 0.25e9
    with recording(clock, strict=False) as records:
        for phases in (Phases(decode_ns=length), Phases(decode_ns=fraction)):
            with ag.task(agent="a"), ag.llm_call(model="m") as call:
                clock.advance(1)
                call.phases(phases)
        assert seconds(records, "agent_task_path_seconds_total") == {
            "llm/m/met": 1.0,
            "decode/m/met": 0.25,
            "network/m/met": 0.75,
        }
        assert taken(records, "agent_llm_calls_total") == {("a", "m", "success"): 2}
        assert taken(records, "agentgauge_record_errors_total") == {("llm_phases",): 1}
        clock.advance(5)
        assert taken(records, "agent_llm_concurrency_seconds_total")["m", "0"] == 5_000_000_000


async def test_limit_takes_asyncio(records: Recording) -> None:
    """Semaphores, locks and queues of asyncio are awaited as ever."""
    queue: asyncio.Queue[int] = asyncio.Queue(1)
    limited, lock = ag.limit(queue), ag.limit(asyncio.Lock())
    async with ag.task(agent="a"), lock:
        await limited.put(1)
        assert await limited.get() == 1
    names = {labels[2] for labels in taken(records, "agent_task_path_calls_total")}
    assert names == {"", "queue", "lock"}


def test_detached_work_enters_no_partition(records: Recording, clock: FakeClock) -> None:
    """What outlives its task, or was started as detached, counts as detached only."""
    with ag.task(agent="a"):
        late = ag.tool_call("late").start()
        own = ag.tool_call("own", detached=True).start()
        clock.advance(10)
    clock.advance(50)
    late.finish()
    own.finish()
    assert seconds(records, "agent_task_path_seconds_total") == {"tool/late/met": 10}
    assert taken(records, "agent_detached_seconds_total") == {("a",): 110_000_000_000}


def test_slo_sides(records: Recording, clock: FakeClock) -> None:
    """A whole task goes to one side: by its own target, by its agent's, else by the running p95."""
    with ag.task(agent="a", slo_s=1):
        clock.advance(2)
    records.recorder.live.objectives.set({"b": 5})
    with ag.task(agent="b"):
        clock.advance(2)
    for duration in [1] * 40 + [9]:
        with ag.task(agent="c"):
            clock.advance(duration)
    path = taken(records, "agent_task_path_seconds_total")
    assert ("a", "own", "", "missed") in path
    assert ("b", "own", "", "met") in path
    assert path["c", "own", "", "missed"] == 9_000_000_000


@pytest.mark.parametrize("nonsense", ["1 s", float("nan"), float("inf"), -1, 0])
def test_a_target_that_is_no_length_of_time_is_refused(records: Recording, clock: FakeClock, nonsense: Any) -> None:
    """The task is measured all the same, against its agent's objective."""
    records.recorder.live.objectives.set({"a": 1})
    with ag.task(agent="a", slo_s=nonsense):
        clock.advance(2)
    assert taken(records, "agent_task_path_seconds_total")["a", "own", "", "missed"] == 2_000_000_000
    assert taken(records, "agentgauge_record_errors_total") == {("slo",): 1}
    assert taken(records, "agent_active_count") == {}


def test_overdue_tasks_show_while_they_run(records: Recording, clock: FakeClock) -> None:
    """A running task past its objective is overdue until it ends."""
    records.recorder.live.objectives.set({"a": 5})
    with ag.task(agent="a"):
        assert taken(records, "agent_tasks_overdue") == {}
        clock.advance(6)
        assert taken(records, "agent_tasks_overdue") == {("a",): 1}
    assert taken(records, "agent_tasks_overdue") == {}


def test_calls_in_a_child_forked_inside_a_task_count(records: Recording) -> None:
    """The task is the parent's, and may not even have begun there; what the child calls is the child's."""
    with ag.task(agent="a"):
        records.recorder.ledger.after_fork()
        with ag.tool_call("t"), ag.llm_call("m") as call:
            call.usage(1, 2)
    assert taken(records, "agent_tool_calls_total") == {("a", "t", "success"): 1}
    assert taken(records, "agent_llm_calls_total") == {("a", "m", "success"): 1}
    assert taken(records, "agent_tasks_total") == {}
    assert taken(records, "agentgauge_record_errors_total") == {}


def test_a_task_in_a_forked_child_is_a_root(records: Recording, clock: FakeClock) -> None:
    """As one in a spawned child is: the tree of the task around the fork is in another process."""
    with ag.task(agent="a"), ag.tool_call("pool"):
        records.recorder.ledger.after_fork()
        with ag.task(agent="job"), ag.tool_call("t"):
            clock.advance(2)
    assert seconds(records, "agent_task_path_seconds_total") == {"tool/t/met": 2}
    assert taken(records, "agent_root_task_seconds_total") == {("job",): 2_000_000_000}
    check_identities(records.recorder.ledger.snapshot())


def test_an_attempt_in_which_a_tool_ran(records: Recording, clock: FakeClock) -> None:
    """The attempt that was repeated lies beside the tool, so the path goes through one of them, once."""
    with ag.task(agent="a"), ag.llm_call("m") as call:
        clock.advance(1)
        with ag.tool_call("t"):
            clock.advance(4)
        clock.advance(1)
        call.attempt("retried")
        clock.advance(2)
        call.attempt("ok")
    path = seconds(records, "agent_task_path_seconds_total")
    assert path == {"retry/m/met": 6, "llm/m/met": 2}
    check_identities(records.recorder.ledger.snapshot())


def test_token_fates_sum_to_the_tokens(records: Recording) -> None:
    """Useful, repeated, retried or of a failed task: every token of an ended task has one fate."""

    def call(tokens: int, status: str = "success", answer: str = "x") -> None:
        operation = ag.llm_call(model="m").start()
        operation.arguments("the same")
        operation.result(answer)
        operation.usage(prompt=tokens, completion=0)
        operation.finish(status)  # type: ignore[arg-type]

    with ag.task(agent="a"):
        call(650)
        call(150)
        call(200, "timeout", "none")

    @ag.task(agent="a")
    def fail() -> None:
        call(1_000)
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        fail()
    fates = {labels[3]: n for labels, n in taken(records, "agent_token_fate_total").items()}
    assert fates == {"useful": 650, "repeated": 150, "retried": 200, "failed_task": 1_000}
    assert sum(fates.values()) == sum(taken(records, "agent_token_usage_total").values())


def test_repeated_tool_calls(records: Recording) -> None:
    """Same arguments and same result repeat; same arguments with another result is polling."""
    state = iter([1, 2, 2])

    @ag.tool_call
    def poll(query: dict[str, object]) -> int:
        return next(state)

    with ag.task(agent="a"):
        poll({"a": 1, "b": "x  y"})
        poll({"b": "x y", "a": 1})
        poll({"b": "x y", "a": 1})
    assert taken(records, "agent_repeated_calls_total") == {("a", "tool", "poll"): 1}


def test_concurrency_of_the_specification(records: Recording, clock: FakeClock) -> None:
    """Call A streams alone, then beside B: seconds and tokens at each level are those of the specification."""
    a = ag.llm_call(model="m").start()
    for _ in range(225):
        a.chunk()
    clock.advance(5)
    b = ag.llm_call(model="m").start()
    for _ in range(175):
        a.chunk()
        b.chunk()
    clock.advance(5)
    for call, tokens in ((a, 400), (b, 175)):
        call.usage(completion=tokens)
        call.finish()
    found = taken(records, "agent_llm_concurrency_seconds_total")
    assert {labels[1]: ns for labels, ns in found.items()} == {"1": 5_000_000_000, "2": 5_000_000_000}
    tokens_by_level = {labels[1]: n for labels, n in taken(records, "agent_llm_concurrency_tokens_total").items()}
    assert tokens_by_level == {"1": 225, "2": 350}


async def test_gathered_branches_get_nodes_of_their_own() -> None:
    """Two gathered coroutines of several steps each do not mix: the path follows one of them."""
    with recording() as records:
        steps = {"a": asyncio.Event(), "d": asyncio.Event()}

        async def branch(first: str, second: str) -> None:
            with ag.tool_call(first):
                steps[first].set()
                await asyncio.gather(*(event.wait() for event in steps.values()))
            with ag.tool_call(second):
                for _ in range(3 if second == "c" else 1):
                    await asyncio.sleep(0.002)

        async with ag.task(agent="x"):
            await asyncio.gather(branch("a", "c"), branch("d", "f"))
        path = taken(records, "agent_task_path_seconds_total")
        names = {labels[2] for labels in path if labels[1] == "tool"}
        assert "c" in names
        assert "f" not in names
        check_identities(records.recorder.ledger.snapshot())


async def in_asyncio_tasks(job: Job) -> None:
    await asyncio.gather(asyncio.create_task(job("b")), job("c"))


async def in_a_thread(job: Job) -> None:
    await asyncio.to_thread(asyncio.run, job("c"))


async def in_a_pool(job: Job) -> None:
    with ag.propagate(ThreadPoolExecutor(1)) as pool:
        await asyncio.wrap_future(pool.submit(asyncio.run, job("c")))


@pytest.mark.parametrize("fan_out", [in_asyncio_tasks, in_a_thread, in_a_pool])
async def test_what_one_of_several_lines_starts_stands_below_it(
    records: Recording, clock: FakeClock, fan_out: Callable[[Job], Awaitable[None]]
) -> None:
    """A gathered worker that takes a step and then fans out waits for what it began: its time is not its own."""
    all_began = asyncio.Event()

    async def step(name: str) -> None:
        with ag.tool_call(name):
            if name == "c":
                for _ in range(3):
                    await asyncio.sleep(0)  # by now the other is over
                clock.advance(2)

    async def worker() -> None:
        with ag.llm_call(model="m"):
            await all_began.wait()
            clock.advance(1)
        for _ in range(3):
            await asyncio.sleep(0)  # by now the sibling is over
        await fan_out(step)
        with ag.llm_call(model="m"):
            clock.advance(1)

    async def sibling() -> None:
        with ag.tool_call("z"):
            all_began.set()
            await asyncio.sleep(0)

    async with ag.task(agent="a"):
        await asyncio.gather(worker(), sibling())
    path = seconds(records, "agent_task_path_seconds_total")
    assert path == {"llm/m/met": 2, "tool/c/met": 2}
    assert "own+tool" not in seconds(records, "agent_task_state_seconds_total")
    check_identities(records.recorder.ledger.snapshot())


@pytest.mark.parametrize("is_under_way", [True, False])
async def test_what_outlasts_the_line_that_started_it(records: Recording, clock: FakeClock, is_under_way: bool) -> None:
    """A worker returns what still runs, and the task waits for it: it counts, whether it had begun by then or not."""
    go_on = asyncio.Event()
    left: list[asyncio.Task[None]] = []

    async def background() -> None:
        if not is_under_way:
            await go_on.wait()
        with ag.tool_call("late"):
            await go_on.wait()
            clock.advance(3)

    async def worker() -> None:
        with ag.tool_call("first"):
            clock.advance(1)
        left.append(asyncio.create_task(background()))
        await asyncio.sleep(0)

    async with ag.task(agent="a"):
        await asyncio.gather(worker(), asyncio.sleep(0))
        go_on.set()
        await asyncio.gather(*left)
        clock.advance(0.5)
    path = seconds(records, "agent_task_path_seconds_total")
    assert path == {"tool/first/met": 1, "tool/late/met": 3, "own//met": 0.5}
    assert taken(records, "agent_detached_seconds_total") == {}
    check_identities(records.recorder.ledger.snapshot())


async def test_what_outlasts_its_task_is_detached_however_deep(records: Recording, clock: FakeClock) -> None:
    """Of a line left behind by another, the part after the task's end counts as detached and no other."""
    go_on = asyncio.Event()
    left: list[asyncio.Task[None]] = []

    async def background() -> None:
        with ag.tool_call("late"):
            await go_on.wait()

    async def worker() -> None:
        with ag.tool_call("first"):
            clock.advance(1)
        left.append(asyncio.create_task(background()))
        await asyncio.sleep(0)

    async with ag.task(agent="a"):
        await asyncio.gather(worker(), asyncio.sleep(0))
        clock.advance(2)
    clock.advance(4)
    go_on.set()
    await asyncio.gather(*left)
    assert seconds(records, "agent_task_path_seconds_total") == {"tool/first/met": 1, "tool/late/met": 2}
    assert taken(records, "agent_detached_seconds_total") == {("a",): 4_000_000_000}
    check_identities(records.recorder.ledger.snapshot())


async def test_a_worker_that_fans_out_before_its_first_call(records: Recording, clock: FakeClock) -> None:
    """Who made an asyncio task is known from when it was made: what a worker waits for first stands below it too."""

    async def step(name: str, length_s: float) -> None:
        with ag.tool_call(name):
            await asyncio.sleep(0)
            clock.advance(length_s)

    async def worker() -> None:
        await asyncio.gather(step("b", 2))
        await asyncio.sleep(0)
        await step("c", 1)

    async def sibling() -> None:
        await step("z", 0)
        while clock.monotonic_ns() < 2_000_000_000:
            await asyncio.sleep(0)
        await step("y", 0)

    async with ag.task(agent="a"):
        await asyncio.gather(worker(), sibling())
    path = seconds(records, "agent_task_path_seconds_total")
    assert path["tool/b/met"] == 2
    assert path["tool/c/met"] == 1


async def test_the_loop_keeps_the_task_factory_that_it_has(records: Recording) -> None:
    """Tasks are made as the host wants them, inside agents' tasks and out of them, and the loop is followed once."""
    made: list[str] = []

    def factory(loop: asyncio.AbstractEventLoop, coro: Any, **options: Any) -> Any:
        made.append(coro.__name__)
        if coro.__name__ == "refused":
            coro.close()
            raise RuntimeError("not here")
        return asyncio.Task(coro, loop=loop, **options)

    async def allowed() -> None:
        with ag.tool_call("t"):
            await asyncio.sleep(0)

    async def refused() -> None:
        raise AssertionError

    loop = asyncio.get_running_loop()
    before = loop.get_task_factory()
    loop.set_task_factory(factory)
    try:
        for _ in range(2):
            async with ag.task(agent="a"):
                await asyncio.create_task(allowed())
                await asyncio.create_task(allowed(), context=contextvars.copy_context())
                with pytest.raises(RuntimeError, match="not here"):
                    await asyncio.create_task(refused())
        await asyncio.create_task(allowed())
    finally:
        loop.set_task_factory(before)
    assert made == ["allowed", "allowed", "refused"] * 2 + ["allowed"]
    assert taken(records, "agent_tool_calls_total")["a", "t", "success"] == 4
    assert taken(records, "agentgauge_record_errors_total") == {}
    check_identities(records.recorder.ledger.snapshot())


async def test_asyncio_tasks_without_calls_leave_nothing(records: Recording) -> None:
    """A long task that makes asyncio tasks by the ten thousand keeps none of them, and is not capped by them."""

    async def nothing() -> None:
        await asyncio.sleep(0)

    async with ag.task(agent="a") as running:
        for _ in range(110):
            await asyncio.gather(*(nothing() for _ in range(100)))
        records.recorder.ledger.catch_up()
        assert running.live is not None
        timeline = running.live.timeline
        assert (timeline.n_nodes, timeline.root.n_open, timeline.root.children) == (1, 0, None)
    assert taken(records, "agent_task_doubts_total") == {}
    check_identities(records.recorder.ledger.snapshot())


async def test_background_that_nobody_waits_for_is_its_calls_alone(records: Recording, clock: FakeClock) -> None:
    """A consumer that waits for work all along, and is cancelled at the end, takes no time from who works meanwhile."""
    queue: asyncio.Queue[float] = asyncio.Queue()

    async def consume() -> None:
        while True:
            length_s = await queue.get()
            with ag.tool_call("store"):
                clock.advance(length_s)
            queue.task_done()

    async def listen() -> None:
        await asyncio.Event().wait()

    async with ag.task(agent="a"):
        background = [asyncio.create_task(consume()), asyncio.create_task(listen())]
        await asyncio.sleep(0)
        with ag.tool_call("think"):
            clock.advance(5)
        await queue.put(2)
        await queue.join()
        with ag.tool_call("think"):
            clock.advance(3)
        for each in background:
            each.cancel()
        await asyncio.gather(*background, return_exceptions=True)
    assert seconds(records, "agent_task_path_seconds_total") == {
        "tool/think/met": 8,
        "tool/store/met": 2,
    }
    assert seconds(records, "agent_task_solo_seconds_total") == {"tool/think": 8, "tool/store": 2}
    check_identities(records.recorder.ledger.snapshot())


async def test_lines_inside_a_call_have_its_name(records: Recording, clock: FakeClock) -> None:
    """Whatever a call is called by the time it ends, the own time of the lines in it is that call's."""

    async def line() -> None:
        with ag.tool_call("t"):
            clock.advance(1)
        await asyncio.sleep(0)
        clock.advance(1)

    async with ag.task(agent="a"):
        with ag.llm_call(model="asked") as call:
            await asyncio.gather(line())
            call.set_model("answered")
    path = seconds(records, "agent_task_path_seconds_total")
    assert path == {"tool/t/met": 1, "llm/answered/met": 1}


async def test_a_worker_that_outlives_its_first_task_runs_tasks_of_their_own(
    records: Recording, clock: FakeClock
) -> None:
    """A background worker that the first request started lazily serves later ones: each is a root task."""
    requests: asyncio.Queue[asyncio.Event] = asyncio.Queue()

    async def work() -> None:
        while True:
            done = await requests.get()
            with ag.task(agent="worker"), ag.tool_call("t"):
                clock.advance(1)
            done.set()

    async def ask() -> None:
        await requests.put(done := asyncio.Event())
        await done.wait()

    async with ag.task(agent="first"):
        worker = asyncio.create_task(work())
        await ask()
    for _ in range(3):
        await ask()
    worker.cancel()
    roots = taken(records, "agent_root_task_seconds_total")
    assert {labels[0]: ns for labels, ns in roots.items()} == {"first": 1_000_000_000, "worker": 3_000_000_000}
    path = taken(records, "agent_task_path_seconds_total")
    assert path["worker", "tool", "t", "met"] == 3_000_000_000
    assert taken(records, "agent_detached_seconds_total") == {}
    check_identities(records.recorder.ledger.snapshot())


def run_thread_agent(seed: int) -> None:
    chance = random.Random(seed)
    with ag.task(agent=f"t{seed % 3}"), ag.propagate(ThreadPoolExecutor(3)) as pool:

        def use(i: int) -> None:
            with ag.tool_call(f"tool{i % 4}"):
                call = ag.llm_call(model="m").start()
                call.usage(prompt=1, completion=2)
                if chance.random() < 0.9:
                    call.finish()

        list(pool.map(use, range(10)))


async def run_asyncio_agent(seed: int) -> None:
    chance = random.Random(seed)

    async def use(i: int) -> None:
        async with ag.tool_call(f"tool{i % 4}"):
            await asyncio.sleep(chance.random() / 500)
            with ag.llm_call(model="m") as call:
                await asyncio.sleep(chance.random() / 500)
                call.usage(prompt=1, completion=2)

    async def run() -> None:
        async with ag.task(agent=f"a{seed % 3}"):
            await asyncio.gather(*(use(i) for i in range(6)))
            async with ag.task(agent="sub"):
                await use(1)

    job = asyncio.create_task(run())
    if chance.random() < 0.3:
        asyncio.get_running_loop().call_later(0.002, job.cancel)
    await asyncio.wait([job])


def test_identities_hold_beside_threads_and_asyncio() -> None:
    """Scraped from another thread while threads and event loops work, every scrape satisfies the identities."""
    with recording() as records:
        done = threading.Event()
        failures: list[BaseException] = []

        def scrape() -> None:
            try:
                while not done.is_set():
                    check_identities(records.recorder.ledger.snapshot())
            except BaseException as error:
                failures.append(error)

        async def everyone() -> None:
            await asyncio.gather(*(run_asyncio_agent(seed) for seed in range(40)))

        workers = [threading.Thread(target=run_thread_agent, args=(seed,)) for seed in range(12)]
        workers.append(threading.Thread(target=lambda: asyncio.run(everyone())))
        scraper = threading.Thread(target=scrape)
        for thread in (scraper, *workers):
            thread.start()
        for thread in workers:
            thread.join()
        done.set()
        scraper.join()
        assert failures == []
        snapshot = records.recorder.ledger.snapshot()
        state, path = check_identities(snapshot)
        assert state == path
        assert values(snapshot, "agent_active_count") == {}
        own = [n for labels, n in values(snapshot, "agent_task_path_calls_total").items() if labels[1] == "own"]
        assert sum(own) == 52


def test_ten_thousand_tasks_at_once(records: Recording, clock: FakeClock) -> None:
    """Ten thousand running tasks are scraped and end like one."""
    running = [ag.task(agent="a").start() for _ in range(10_000)]
    clock.advance(1)
    assert taken(records, "agent_task_state_seconds_total") == {("a", "own"): 10_000 * 10**9}
    for operation in running:
        operation.finish()
    assert taken(records, "agent_root_task_seconds_total") == {("a",): 10_000 * 10**9}
    assert taken(records, "agent_active_count") == {}


def test_tasks_of_a_handler_leave_the_gauge_where_it_was(records: Recording, clock: FakeClock) -> None:
    """A task that begins and ends in a handler, while its thread is inside the ledger, does not stay active."""

    def handler() -> None:
        with ag.task(agent="a"), ag.task(agent="sub"):
            clock.advance(1)

    for _ in range(3):
        records.recorder.ledger.apply(handler)
    assert taken(records, "agent_active_count") == {}
    assert sum(taken(records, "agent_tasks_total").values()) == 6
