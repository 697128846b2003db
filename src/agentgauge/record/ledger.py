"""Every count of this process under one lock; also a prometheus_client ``Collector``.

Theory of operation. All counts live in one flat list of integers (nanoseconds, tokens, counts); a label set owns a
slot in it (a histogram: its sum, then one count per bucket), found by one dict access when the label set is first
used and kept by the caller. ``apply(commit, ...)`` runs a commit, a plain function that adds integers, under the one
lock: quantities that must agree change together. A scrape copies the list in one critical section, so it sees them
agree, and formats after release.

Finalisers and signal handlers may call us on a thread that already holds the lock. A thread therefore enters its id
in ``inside`` before it takes the lock; who finds its own id there does not lock but appends to a deque, which the next
event or scrape drains under the lock. This is the only lock: the tasks that run (``record/live.py``) live under it too.

Operations do not take the lock at all: their events (started, ended, with the times already read) wait in a short
batch (``later``) and are run in order by whoever fills it, by the end of a task, or by a scrape (``catch_up``,
``snapshot``): before anyone can see the difference. Code that runs in a row stays in the processor's cache; after the
wait for a model's answer each call would find it cold and take four times as long (measured).

A forked child starts empty: fresh lock, no counts, a new ``epoch``; slots of an older epoch must not be used.

Source: measured in prototypes; see docs/why. It does not know spans (``record/recorder.py`` does) nor formats
(``record/render.py``, ``record/collector.py``).
"""

from __future__ import annotations

import sys
import threading
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import count
from threading import get_ident
from typing import Any, TypeAlias

from agentgauge.errors import ConfigError
from agentgauge.model.clock import Clock, SystemClock
from agentgauge.model.metrics import METRICS, OTHER, SERIES_LIMIT, Metric
from agentgauge.model.version import VERSION
from agentgauge.record.buckets import bounds_of, check_names
from agentgauge.record.collector import describe_metrics, metrics_from_snapshot
from agentgauge.record.folding import Folding
from agentgauge.record.fork import on_fork
from agentgauge.record.guard import Guard
from agentgauge.record.overflow import Overflow
from agentgauge.record.places import Places
from agentgauge.record.snapshot import Family, Observed, Snapshot

LiveRow: TypeAlias = tuple[str, tuple[str, ...], int]
"""(metric name, label values, total) of something that grows between events; totals, not increments."""

BATCH = 64
"""Events that may wait to be worked off together: a batch takes the caller of its last a fraction of a millisecond."""

Live: TypeAlias = Callable[[int], Iterable[LiveRow]]
"""Called with the monotonic clock (ns) under the ledger's lock at each scrape; must be quick and must not call back."""


class Ledger:
    """All counts of a process; register it in any prometheus_client registry, or render it with ``Renderer``.

    Args:
        buckets: metric name -> bucket bounds instead of its own.
        thresholds: metric name -> values that must be bounds (SLOs).
        limits: label name -> number of distinct values instead of the default.
        series_limit: series this process may hold; past it new label sets become ``__other__``.

    Thread-safety: every public method, from any thread, finaliser or signal handler.

    Raises:
        ConfigError: buckets that cannot be used.
    """

    def __init__(
        self,
        *,
        clock: Clock | None = None,
        buckets: Mapping[str, Sequence[float]] | None = None,
        thresholds: Mapping[str, float | Iterable[float]] | None = None,
        limits: Mapping[str, int] | None = None,
        series_limit: int = SERIES_LIMIT,
    ) -> None:
        check_names(buckets, thresholds)
        self.clock: Clock = clock if clock is not None else SystemClock()
        self.series_limit = series_limit
        self.inside: set[int] = set()
        self.live: list[Live] = []
        self.when_forked: list[Callable[[], None]] = []
        self.guard = Guard(self.count_error, self.inside)
        self.epoch = 0
        self._limits = limits
        self.families: dict[str, Family] = {
            name: Family(row, bounds_of(row, buckets, thresholds)) for name, row in sorted(METRICS.items())
        }
        self._start_empty()
        on_fork(self)

    def _start_empty(self) -> None:
        self._lock = threading.Lock()
        self._deferred: deque[tuple[Callable[..., object], tuple[Any, ...]]] = deque()
        self._batch: deque[tuple[Callable[..., object], tuple[Any, ...]]] = deque()
        self._serials = count()
        self.serial = -1
        self.inside.clear()
        self.values: list[int] = []
        self.observed: dict[int, Observed] = {}
        self.n_series = 0
        self.accounting_error_ns = 0
        self.folding = Folding(self.count_fold, self._limits)
        self._overflow = Overflow()
        self.places = Places()
        for family in self.families.values():
            family.clear()
        self.values_add("agentgauge_build_info", (VERSION, ".".join(map(str, sys.version_info[:3]))), 1)
        self.slot("agentgauge_series_limit", ())
        self.slot("agentgauge_series", ())
        self.slot("agentgauge_accounting_error_seconds", ())

    def configure(
        self,
        *,
        buckets: Mapping[str, Sequence[float]] | None = None,
        thresholds: Mapping[str, float | Iterable[float]] | None = None,
        limits: Mapping[str, int] | None = None,
        series_limit: int | None = None,
    ) -> None:
        """Set limits, and bucket bounds before the histograms they concern have series.

        Raises:
            ConfigError: what cannot be used, or a histogram that already counts with other bounds.
        """
        if limits:
            self.folding.limit(limits)
            self._limits = {**(self._limits or {}), **limits}
        if series_limit is not None:
            self.series_limit = series_limit
        check_names(buckets, thresholds)
        for name in {**(buckets or {}), **(thresholds or {})}:
            row = METRICS[name]
            bounds = bounds_of(row, buckets, thresholds)
            if bounds != self.families[name].bounds:
                self._replace_bounds(name, Family(row, bounds))

    def _replace_bounds(self, name: str, family: Family) -> None:
        if self.families[name].slots:
            raise ConfigError(f"buckets for {name}: it has counted already; set them before the first task or call")
        self.families[name] = family

    # -- commits ------------------------------------------------------------------------------------------------

    def apply(self, commit: Callable[..., object], *args: Any) -> None:
        """Run ``commit(*args)`` under the lock; later, if this thread is already inside."""
        me = get_ident()
        if me in self.inside:
            self._deferred.append((commit, args))
            return
        self.inside.add(me)
        try:
            with self._lock:
                if self._deferred:
                    self._drain()
                commit(*args)
        finally:
            self.inside.discard(me)
            if self.guard.noted:
                self.guard.flush()

    def defer(self, commit: Callable[..., object], *args: Any) -> None:
        """Have the next event or scrape run ``commit(*args)`` under the lock; takes no lock itself."""
        self._deferred.append((commit, args))

    def later(self, commit: Callable[..., object], *args: Any) -> None:
        """Have the next batch run ``commit(*args)`` under the lock, in order, at the latest the next scrape.

        Who fills the batch works it off, so it cannot grow; on a thread that is inside, this takes no lock.
        """
        self._batch.append((commit, args))
        self.serial = next(self._serials)
        if len(self._batch) >= BATCH and get_ident() not in self.inside:
            self.apply(self._drain)

    def catch_up(self) -> None:
        """Run all that waits, and wait for what another thread is running; later, if this thread is inside."""
        self.apply(self._drain)

    def in_order(self, commit: Callable[..., object], *args: Any) -> None:
        """Run all that waits, then ``commit(*args)``, before this returns; not for a thread that is inside."""
        self.apply(self._drain_before, commit, *args)

    def _drain_before(self, commit: Callable[..., object], *args: Any) -> None:
        self._drain()
        commit(*args)

    def _drain(self) -> None:
        # Twice the batch: what was deferred may add to it, and so may an operation that nobody held but its first step.
        self._run(self._batch)
        if self._deferred:
            self._run(self._deferred)
        if self._batch:
            self._run(self._batch)

    def _run(self, waiting: deque[tuple[Callable[..., object], tuple[Any, ...]]]) -> None:
        # Bounded by what is there now: a commit that defers again must not keep a scrape here for ever.
        for _ in range(len(waiting)):
            if not waiting:
                return  # one of them ran the others
            commit, args = waiting.popleft()
            try:
                commit(*args)
            except Exception as error:  # noqa: BLE001 -- it costs itself alone
                self.guard.failed("deferred", error)

    def add(self, name: str, labels: tuple[str, ...], amount: int) -> None:
        """Add to a counter or gauge by name, in its own critical section."""
        self.apply(self.values_add, name, labels, amount)

    def count_error(self, where: str) -> None:
        """Count a failure of ours under ``agentgauge_record_errors_total``."""
        self.apply(self.values_add, "agentgauge_record_errors_total", (where,), 1)

    # -- under the lock: what commits may call --------------------------------------------------------------------

    def values_add(self, name: str, labels: tuple[str, ...], amount: int) -> None:
        """Add to a counter or gauge; only inside a commit."""
        self.values[self.slot(name, labels)] += amount

    def observe(self, name: str, labels: tuple[str, ...], value: int) -> None:
        """Add one observation, in ledger integers, to a histogram; only inside a commit."""
        start = self.slot(name, labels)
        self.values[start] += value
        self.values[start + 1 + bisect_left(self.families[name].bounds, value)] += 1

    def slot(self, name: str, labels: tuple[str, ...]) -> int:
        """Return the slot of a label set, made at 0 when new; only inside a commit."""
        family = self.families[name]
        slot = family.slots.get(labels)
        return self._admit(family, labels) if slot is None else slot

    def _admit(self, family: Family, labels: tuple[str, ...]) -> int:
        folded = self._fold(family.metric, labels)
        slot = family.slots.get(folded)
        if slot is None and not self.has_room(family.n_lines) and not family.metric.name.startswith("agentgauge_"):
            folded = self._fold_all(family.metric, folded)
            slot = family.slots.get(folded)
        return self._make(family, folded) if slot is None else slot

    def _make(self, family: Family, labels: tuple[str, ...]) -> int:
        slot = len(self.values)
        self.values.extend([0] * family.width)
        family.keys.append(labels)
        family.starts.append(slot)
        family.slots[labels] = slot
        self.n_series += family.n_lines
        return slot

    def _fold(self, metric: Metric, labels: tuple[str, ...]) -> tuple[str, ...]:
        folding = self.folding
        return tuple(
            folding.admit(metric.name, label, value, "/".join(labels[:i]) if label == "name" else "")
            if folding.limited(label)
            else value
            for i, (label, value) in enumerate(zip(metric.labels, labels, strict=True))
        )

    def _fold_all(self, metric: Metric, labels: tuple[str, ...]) -> tuple[str, ...]:
        """Fold every open label: the process holds as many series as it may."""
        open_labels = [label for label in metric.labels if self.folding.limited(label)]
        if open_labels:
            self.count_fold(metric.name, open_labels[-1])
            self.guard.once(
                "series", f"agentgauge holds {self.n_series} series, its limit; new label sets go to {OTHER}"
            )
        return tuple(
            OTHER if label in open_labels else value for label, value in zip(metric.labels, labels, strict=True)
        )

    def has_room(self, n_lines: int) -> bool:
        """Tell whether so many more series fit under the limit."""
        return self.n_series + n_lines <= self.series_limit

    def count_fold(self, metric: str, label: str) -> None:
        """Count a value folded into ``__other__``; only inside a commit."""
        self.values_add("agentgauge_labels_folded_total", (metric, label), 1)
        place = self.places.look(metric, label)
        where = f", the first from {place}" if place else ""
        self.guard.once(
            f"fold {label}", f"agentgauge folds values of the label {label!r} into {OTHER}{where}; the sums stay right"
        )

    def folded_places(self) -> list[tuple[str, str, list[str]]]:
        """Return (metric, label, places in the user's code) of values that were folded."""
        found: list[tuple[str, str, list[str]]] = []
        self.apply(lambda: found.extend(self.places.found()))
        return found

    # -- scrapes ------------------------------------------------------------------------------------------------

    def snapshot(self) -> Snapshot:
        """Return all counts at one instant, live ones advanced to it.

        On a thread that is already inside (a signal handler that renders) the copy may show half an event.
        """
        me = get_ident()
        if me in self.inside:
            return self._copy()
        self.inside.add(me)
        try:
            with self._lock:
                self._drain()
                self._advance()
                taken = self._copy()
        finally:
            self.inside.discard(me)
            if self.guard.noted:
                self.guard.flush()
        return taken

    def _advance(self) -> None:
        now_ns = self.clock.monotonic_ns()
        for live in self.live:
            with self.guard("live"):
                for name, labels, total in live(now_ns):
                    self.values[self.slot(name, labels)] = total
        for name, ratio in self._overflow.ratios(self.families.values(), self.values, now_ns):
            self.values[self.slot("agentgauge_bucket_overflow_ratio", (name,))] = ratio
        self.values[self.slot("agentgauge_series_limit", ())] = self.series_limit
        self.values[self.slot("agentgauge_accounting_error_seconds", ())] = self.accounting_error_ns
        self.values[self.slot("agentgauge_series", ())] = self.n_series

    def _copy(self) -> Snapshot:
        families = tuple(self.families.values())
        return Snapshot(
            self.epoch,
            families,
            [len(family.keys) for family in families],
            self.values[:],
            self.observed.copy(),
            self.clock.now_ms() - self.clock.monotonic_ns() // 1_000_000,
        )

    def describe(self) -> Iterator[Any]:
        """Return the metric families by name, without samples: a registry finds clashes without collecting."""
        return describe_metrics()

    def collect(self) -> Iterator[Any]:
        """Return prometheus_client's metric families of one snapshot."""
        return metrics_from_snapshot(self.snapshot())

    def after_fork(self) -> None:
        """Start empty in a forked child: what the parent counted is the parent's."""
        self.epoch += 1
        self._start_empty()
        for forked in self.when_forked:
            forked()
