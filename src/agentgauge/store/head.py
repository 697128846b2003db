"""The newest rows of one scrape group, in memory: what live views and instant queries read.

Theory of operation: the durable head is the ``head`` table (one row per scrape, see ``store/sql.py``); this is its
young end, so that no live query touches the disk. Rows are time-major in one array that is written only beyond the
rows that readers have seen: a reader's ``RowView`` is immutable, taken in constant time under the store's lock, used
without it. Whatever would change rows that a view shows (a row between others, a row merged into another, a full
ring) builds new arrays; the old ones live as long as their readers. ``complete_from_ms`` is the promise that makes
the ring usable: *all* rows of the group at or after that time are here, sealed or not, so the disk is only asked for
older ones.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from agentgauge.model.sample import NO_SAMPLE, NO_SAMPLE_BITS
from agentgauge.model.series import Times, Values


@dataclass(frozen=True, slots=True)
class RowView:
    """Rows as they were when the view was taken.

    Shapes: t_ms (T,) ascending; rows (T, n), ``NO_SAMPLE`` and stale markers on their bits.
    """

    t_ms: Times
    rows: Values
    complete_from_ms: int


def merge_cells(older: Values, newer: Values) -> Values:
    """Lay one row over another: where the newer has a sample it wins; the result is as wide as the wider."""
    merged = np.full(max(len(older), len(newer)), NO_SAMPLE)
    merged[: len(older)] = older
    present = newer.view(np.uint64) != NO_SAMPLE_BITS
    merged[: len(newer)][present] = newer[present]
    return merged


class Ring:
    """The last ``capacity`` rows of a group. Not thread-safe: the store's lock guards writes and ``view``."""

    __slots__ = ("_n", "_rows", "_t_ms", "_width", "capacity", "complete_from_ms")

    def __init__(self, capacity: int, complete_from_ms: int) -> None:
        self.capacity = capacity
        self.complete_from_ms = complete_from_ms
        self._n = 0
        self._width = 0
        self._t_ms = np.empty(0, np.int64)
        self._rows = np.empty((0, 0))

    def view(self) -> RowView:
        """Return the rows as they are now."""
        return RowView(self._t_ms[: self._n], self._rows[: self._n, : self._width], self.complete_from_ms)

    def find(self, t_ms: int) -> Values | None:
        """Return the row at a time, if it is here."""
        at = int(np.searchsorted(self._t_ms[: self._n], t_ms))
        if at < self._n and self._t_ms[at] == t_ms:
            found: Values = self._rows[at, : self._width]
            return found
        return None

    def put(self, t_ms: int, values: Values) -> None:
        """Take a row, laid over the one at the same time if there is one; a row before the ring's time is ignored."""
        if t_ms < self.complete_from_ms:
            return
        self._width = max(self._width, len(values))
        if self._n and t_ms <= int(self._t_ms[self._n - 1]):
            self._insert(t_ms, values)
            return
        if self._n >= len(self._t_ms) or self._width > self._rows.shape[1]:
            self._renew()
        self._t_ms[self._n] = t_ms
        self._rows[self._n, : len(values)] = values
        self._n += 1

    def size_bytes(self) -> int:
        """Return the memory it takes."""
        return int(self._rows.nbytes + self._t_ms.nbytes)

    def _renew(self) -> None:
        """Move the newest rows to new arrays, with room for half as many again and for new columns."""
        keep = min(self._n, self.capacity)
        if keep < self._n:
            self.complete_from_ms = int(self._t_ms[self._n - keep])
        room = keep + max(self.capacity // 4, 4)
        width = self._rows.shape[1]
        if self._width > width:
            width = self._width if width == 0 else self._width + 32
        t_ms, rows = np.zeros(room, np.int64), np.full((room, width), NO_SAMPLE)
        t_ms[:keep] = self._t_ms[self._n - keep : self._n]
        rows[:keep, : self._rows.shape[1]] = self._rows[self._n - keep : self._n]
        self._t_ms, self._rows, self._n = t_ms, rows, keep

    def _insert(self, t_ms: int, values: Values) -> None:
        at = int(np.searchsorted(self._t_ms[: self._n], t_ms))
        same = self._t_ms[at] == t_ms
        row = merge_cells(self._rows[at], values) if same else merge_cells(np.empty(0), values)
        width = max(self._width, self._rows.shape[1])
        n = self._n if same else self._n + 1
        new_t, new_rows = np.zeros(n, np.int64), np.full((n, width), NO_SAMPLE)
        old_width = self._rows.shape[1]
        new_t[:at], new_rows[:at, :old_width] = self._t_ms[:at], self._rows[:at]
        new_t[at], new_rows[at, : len(row)] = t_ms, row
        rest = at + 1 if same else at
        new_t[at + 1 :], new_rows[at + 1 :, :old_width] = self._t_ms[rest : self._n], self._rows[rest : self._n]
        self._t_ms, self._rows, self._n = new_t, new_rows, n
        if n > 2 * self.capacity:
            # Rows that come before others find no room in the array, so it is cut here.
            self._renew()

    def clear(self) -> None:
        """Let go of all rows; they are on disk."""
        if self._n:
            self.complete_from_ms = int(self._t_ms[self._n - 1]) + 1
        self._n, self._width = 0, 0
        self._t_ms, self._rows = np.empty(0, np.int64), np.empty((0, 0))
