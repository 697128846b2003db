"""The only reader of time.

Everything else takes times as arguments or asks a ``Clock``, so tests can turn time by hand.
"""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """Where the edges get their time from."""

    def now_ms(self) -> int:
        """Return the wall clock, milliseconds since the epoch."""

    def monotonic_ns(self) -> int:
        """Return a clock that never runs back, nanoseconds from an arbitrary start."""


class SystemClock:
    """The machine's clocks."""

    __slots__ = ()

    monotonic_ns = staticmethod(time.perf_counter_ns)
    """Nanoseconds of a clock that never runs back; bound directly, because recording reads it on every event."""

    thread_ns = staticmethod(time.thread_time_ns)
    """Nanoseconds of CPU that this thread has used; what others do meanwhile is not in it."""

    @staticmethod
    def now_ms() -> int:
        """Return the wall clock, milliseconds since the epoch."""
        return time.time_ns() // 1_000_000
