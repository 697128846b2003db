"""What recording costs its host, measured while it does: ``agentgauge_overhead_seconds_total``.

One in ``STRIDE`` of our starts and ends reads this thread's CPU clock before and after; each reading counts for
``STRIDE``. The stride is a prime, so that no rhythm of the host (a task, two calls, a batch of the ledger) is met
always at the same beat. CPU time, not wall time: what other threads and processes do meanwhile is not ours. What
stands around a start (the block or the decorator) is measured once, on this machine, and added to each reading of
one, as the clock's own cost is taken off. Held against a bench from outside, it agrees within a fifth.

Not in it: the end of an operation that the host started by ``.start()``, and what the host tells in between.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from itertools import count
from typing import TYPE_CHECKING, Any, TypeVar

from agentgauge.model.clock import SystemClock
from agentgauge.record.context import CURRENT, put_back

if TYPE_CHECKING:
    from contextvars import Token

    from agentgauge.record.context import Enclosing
    from agentgauge.record.ledger import Ledger
    from agentgauge.record.recorder import Recorder

METRIC = "agentgauge_overhead_seconds_total"
STRIDE = 61
OFFSET = 30
"""Not the first: it pays for imports and cold caches that no later one pays for."""

T = TypeVar("T")

_thread_ns = SystemClock.thread_ns
_ticks = count().__next__


def started(kind: Callable[..., T], recorder: Recorder, *facts: Any) -> T:
    """Make an operation; once in a while, measure what that costs, the block around it included."""
    if _ticks() % STRIDE != OFFSET:
        return kind(recorder, *facts)
    frame_ns, clock_ns = calibrated()
    start_ns = _thread_ns()
    operation = kind(recorder, *facts)
    note(recorder.ledger, "record", (_thread_ns() - start_ns - clock_ns + frame_ns) * STRIDE)
    return operation


def timed(recorder: Recorder, act: Callable[..., T], *args: Any) -> T:
    """Do something of ours; once in a while, measure what that costs. What is timed must not time its parts."""
    if _ticks() % STRIDE != OFFSET:
        return act(*args)
    clock_ns = calibrated()[1]
    start_ns = _thread_ns()
    try:
        return act(*args)
    finally:
        note(recorder.ledger, "record", (_thread_ns() - start_ns - clock_ns) * STRIDE)


def note(ledger: Ledger, part: str, cpu_ns: int) -> None:
    """Count CPU time; takes no lock, so finalisers may."""
    if cpu_ns > 0:
        ledger.defer(ledger.values_add, METRIC, (part,), cpu_ns)


@functools.cache
def calibrated() -> tuple[int, int]:
    """Return the CPU time of an empty block and of reading the clock, ns: each the least of a few rounds."""

    def blocks() -> None:
        for _ in range(_N):
            with _Block(lambda name: name):
                pass

    def readings() -> None:
        for _ in range(_N):
            _thread_ns()

    return _least_ns(blocks), _least_ns(readings)


_N = 20


def _least_ns(work: Callable[[], None]) -> int:
    least_ns = 1 << 62
    for _ in range(5):
        start_ns = _thread_ns()
        work()
        least_ns = min(least_ns, _thread_ns() - start_ns)
    return least_ns // _N


class _Block:
    """A block around nothing, in the shape of one that measures (``record/measure.py``)."""

    __slots__ = ("_begin", "_entered")

    def __init__(self, begin: Callable[[str], object]) -> None:
        self._begin = begin
        self._entered: list[tuple[object, Token[Enclosing | None]]] = []

    def __enter__(self) -> object:
        operation = self._begin("")
        _ticks()
        self._entered.append((operation, CURRENT.set(CURRENT.get())))
        return operation

    def __exit__(self, *error: object) -> None:
        put_back(self._entered.pop()[1])
        _ticks()
