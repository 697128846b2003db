"""What keeps the store small and quick while it is used: seal, merge, forget, checkpoint.

``step`` does what is due at a time and is all that tests need; ``start`` calls it on a thread of its own. The steps
take turns with scrapes on the writer thread in small transactions.
"""

from __future__ import annotations

import logging
import threading

from agentgauge.errors import StoreError, StoreFull
from agentgauge.model.clock import Clock
from agentgauge.store.catalog import Catalog, Group
from agentgauge.store.reserve import Reserve
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
        retention: Retention, reserve: Reserve | None,
    ) -> None:  # fmt: skip
        self.lock = threading.RLock()
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
        self._last_error = ""

    def start(self) -> None:
        """Begin a thread that does what is due about once a second."""
        self._thread = threading.Thread(target=self._loop, name="agentgauge-store-upkeep", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread; a step that runs is finished first."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def step(self, now_ms: int) -> None:
        """Do what is due at a time."""
        with self.lock:
            sealed = [group for group in self._groups() if self._is_due(group, now_ms) and self._sealing.seal(group)]
            for group in sealed:
                group.wants_renumbering = group.is_mostly_dead()
            interval = now_ms // INTERVAL_MS
            if sealed or interval != self._interval:
                self._interval = interval
                self.merge(now_ms)
                self._retention.give_back()
            if now_ms - self._retention_ms >= RETENTION_MS or now_ms < self._retention_ms:
                self._retention_ms = now_ms
                self._retention.run(now_ms)
                if self._reserve is not None:
                    self._reserve.hold()
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

    def _groups(self) -> list[Group]:
        with self._catalog_lock:
            return list(self._catalog.groups.values())

    def _is_due(self, group: Group, now_ms: int) -> bool:
        if not group.unsealed_rows:
            return False
        newest_ms = max(now_ms, group.newest_ms)
        if group.unsealed_from_ms // INTERVAL_MS < newest_ms // INTERVAL_MS:
            return True
        if group.ragged:
            return group.unsealed_rows >= SEAL_SAMPLES
        return group.unsealed_rows >= SEAL_ROWS or group.unsealed_rows * group.n_columns * 8 >= SEAL_BYTES

    def _loop(self) -> None:
        while not self._stop.wait(TICK_S):
            try:
                self.step(self._clock.now_ms())
                self._last_error = ""
            except StoreError as error:
                if isinstance(error, StoreFull):
                    self.make_room()
                if str(error) != self._last_error:
                    self._last_error = str(error)
                    log.error("upkeep of the store failed, it tries again: %s", error)
