"""What keeps the store small and quick while it is used: seal, merge, forget, checkpoint.

``step`` does what is due at a time and is all that tests need; ``start`` calls it on a thread of its own. The steps
take turns with scrapes on the writer thread in small transactions.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable
from pathlib import Path

from agentgauge.errors import StoreCorrupt, StoreError, StoreFull
from agentgauge.model.clock import Clock
from agentgauge.store.catalog import LIVE_MS, Catalog, Group
from agentgauge.store.reserve import Reserve, disk_space
from agentgauge.store.retention import Retention
from agentgauge.store.sealing import DAY_MERGE_AGE_MS, INTERVAL_MS, Sealing
from agentgauge.store.sql import Writer, checkpoint

SEAL_ROWS = 120
SEAL_BYTES = 8 << 20
SEAL_SAMPLES = 500_000
CHECKPOINT_MS = 10_000
RETENTION_MS = 60_000
CHUNKS_PER_RESCUE = 8
TICK_S = 1.0

log = logging.getLogger("agentgauge.store")


class Upkeep:
    """Runs what is due. ``lock`` lets one run at a time: commands share it with the thread."""

    def __init__(
        self, clock: Clock, writer: Writer, catalog: Catalog, catalog_lock: threading.RLock, sealing: Sealing,
        retention: Retention, reserve: Reserve | None, on_damage: Callable[[str], None],
    ) -> None:  # fmt: skip
        self.lock = threading.RLock()
        self.problem = ""
        """Why the last step failed; empty when it did not."""
        self.low_space = ""
        """Says that the disk is nearly full, while it is."""
        self._on_damage = on_damage
        self._clock = clock
        self._writer = writer
        self._catalog = catalog
        self._catalog_lock = catalog_lock
        self._sealing = sealing
        self._retention = retention
        self._reserve = reserve
        self._checkpoint_ms = self._retention_ms = clock.now_ms()
        self._interval = 0
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin a thread that does what is due about once a second."""
        self._thread = threading.Thread(target=self._loop, name="agentgauge-store-upkeep", daemon=True)
        self._thread.start()

    def stop(self, *, wait: bool = True) -> None:
        """End the thread; wait for a step that runs to be finished."""
        self._stop.set()
        if wait and self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()

    def step(self, now_ms: int) -> None:
        """Do what is due at a time."""
        with self.lock:
            sealed = [group for group in self._groups() if self._is_due(group, now_ms) and self._sealing.seal(group)]
            for group in sealed:
                group.wants_renumbering = group.has_many_dead()
            interval = now_ms // INTERVAL_MS
            if sealed or interval != self._interval:
                self._interval = interval
                self.merge(now_ms)
                self._retention.give_back()
                self._forget_idle_rings(now_ms)
            if now_ms - self._retention_ms >= RETENTION_MS or now_ms < self._retention_ms:
                self._retention_ms = now_ms
                self._retention.run(now_ms)
                if self._reserve is not None:
                    self._reserve.hold()
                    self._look_at_space(self._reserve.path.parent)
            if sealed or now_ms - self._checkpoint_ms >= CHECKPOINT_MS or now_ms < self._checkpoint_ms:
                self._checkpoint_ms = now_ms
                self._writer.run(
                    lambda conn: checkpoint(conn, "TRUNCATE" if sealed else "PASSIVE"), in_transaction=False
                )

    def make_room(self) -> bool:
        """Free a few of the oldest chunks of a full disk; return whether it is worth trying again."""
        with self.lock:
            freed = self._reserve is not None and self._reserve.give_up()
            return self._retention.rescue(CHUNKS_PER_RESCUE) or freed

    def seal_all(self) -> None:
        """Seal every group now, whatever is due."""
        with self.lock:
            for group in self._groups():
                self._sealing.seal(group)

    def merge(self, now_ms: int) -> None:
        """Merge the chunks of closed intervals, and those of days past."""
        with self.lock:
            for level, before_ms in ((1, now_ms), (2, now_ms - DAY_MERGE_AGE_MS)):
                for group_id, column, start_ms in self._sealing.due(level, before_ms):
                    self._sealing.merge(group_id, column, level, start_ms)

    def _forget_idle_rings(self, now_ms: int) -> None:
        """Let go of the newest rows of targets that are gone: all of them are in chunks, and nobody watches."""
        with self._catalog_lock:
            for group in self._catalog.groups.values():
                if not group.unsealed_rows and group.newest_ms < now_ms - LIVE_MS:
                    group.ring.clear()

    def _groups(self) -> list[Group]:
        with self._catalog_lock:
            return list(self._catalog.groups.values())

    def _is_due(self, group: Group, now_ms: int) -> bool:
        if not group.unsealed_rows:
            return False
        newest_ms = max(now_ms, group.unsealed_to_ms)
        if group.wants_sealing or group.unsealed_from_ms // INTERVAL_MS < newest_ms // INTERVAL_MS:
            return True
        if group.ragged:
            return group.unsealed_rows >= SEAL_SAMPLES
        return group.unsealed_rows >= SEAL_ROWS or group.unsealed_rows * group.n_columns * 8 >= SEAL_BYTES

    def _look_at_space(self, folder: Path) -> None:
        """Say once that the disk is nearly full, before it is."""
        space = disk_space(folder)
        text = ""
        if space.is_low:
            text = (
                f"the disk of {folder} is nearly full: {space.free / 1e6:,.0f} MB free of {space.total / 1e6:,.0f} MB;"
                " when it is full the oldest samples are deleted to make room"
            )
            if not self.low_space:
                log.warning("%s", text)
        self.low_space = text

    def _loop(self) -> None:
        while not self._stop.wait(TICK_S):
            try:
                self.step(self._clock.now_ms())
                self.problem = ""
            except StoreError as error:
                if self._stop.is_set():
                    return
                self._failed(error)

    def _failed(self, error: StoreError) -> None:
        if str(error) != self.problem:
            self.problem = str(error)
            log.error("upkeep of the store failed, it tries again: %s", error)
        if isinstance(error, StoreCorrupt):
            self._on_damage(str(error))
        elif isinstance(error, StoreFull):
            with contextlib.suppress(StoreError):
                self.make_room()
