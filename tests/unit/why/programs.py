"""Random concurrent programs, run on a simulated clock through the real timeline; and run again with a part faster.

The truth of a what-if is the second run. Nothing here knows how bounds are computed.
"""

from __future__ import annotations

import heapq
import itertools
import random
from collections import defaultdict, deque
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from agentgauge.record.node import BranchNode, Node
from agentgauge.record.timeline import Timeline

Key: TypeAlias = tuple[str, str]
GRAIN = 12
"""Durations are multiples of it, so that 2, 3 and 4 times faster are whole nanoseconds."""


@dataclass(frozen=True)
class Act:
    """A piece of work; ``parts`` are the phases of an LLM call, (component, ns) in order."""

    key: Key
    ns: int
    parts: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True)
class Seq:
    """One step after another."""

    steps: tuple[Program, ...]


@dataclass(frozen=True)
class Par:
    """Branches side by side; ``race``: the first to end cuts the others off."""

    branches: tuple[Program, ...]
    race: bool = False


Program: TypeAlias = Act | Seq | Par
Process: TypeAlias = Generator[Any, None, None]


@dataclass(frozen=True)
class Kind:
    """How programs are made and recorded; ``slots``: a semaphore that LLM calls pass, 0 for none."""

    wrapped: bool = True
    own_in_branches: bool = True
    races: float = 0.0
    grain: int = GRAIN
    slots: int = 0
    waits_recorded: bool = True


def random_program(chance: random.Random, kind: Kind, depth: int = 0) -> Program:
    """Return a program of a few dozen acts at most."""
    steps: list[Program] = []
    for _ in range(chance.randint(2, 5) if depth == 0 else chance.randint(1, 3)):
        if depth < 2 and chance.random() < 0.45:
            branches = [random_program(chance, kind, depth + 1) for _ in range(chance.randint(2, 4))]
            steps.append(Par(tuple(branches), race=chance.random() < kind.races))
        else:
            steps.append(_random_act(chance, kind))
        if chance.random() < 0.4 and (depth == 0 or kind.own_in_branches):
            steps.append(Act(("own", ""), _length(chance, kind)))
    return Seq(tuple(steps))


def _length(chance: random.Random, kind: Kind) -> int:
    return max(1, round(chance.lognormvariate(0, 0.8) * 20_000 / kind.grain)) * kind.grain


def _random_act(chance: random.Random, kind: Kind) -> Act:
    if chance.random() < 0.4:
        parts = tuple((phase, _length(chance, kind)) for phase in ("prefill", "decode"))
        return Act(("llm", "m"), sum(ns for _, ns in parts), parts)
    return Act(("tool", chance.choice(["db", "search", "web"])), _length(chance, kind))


def keys_of(program: Program) -> set[Key]:
    """Return what can be made faster in a program."""
    if isinstance(program, Act):
        return {(phase, program.key[1]) for phase, _ in program.parts} or {program.key}
    return set().union(*map(keys_of, program.steps if isinstance(program, Seq) else program.branches))


@dataclass
class Machine:
    """Runs one program; ``faster`` (key -> times) scales what it names."""

    kind: Kind
    faster: Mapping[Key, int] = field(default_factory=dict)
    now: int = 0

    def __post_init__(self) -> None:
        self.timeline = Timeline(defaultdict(int), 0)
        self._events: list[tuple[int, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._free = self.kind.slots
        self._line: deque[Callable[[], None]] = deque()

    def run(self, program: Program) -> int:
        """Run to the end and return the duration."""
        over: list[bool] = []
        self._spawn(self._perform(program, self.timeline.root), lambda: over.append(True))
        while not over:
            self.now, _, go_on = heapq.heappop(self._events)
            go_on()
        self.timeline.end(self.timeline.root, self.now)
        return self.now

    def _at(self, t_ns: int, go_on: Callable[[], None]) -> None:
        heapq.heappush(self._events, (t_ns, next(self._order), go_on))

    def _spawn(self, process: Process, when_done: Callable[[], None]) -> Callable[[], None]:
        """Start a process; it yields functions that take what to call when it may go on. Returns how to stop it."""
        stopped = False

        def go_on() -> None:
            if stopped:
                return
            try:
                wish = next(process)
            except StopIteration:
                when_done()
            else:
                wish(go_on)

        def stop() -> None:
            nonlocal stopped
            stopped = True
            process.close()

        go_on()
        return stop

    def _ns(self, key: Key, ns: int) -> int:
        return ns // self.faster.get(key, 1)

    def _perform(self, program: Program, node: Node) -> Process:
        if isinstance(program, Seq):
            for step in program.steps:
                yield from self._perform(step, node)
        elif isinstance(program, Par):
            stops: list[Callable[[], None]] = []
            try:
                yield lambda go_on: self._fork(program, node, stops, go_on)
            finally:
                for stop in stops:
                    stop()
        elif program.key == ("own", ""):
            yield from self._sleep(self._ns(program.key, program.ns))
        elif program.key[0] == "llm" and self.kind.slots:
            yield from self._through_slots(program, node)
        else:
            yield from self._act(program, node)

    def _sleep(self, ns: int) -> Process:
        if ns:
            yield lambda go_on: self._at(self.now + ns, go_on)

    def _act(self, act: Act, parent: Node) -> Process:
        parts = [(phase, self._ns((phase, act.key[1]), ns)) for phase, ns in act.parts]
        ns = sum(part for _, part in parts) if parts else self._ns(act.key, act.ns)
        node = Node(act.key, parent)
        self.timeline.start(node, self.now)
        try:
            yield from self._sleep(ns)
        finally:
            was_counting = node.end_ns is None
            self.timeline.end(node, self.now)
            t_ns = node.start_ns
            for phase, part in parts if was_counting else ():
                until_ns = min(t_ns + part, self.now)
                if until_ns > t_ns:
                    node.tile((phase, act.key[1]), t_ns, until_ns)
                t_ns = until_ns

    def _through_slots(self, act: Act, parent: Node) -> Process:
        if self._free:
            self._free -= 1
        else:
            wait = Node(("client_wait", act.key[1]), parent) if self.kind.waits_recorded else None
            if wait is not None:
                self.timeline.start(wait, self.now)
            yield self._line.append
            if wait is not None:
                self.timeline.end(wait, self.now)
        yield from self._act(act, parent)
        if self._line:
            self._at(self.now, self._line.popleft())
        else:
            self._free += 1

    def _fork(self, par: Par, node: Node, stops: list[Callable[[], None]], go_on: Callable[[], None]) -> None:
        left = len(par.branches)
        joined = False

        def branch(program: Program) -> Process:
            below = BranchNode(node.key, node) if self.kind.wrapped else node
            if below is not node:
                self.timeline.start_branch(below, self.now)
            try:
                yield from self._perform(program, below)
            finally:
                if below is not node:
                    self.timeline.end_branch(below, self.now)

        def done() -> None:
            nonlocal left, joined
            left -= 1
            if joined or (left and not par.race):
                return
            joined = True
            # At the same instant but later: who ends now has ended. What a race still runs is cut when it goes on.
            self._at(self.now, go_on)

        for program in par.branches:
            stops.append(self._spawn(branch(program), done))
