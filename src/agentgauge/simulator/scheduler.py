"""Who gets a model and a slot, and when: Ollama's scheduler as a pure state machine, times in and events out.

Theory of operation. A request arrives at t0. When a runner with its weights and its options is loaded it is used at
once; else the request joins a bounded queue (full: 503) that one worker empties one request at a time. The worker
evicts (the idle runner that would expire first; none idle: it waits), gives the memory time to come back, and loads.
From t0 to the runner, t1, is the request's ``load_duration``; waiting behind other loads is inside it. Then the
prompt is prepared, and the request waits for one of the runner's slots in the order of arrival, unbounded and in no
field; it is what remains of the total after load, prompt and generation. In the slot, t2, the prompt's uncached
tokens are processed; the first token comes at t3, the others follow in gaps, the last at t4. Then the slot is free,
and the runner stays for its keep-alive, counted from when its last request ended.

Planned steps lie in a heap; a step is void when its job has moved on (``epoch``). ``next_ns`` says when ``advance``
has something to do; the edge sleeps until then. All times are nanoseconds of one clock that the caller owns; speed
divides every duration but keep-alive. Nothing here knows asyncio, sockets or the time of day.
"""

from __future__ import annotations

import heapq
import itertools
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

from agentgauge.simulator.presets import Hardware, Model
from agentgauge.simulator.runner import Job, Options, Runner, Slot, Work

BUSY = "server busy, please try again.  maximum pending requests exceeded"
FOREVER_NS = (1 << 63) - 1
_ONE_SLOT = ("bert", "nomic-bert", "mllama", "qwen3vl", "qwen3vlmoe", "qwen35", "qwen35moe", "qwen3next", "lfm2")


@dataclass(frozen=True, slots=True)
class Settings:
    """What an administrator sets with OLLAMA_* variables, and the machine.

    Attributes:
        parallel: OLLAMA_NUM_PARALLEL. max_queue: OLLAMA_MAX_QUEUE. keep_alive_ns: OLLAMA_KEEP_ALIVE.
        max_loaded: OLLAMA_MAX_LOADED_MODELS; 0 = three per GPU.
        fast_path: a loaded model bypasses the pending queue (0.11.5 and newer).
    """

    hardware: Hardware
    parallel: int = 1
    max_queue: int = 512
    max_loaded: int = 0
    keep_alive_ns: int = 300_000_000_000
    fast_path: bool = True
    speed: float = 1.0
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Timing:
    """Where a finished request's time went, nanoseconds, and its tokens. Zeros where a phase was not reached."""

    total_ns: int
    load_ns: int = 0
    prompt_eval_ns: int = 0
    eval_ns: int = 0
    n_prompt: int = 0
    n_cached: int = 0
    n_generated: int = 0

    @property
    def queue_ns(self) -> int:
        """What remains of the total: the wait for a slot, and some milliseconds of preparation."""
        return self.total_ns - self.load_ns - self.prompt_eval_ns - self.eval_ns


@dataclass(frozen=True, slots=True)
class Refused:
    """The request is answered with an error."""

    number: int
    t_ns: int
    status: int
    message: str


@dataclass(frozen=True, slots=True)
class TokenSampled:
    """A token of the reply left the model; ``index`` counts from 0."""

    number: int
    t_ns: int
    index: int


@dataclass(frozen=True, slots=True)
class Finished:
    """The request is done."""

    number: int
    t_ns: int
    timing: Timing


Event: TypeAlias = Refused | TokenSampled | Finished


@dataclass(order=True, slots=True)
class _Step:
    t_ns: int
    order: int
    act: Callable[[int], None] = field(compare=False)
    job: Job | None = field(compare=False, default=None)
    epoch: int = field(compare=False, default=0)


class Scheduler:
    """The scheduler's state. Each method takes the time and returns the events that it brought about, in order.

    Thread-safety: none; one owner.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._jobs: dict[int, Job] = {}
        self._runners: dict[str, Runner] = {}
        self._pending: deque[Job] = deque()
        self._in_hand: Job | None = None  # the one request that the worker took out of the queue
        self._loading: Runner | None = None
        self._resting_until_ns = 0  # memory comes back after an unload; the worker waits
        self._steps: list[_Step] = []
        self._order = itertools.count()
        self._rng = random.Random(settings.seed)
        self._seen: set[str] = set()
        self._out: list[Event] = []

    # -- what the edge calls

    def submit(self, work: Work, t_ns: int) -> list[Event]:
        """Take a request that arrived at this time."""
        self._run_until(t_ns)
        job = Job(work, t_ns, random.Random(f"{self._settings.seed}:{work.seed}"))
        self._jobs[work.number] = job
        runner = self._runners.get(work.model.weights_digest)
        if work.kind == "unload":
            self._unload_on_request(job, runner, t_ns)
        elif self._settings.fast_path and runner and runner.ready and runner.options == work.options:
            self._obtain(job, runner, t_ns)
        elif len(self._pending) >= self._settings.max_queue:
            del self._jobs[work.number]
            self._out.append(Refused(work.number, t_ns, 503, BUSY))
        else:
            self._pending.append(job)
            self._work_on(t_ns)
        return self._taken()

    def cancel(self, number: int, t_ns: int) -> list[Event]:
        """Forget a request whose client went away: its slot is free at once, its load is aborted."""
        self._run_until(t_ns)
        job = self._jobs.pop(number, None)
        if job is None:
            return self._taken()
        job.epoch += 1
        if job in self._pending:
            self._pending.remove(job)
        elif job is self._in_hand:
            self._in_hand = None
            if self._loading is not None:
                del self._runners[self._loading.model.weights_digest]
                self._loading = None
            self._work_on(t_ns)
        elif job.runner is not None:
            self._release(job, t_ns)
        return self._taken()

    def advance(self, t_ns: int) -> list[Event]:
        """Do everything that is due by this time."""
        self._run_until(t_ns)
        return self._taken()

    def next_ns(self) -> int | None:
        """Return when something happens next if nobody calls; None when nothing will."""
        while self._steps and self._void(self._steps[0]):
            heapq.heappop(self._steps)
        return self._steps[0].t_ns if self._steps else None

    def runners(self, *, loading: bool = False) -> list[Runner]:
        """Return the loaded models, the one that stays longest first; with ``loading`` the one being loaded too."""
        shown = [runner for runner in self._runners.values() if runner.ready or loading]
        return sorted(shown, key=lambda r: FOREVER_NS if r.expires_ns is None else r.expires_ns, reverse=True)

    def blocked_until_ns(self) -> int:
        """Return until when ``/api/ps`` blocks behind an unload; a time in the past when it does not."""
        return self._resting_until_ns

    def queue_lengths(self) -> tuple[int, int, int]:
        """Return how many requests wait for a load, wait for a slot, and are in a slot."""
        pending = len(self._pending) + (self._in_hand is not None)
        waiting = sum(len(runner.waiting) for runner in self._runners.values())
        return pending, waiting, sum(1 for r in self._runners.values() for slot in r.slots if slot.job)

    # -- steps

    def _taken(self) -> list[Event]:
        out, self._out = self._out, []
        return out

    def _plan(self, t_ns: int, act: Callable[[int], None], job: Job | None = None) -> None:
        step = _Step(t_ns, next(self._order), act, job, job.epoch if job else 0)
        heapq.heappush(self._steps, step)

    @staticmethod
    def _void(step: _Step) -> bool:
        return step.job is not None and step.job.epoch != step.epoch

    def _run_until(self, t_ns: int) -> None:
        while self._steps and self._steps[0].t_ns <= t_ns:
            step = heapq.heappop(self._steps)
            if not self._void(step):
                step.act(step.t_ns)

    def _spread_ns(self, rng: random.Random, low_s: float, high_s: float) -> int:
        return round(rng.uniform(low_s, high_s) / self._settings.speed * 1e9)

    # -- the worker: one load at a time

    def _work_on(self, t_ns: int) -> None:
        while self._loading is None and t_ns >= self._resting_until_ns:
            if self._in_hand is None:
                if not self._pending:
                    return
                self._in_hand = self._pending.popleft()
            job = self._in_hand
            runner = self._runners.get(job.work.model.weights_digest)
            if runner and runner.options == job.work.options:
                self._in_hand = None
                self._obtain(job, runner, t_ns)
                if not self._settings.fast_path:
                    self._rest(t_ns + self._spread_ns(self._rng, 0.0001, 0.0002))
                continue
            victim = runner or self._victim(job.work)
            if victim is None:
                self._load(job, t_ns)
            elif victim.idle():
                self._unload(victim, t_ns)
                self._rest(t_ns + self._spread_ns(self._rng, *self._settings.hardware.recovery_s))
            else:
                return  # until its last request ends

    def _rest(self, until_ns: int) -> None:
        self._resting_until_ns = until_ns
        self._plan(until_ns, self._work_on)

    def _victim(self, work: Work) -> Runner | None:
        """Return the runner that must go before this work's model fits; None when it fits."""
        if not self._runners:
            return None
        hardware = self._settings.hardware
        n_max = self._settings.max_loaded or 3 * hardware.n_gpus
        free = hardware.vram_bytes - sum(runner.size_bytes for runner in self._runners.values())
        if len(self._runners) < n_max and self._size_bytes(work.model, work.options) <= 0.8 * free:
            return None
        return min(self._runners.values(), key=lambda r: (not r.idle(), r.keep_alive_ns))

    def _n_slots(self, model: Model) -> int:
        alone = model.can("embedding") or model.family.startswith(("nemotron_h", *_ONE_SLOT))
        return 1 if alone else self._settings.parallel

    def _size_bytes(self, model: Model, options: Options) -> int:
        return model.size_bytes + model.kv_bytes_per_token * options.num_ctx * self._n_slots(model)

    def _load(self, job: Job, t_ns: int) -> None:
        work, hardware = job.work, self._settings.hardware
        size = self._size_bytes(work.model, work.options)
        vram = min(size, hardware.vram_bytes) if hardware.gpu else 0
        slots = [Slot() for _ in range(self._n_slots(work.model))]
        runner = Runner(work.model, work.options, hardware, self._settings.speed, slots, vram, size)
        runner.keep_alive_ns = self._settings.keep_alive_ns
        self._runners[work.model.weights_digest] = self._loading = runner
        reading_s = work.model.size_bytes / hardware.storage_bytes_per_s
        if work.model.weights_digest in self._seen:
            reading_s /= 4  # from the page cache
        self._seen.add(work.model.weights_digest)
        self._plan(t_ns + round((reading_s + hardware.start_s) / self._settings.speed * 1e9), self._loaded, job)

    def _loaded(self, t_ns: int) -> None:
        job, runner = self._in_hand, self._loading
        assert job is not None, "BUG: a load ended that nobody waits for"
        assert runner is not None, "BUG: a load ended of no runner"
        self._in_hand = self._loading = None
        runner.ready = True
        self._obtain(job, runner, t_ns)
        self._work_on(t_ns)

    # -- runners come and go

    def _obtain(self, job: Job, runner: Runner, t_ns: int) -> None:
        job.runner = runner
        runner.refs[job.work.number] = job
        runner.expires_ns = None
        if job.work.keep_alive_ns is not None:
            runner.keep_alive_ns = job.work.keep_alive_ns
        fresh = t_ns > job.t0_ns
        low, high = (0.0002, 0.001) if fresh else self._settings.hardware.warm_load_s
        self._plan(t_ns + self._spread_ns(job.rng, low, high), lambda t1_ns: self._prepare(job, t1_ns), job)

    def _prepare(self, job: Job, t_ns: int) -> None:
        job.t1_ns = t_ns
        if job.work.kind == "load":
            self._finish(job, t_ns)
            return
        ready_ns = (
            t_ns + self._spread_ns(job.rng, 0.0015, 0.0024) + round(len(job.work.prompt) * 400 / self._settings.speed)
        )
        self._plan(ready_ns, lambda t: self._queue(job, t), job)

    def _unload_on_request(self, job: Job, runner: Runner | None, t_ns: int) -> None:
        if runner and runner.ready:
            runner.keep_alive_ns = 0
            if runner.idle():
                self._unload(runner, t_ns)
        self._plan(t_ns + self._spread_ns(job.rng, 0.002, 0.004), lambda t: self._finish(job, t), job)

    def _unload(self, runner: Runner, _t_ns: int) -> None:
        del self._runners[runner.model.weights_digest]

    def _release(self, job: Job, t_ns: int) -> None:
        """Give back a job's slot and its hold on the runner; the next in line gets the slot at once."""
        runner, slot = job.runner, job.slot
        if runner is None:
            return
        if slot is not None:
            slot.held = job.work.prompt + job.work.reply[: job.n_generated]
            slot.job, slot.used_ns = None, t_ns
        elif job in runner.waiting:
            runner.waiting.remove(job)
        runner.refs.pop(job.work.number, None)
        job.runner = job.slot = None
        self._fill_slots(runner, t_ns)
        if runner.idle():
            self._await_expiry(runner, t_ns)

    def _await_expiry(self, runner: Runner, t_ns: int) -> None:
        if runner.keep_alive_ns == 0:
            self._unload(runner, t_ns)
        elif runner.keep_alive_ns > 0:
            runner.expires_ns = t_ns + runner.keep_alive_ns
            self._plan(runner.expires_ns, lambda t: self._expire(runner, t))
        self._work_on(t_ns)

    def _expire(self, runner: Runner, t_ns: int) -> None:
        current = self._runners.get(runner.model.weights_digest) is runner
        if current and runner.idle() and runner.expires_ns is not None and runner.expires_ns <= t_ns:
            self._unload(runner, t_ns)
            self._work_on(t_ns)

    # -- slots, prompts, tokens

    def _queue(self, job: Job, t_ns: int) -> None:
        assert job.runner is not None, "BUG: a job waits for a slot of no runner"
        job.runner.waiting.append(job)
        self._fill_slots(job.runner, t_ns)

    def _fill_slots(self, runner: Runner, t_ns: int) -> None:
        while runner.waiting:
            job = runner.waiting[0]
            found = runner.free_slot(job.work.prompt)
            if found is None:
                return
            runner.waiting.popleft()
            job.slot, n_cached = found
            job.n_cached = 0 if job.work.kind == "embed" else n_cached
            prefill_ns = runner.prefill_ns(len(job.work.prompt) - job.n_cached)
            job.t2_ns, job.next_ns, job.slot.job = t_ns, t_ns + prefill_ns, job
            self._hold_up_others(runner, job, min(prefill_ns, runner.batch_ns()))
            self._plan(job.next_ns, lambda t, job=job: self._first_token(job, t), job)  # type: ignore[misc]

    def _hold_up_others(self, runner: Runner, newcomer: Job, pause_ns: int) -> None:
        for slot in runner.slots:
            other = slot.job
            if other is not None and other is not newcomer and other.t3_ns is not None and other.t4_ns is None:
                other.epoch += 1
                other.next_ns += pause_ns
                self._plan(other.next_ns, lambda t, other=other: self._token(other, t), other)  # type: ignore[misc]

    def _first_token(self, job: Job, t_ns: int) -> None:
        job.t3_ns = t_ns
        if job.work.reply:
            self._token(job, t_ns)
        else:
            job.t4_ns = t_ns
            self._finish(job, t_ns)

    def _token(self, job: Job, t_ns: int) -> None:
        assert job.runner is not None, "BUG: a token of a job without a runner"
        self._out.append(TokenSampled(job.work.number, t_ns, job.n_generated))
        job.n_generated += 1
        if job.n_generated < len(job.work.reply):
            job.next_ns = t_ns + job.runner.gap_ns(job, t_ns)
            self._plan(job.next_ns, lambda t: self._token(job, t), job)
        else:
            job.t4_ns = t_ns
            self._plan(t_ns + self._spread_ns(job.rng, 0.0002, 0.0004), lambda t: self._finish(job, t), job)

    def _finish(self, job: Job, t_ns: int) -> None:
        del self._jobs[job.work.number]
        job.epoch += 1
        self._out.append(Finished(job.work.number, t_ns, timing_of(job, t_ns)))
        self._release(job, t_ns)


def timing_of(job: Job, t_ns: int) -> Timing:
    """Return where a job's time went, seen at this time."""
    t1_ns = t_ns if job.t1_ns is None else job.t1_ns
    if job.t2_ns is None:
        return Timing(t_ns - job.t0_ns, t1_ns - job.t0_ns)
    t3_ns = t_ns if job.t3_ns is None else job.t3_ns
    t4_ns = t_ns if job.t4_ns is None else job.t4_ns
    return Timing(
        total_ns=t_ns - job.t0_ns,
        load_ns=t1_ns - job.t0_ns,
        prompt_eval_ns=t3_ns - job.t2_ns,
        eval_ns=max(t4_ns - t3_ns, 1000 if job.n_generated else 0),
        n_prompt=len(job.work.prompt),
        n_cached=job.n_cached,
        n_generated=job.n_generated,
    )
