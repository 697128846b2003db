"""One loaded model: its slots, what each still holds of earlier prompts, and how fast tokens come.

Pure: times in, times out. A slot keeps the tokens of its last request; a new request takes the free slot with the
longest common prefix, else the one unused for longest, and only the rest of its prompt is processed. Decoding slots
share the machine: r(k) = r1 / (1 + a·(k - 1)); a prompt being processed in one slot holds the others up by a batch.
"""

from __future__ import annotations

import random
from collections import deque
from dataclasses import dataclass, field
from typing import Literal

from agentgauge.simulator.presets import REFERENCE_BYTES, Hardware, Model
from agentgauge.simulator.tokens import Tokens, common_prefix

N_BATCH = 512
"""Prompt tokens that are processed in one go; between two of them the other slots get a turn."""

Kind = Literal["generate", "embed", "load", "unload"]


@dataclass(frozen=True, slots=True)
class Options:
    """The options that make a runner another one: a request that changes any of them reloads the model."""

    num_ctx: int
    others: tuple[tuple[str, object], ...] = ()


@dataclass(frozen=True, slots=True)
class Work:
    """One request as the scheduler sees it.

    Attributes:
        prompt: the tokens to process, after truncation. reply: the tokens that will be generated.
        keep_alive_ns: how long the model stays after it; negative = for ever, None = the server's default.
        seed: makes the jitter of its times; the same work has the same times on an idle server.
    """

    number: int
    model: Model
    options: Options
    kind: Kind = "generate"
    prompt: Tokens = ()
    reply: Tokens = ()
    keep_alive_ns: int | None = None
    seed: int = 0


@dataclass(slots=True, eq=False)
class Slot:
    """A place for one request, and the tokens it holds of the last one."""

    held: Tokens = ()
    job: Job | None = None
    used_ns: int = 0


@dataclass(slots=True, eq=False)
class Job:
    """A request on its way through the server; times are None until reached.

    Attributes:
        t0_ns: arrived. t1_ns: runner obtained. t2_ns: slot obtained. t3_ns: first token. t4_ns: last token.
        epoch: counts up whenever its next step moves, which makes the step that was planned before void.
    """

    work: Work
    t0_ns: int
    rng: random.Random
    runner: Runner | None = None
    slot: Slot | None = None
    t1_ns: int | None = None
    t2_ns: int | None = None
    t3_ns: int | None = None
    t4_ns: int | None = None
    n_cached: int = 0
    n_generated: int = 0
    next_ns: int = 0
    epoch: int = 0


@dataclass(slots=True, eq=False)
class Runner:
    """A loaded model and its slots. ``refs`` are the jobs that use it, waiting ones included."""

    model: Model
    options: Options
    hardware: Hardware
    speed: float
    slots: list[Slot]
    vram_bytes: int = 0
    size_bytes: int = 0
    ready: bool = False
    refs: dict[int, Job] = field(default_factory=dict)
    waiting: deque[Job] = field(default_factory=deque)
    keep_alive_ns: int = 0
    expires_ns: int | None = None

    def idle(self) -> bool:
        """Tell whether nobody uses it."""
        return not self.refs

    def free_slot(self, prompt: Tokens) -> tuple[Slot, int] | None:
        """Return the best free slot for a prompt and how many of its tokens are there already; None when all are busy.

        A prompt that is there in full still has its last token processed.
        """
        free = [slot for slot in self.slots if slot.job is None]
        if not free:
            return None
        best = max(free, key=lambda slot: (common_prefix(slot.held, prompt), -slot.used_ns))
        return best, max(0, min(common_prefix(best.held, prompt), len(prompt) - 1))

    def prefill_ns(self, n_tokens: int) -> int:
        """Return how long these prompt tokens take now, beside the prompts that are being processed."""
        n_others = sum(1 for slot in self.slots if slot.job and slot.job.t3_ns is None and slot.job.t2_ns is not None)
        return round(n_tokens / self._prefill_per_s() * (1 + n_others) * 1e9)

    def gap_ns(self, job: Job, t_ns: int) -> int:
        """Return the time from one token of a job to its next, with jitter and the others' share taken off."""
        busy = [slot.job for slot in self.slots if slot.job is not None]
        slowdown = 1 + self.hardware.sharing * (max(1, len(busy)) - 1)
        jitter = max(0.4, job.rng.gauss(1.0, 0.1))
        gap = round(slowdown * jitter / self._decode_per_s() * 1e9)
        ends = [other.next_ns for other in busy if other is not job and other.t3_ns is None]
        return gap + min(self.batch_ns(), max((end - t_ns for end in ends), default=0))

    def batch_ns(self) -> int:
        """Return how long one batch of prompt tokens holds the other slots up."""
        return round(N_BATCH / self._prefill_per_s() * 1e9)

    def _scale(self) -> float:
        return self.speed * REFERENCE_BYTES / self.model.size_bytes

    def _gpu_share(self) -> float:
        return self.vram_bytes / self.size_bytes if self.hardware.gpu and self.size_bytes else 1.0

    def _decode_per_s(self) -> float:
        share = self._gpu_share()
        seconds = share / self.hardware.decode_per_s + (1 - share) / self.hardware.cpu_decode_per_s
        return self._scale() / seconds

    def _prefill_per_s(self) -> float:
        share = self._gpu_share()
        seconds = share / self.hardware.prefill_per_s + (1 - share) / (6 * self.hardware.cpu_decode_per_s)
        return self._scale() / seconds
