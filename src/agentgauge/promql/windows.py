"""Windows: which rows of samples each step of each series looks at. One shape for dense and ragged data.

A ``Windows`` is a table of samples, rows x columns, and a list of windows, each a run of rows. For a *dense* block
the columns are the series and there is one window per step; for a *ragged* block there is one column, all series'
samples stand below each other, and there is one window per series and step. So a kernel is written once: it answers
(windows, columns), and does not know which of the two it works for.

A window is left-open, (end - range, end]; under ``semantics="2.x"`` both ends are closed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agentgauge.model.series import Times, Values
from agentgauge.promql.summation import exactly_summable

Rows = NDArray[np.int64]

KERNEL_CELLS = 32_768
"""Cells a kernel works on at once: about the size of the second-level cache (promql.md, section 3)."""

_SHORT_WINDOW = 48
"""Samples up to which a window's extreme is found row by row."""

_LONG_WINDOW = 2_000

_EXACT = 2.0**53
"""Whole numbers below this add up without rounding."""

_SERIES_SHIFT = 44
_TIME_LIMIT = 1 << (_SERIES_SHIFT - 1)


@dataclass(slots=True)
class Table:
    """Samples that windows look into, with what is found out about them once.

    Shapes: t_ms (N,); values (N, C).
    ``resets``: sorted rows at which some column dropped, compared with the row above it; None until asked.
    """

    t_ms: Times
    values: Values
    resets: Rows | None = None
    _summable: bool | None = None
    _running: Values | None = None
    _moments: tuple[Values, Values] | None = None
    _span: float | None = None
    _runs: tuple[np.ufunc, int, Values] | None = None

    def summable(self) -> bool:
        """Tell whether sums of these values are exact in any order."""
        if self._summable is None:
            self._summable = exactly_summable(self.values)
        return self._summable

    def running_sums(self) -> Values:
        """Return for each row the sum of all rows above it, (N + 1, C)."""
        if self._running is None:
            self._running = np.zeros((len(self.values) + 1, self.values.shape[1]))
            np.cumsum(self.values, axis=0, out=self._running[1:])
        return self._running

    def running_moments(self) -> tuple[Values, Values]:
        """Return for each row the sums and sums of squares of all rows above it, (N + 1, C), counted from row 0."""
        if self._moments is None:
            sums, squares = (np.zeros((len(self.values) + 1, self.values.shape[1])) for _ in range(2))
            away = self.values - self.values[:1]
            np.cumsum(away, axis=0, out=sums[1:])
            away *= away
            np.cumsum(away, axis=0, out=squares[1:])
            self._moments = sums, squares
        return self._moments

    def span(self) -> float:
        """Return how far any value is from the one in row 0 of its column."""
        if self._span is None:
            self._span = float(np.max(np.abs(self.values - self.values[:1]), initial=0.0))
        return self._span

    def runs(self, ufunc: np.ufunc, exponent: int) -> Values:
        """Return for each row the fold of it and the rows below it, 2**exponent together."""
        known, start, folded = self._runs or (ufunc, 0, self.values)
        if known is not ufunc or start > exponent:
            start, folded = 0, self.values
        for power in range(start, exponent):
            folded = ufunc(folded[: -(1 << power)], folded[1 << power :])
        self._runs = (ufunc, exponent, folded)
        return folded

    def reset_rows(self) -> Rows:
        """Return the rows at which some column is below the row above it."""
        if self.resets is None:
            self.resets = np.flatnonzero((self.values[1:] < self.values[:-1]).any(axis=1)) + 1
        return self.resets


@dataclass(slots=True)
class Windows:
    """W windows over the rows of a table of C columns.

    Shapes: lo, hi (W,): rows lo:hi, hi > lo; end_ms (W,) the window's right edge; eval_ms (W,) the step's time.
    Units: range_ms milliseconds. ``closed``: the 2.x meaning, where the left edge belongs to the window.
    """

    table: Table
    lo: Rows
    hi: Rows
    end_ms: Times
    eval_ms: Times
    range_ms: int
    closed: bool = False

    @property
    def values(self) -> Values:
        """Return the table's values (N, C)."""
        return self.table.values

    @property
    def n(self) -> Rows:
        """Return the number of samples in each window (W,)."""
        return self.hi - self.lo

    def first(self) -> Values:
        """Return each window's first values (W, C)."""
        return np.take(self.table.values, self.lo, axis=0)

    def last(self) -> Values:
        """Return each window's last values (W, C)."""
        return np.take(self.table.values, self.hi - 1, axis=0)

    def shape(self) -> tuple[int, int]:
        """Return (W, C)."""
        return len(self.lo), self.table.values.shape[1]

    def subset(self, index: slice | NDArray[np.intp] | NDArray[np.bool_]) -> Windows:
        """Return some of the windows over the same table."""
        return Windows(
            self.table,
            self.lo[index],
            self.hi[index],
            self.end_ms[index],
            self.eval_ms[index],
            self.range_ms,
            self.closed,
        )

    def extreme(self, ufunc: np.ufunc) -> Values:
        """Fold each window's rows with ``fmin`` or ``fmax``: (W, C).

        Short windows go row by row, which is 20 times faster than ``reduceat`` along the first axis (measured, NumPy
        2.4); a long one is covered by two overlapping runs whose length is a power of two.
        """
        n = self.n
        if int(n.max()) <= _SHORT_WINDOW:
            result = self.first()
            for element, has, _rows in self.elements():
                ufunc(result, element, out=result, where=True if has is None else has)
            return result
        result = np.empty(self.shape())
        power = np.frexp(n.astype(np.float64))[1] - 1
        for exponent in np.unique(power):
            part, runs = power == exponent, self.table.runs(ufunc, int(exponent))
            result[part] = ufunc(runs[self.lo[part]], runs[self.hi[part] - (1 << int(exponent))])
        return result

    def whole_sums(self) -> Values:
        """Add up each window's rows (W, C) by running sums: exact for a ``summable`` table."""
        running = self.table.running_sums()
        sums: Values = running[self.hi] - running[self.lo]
        return sums

    def whole_variance(self) -> Values | None:
        """Return each window's population variance (W, C), rounded once; None where its sums would not be exact."""
        table, longest = self.table, int(self.n.max())
        if not table.summable() or table.span() ** 2 * max(len(table.values), longest**2) >= _EXACT:
            return None
        sums, squares = table.running_moments()
        n = self.n[:, None].astype(np.float64)
        total = sums[self.hi] - sums[self.lo]
        spread = squares[self.hi] - squares[self.lo]
        spread *= n
        total *= total
        spread -= total
        spread /= n * n
        return spread

    def elements(self) -> Iterator[tuple[Values, NDArray[np.bool_] | None, Rows]]:
        """Yield the i-th sample of every window: values (W, C), which windows have one (W, 1) or None, rows (W,)."""
        n = self.n
        longest, shortest = int(n.max()), int(n.min())
        for i in range(longest):
            rows = self.lo + i
            if i < shortest:
                yield np.take(self.table.values, rows, axis=0), None, rows
            else:
                has = i < n
                rows = np.where(has, rows, self.lo)
                yield np.take(self.table.values, rows, axis=0), has[:, None], rows


def slice_cells(lo: Rows, hi: Rows) -> int:
    """Return how many cells to work on between two checks: fewer when a kernel walks along very long windows."""
    longest = int((hi - lo).max(initial=0))
    return KERNEL_CELLS if longest <= _LONG_WINDOW else KERNEL_CELLS // 8


def dense_rows(t_ms: Times, ends_ms: Times, range_ms: int, *, closed: bool) -> tuple[Rows, Rows]:
    """Return for each step the rows lo:hi of one group's timestamps that lie in the window."""
    lo = np.searchsorted(t_ms, ends_ms - range_ms, "left" if closed else "right")
    return lo, np.searchsorted(t_ms, ends_ms, "right")


@dataclass(frozen=True, slots=True)
class RaggedIndex:
    """Finds windows in many series at once: one sorted key, series number above time.

    Shapes: key (N,); offsets (S + 1,). Times are counted from ``base_ms``.
    """

    key: Rows
    offsets: Rows
    base_ms: int

    @classmethod
    def of(cls, t_ms: Times, offsets: Rows) -> RaggedIndex:
        """Build the key of concatenated series."""
        base = int(t_ms.min()) if len(t_ms) else 0
        series = np.repeat(np.arange(len(offsets) - 1, dtype=np.int64), np.diff(offsets))
        return cls((series << _SERIES_SHIFT) + (t_ms - base + 1), offsets, base)

    def rows(self, ends_ms: Times, range_ms: int, *, closed: bool) -> tuple[Rows, Rows]:
        """Return rows lo:hi for each series and step, flattened series by series: (S * K,) each."""
        lo = self._search(ends_ms - range_ms, "left" if closed else "right")
        return lo, self._search(ends_ms, "right")

    def _search(self, times_ms: Times, side: str) -> Rows:
        series = np.arange(len(self.offsets) - 1, dtype=np.int64)[:, None] << _SERIES_SHIFT
        times = np.clip(times_ms - self.base_ms + 1, 0, _TIME_LIMIT)[None, :]
        found: Rows = np.searchsorted(self.key, (series + times).ravel(), side)  # type: ignore[call-overload]
        return found
