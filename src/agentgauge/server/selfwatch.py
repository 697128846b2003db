"""The server's own figures, in the ledger that it shows and scrapes like any target's.

CPU time, memory and scrape lag are read when somebody scrapes; queries are timed as they are answered.
Source: https://man7.org/linux/man-pages/man5/proc_pid_statm.5.html.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from agentgauge.backends.embedded import EmbeddedBackend
from agentgauge.model.series import Result
from agentgauge.record.ledger import Ledger, LiveRow
from agentgauge.scrape.loop import TargetState

_STATM = Path("/proc/self/statm")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096


class SelfWatch:
    """Keeps the server's figures in a ledger.

    Thread-safety: any thread.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._states: Callable[[], Iterable[TargetState]] = tuple
        self._lags_s: Mapping[str, float] = {}
        self._problems: Callable[[], Sequence[str]] = tuple
        ledger.live.append(self._rows)

    def follow(
        self, states: Callable[[], Iterable[TargetState]], problems: Callable[[], Sequence[str]] = tuple
    ) -> None:
        """Say where the states of targets, and what is wrong with the store, are to be had."""
        self._states = states
        self._problems = problems

    def drop(self, reason: str, n_samples: int) -> None:
        """Count samples that were scraped and not stored."""
        self._ledger.add("agentgauge_samples_dropped_total", (reason,), n_samples)

    def follow_sending(self, lags_s: Mapping[str, float]) -> None:
        """Say where it is to be had how far behind each remote write destination is."""
        self._lags_s = lags_s

    def sent(self, what: str, destination: str, n_samples: int) -> None:
        """Count samples that went out by remote write: ``sent``, or the reason why they did not."""
        if what == "sent":
            self._ledger.add("agentgauge_remote_write_sent_samples_total", (destination,), n_samples)
        else:
            self._ledger.add("agentgauge_remote_write_dropped_samples_total", (destination, what), n_samples)

    def pushed(self, what: str, n_samples: int) -> None:
        """Count samples that came by remote write: ``received``, or the reason why they were not stored."""
        if what == "received":
            self._ledger.add("agentgauge_remote_write_received_samples_total", (), n_samples)
        else:
            self.drop(what, n_samples)

    def queried(self, kind: str, duration_ns: int) -> None:
        """Count an answered query."""
        self._ledger.apply(self._ledger.observe, "agentgauge_query_duration_seconds", (kind,), duration_ns)

    def _rows(self, _: int) -> Iterator[LiveRow]:
        spent = os.times()
        yield "agentgauge_process_cpu_seconds_total", (), round((spent.user + spent.system) * 1e9)
        if resident := resident_bytes():
            yield "agentgauge_process_resident_memory_bytes", (), resident
        lag_s = max((state.last_lag_s for state in self._states()), default=0.0)
        yield "agentgauge_scrape_lag_seconds", (), round(lag_s * 1e9)
        for destination, behind_s in self._lags_s.items():
            yield "agentgauge_remote_write_lag_seconds", (destination,), round(behind_s * 1e9)
        yield "agentgauge_store_problems", (), len(self._problems())


class TimedBackend(EmbeddedBackend):
    """The embedded backend, each query timed as its asker lives it: waiting for a thread included."""

    def __init__(self, *args: Any, queried: Callable[[str, int], object], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._queried = queried

    async def query(self, *args: Any, **kwargs: Any) -> Result:
        """Evaluate at one time."""
        start_ns = self._clock.monotonic_ns()
        try:
            return await super().query(*args, **kwargs)
        finally:
            self._queried("instant", self._clock.monotonic_ns() - start_ns)

    async def query_range(self, *args: Any, **kwargs: Any) -> Result:
        """Evaluate from start to end."""
        start_ns = self._clock.monotonic_ns()
        try:
            return await super().query_range(*args, **kwargs)
        finally:
            self._queried("range", self._clock.monotonic_ns() - start_ns)


def resident_bytes() -> int:
    """Return how much of this process is in RAM; 0 where the system does not say."""
    try:
        return int(_STATM.read_text().split()[1]) * _PAGE_BYTES
    except (OSError, ValueError, IndexError):
        return 0
