"""Where the series of a selector are, found once and kept while the catalog stays as it is.

A dashboard asks the same selectors again and again. What they match changes only when series, columns or groups come
or go; which of the columns have samples in the window is looked up every time. The label sets of a batch of columns
are one and the same tuple as long as nothing changes, so that the engine knows it again (``promql/memory.py``). Pure;
guarded by the store's lock, but for what a query was given: that is never changed.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from agentgauge.model.labels import Labels, Matcher
from agentgauge.model.series import Mask
from agentgauge.store.chunk import BATCH

_Kept = TypeVar("_Kept")

MAX_SELECTORS = 512
MAX_SERIES = 500_000
MAX_CUTS = 4
"""Windows of a selector that differ in their live columns and are remembered."""


@dataclass(slots=True)
class Batch:
    """The columns of one selector in one batch of chunks."""

    columns: NDArray[np.int64]
    labels: tuple[Labels, ...]
    _cuts: dict[bytes, tuple[Labels, ...]] = field(default_factory=dict)

    def labels_of(self, some: NDArray[np.intp]) -> tuple[Labels, ...]:
        """Return the label sets of some of the columns, the same tuple for the same ones."""
        key = some.tobytes()
        found = self._cuts.get(key)
        if found is None:
            found = tuple(self.labels[i] for i in some.tolist())
            _keep(self._cuts, key, found)
        return found


@dataclass(slots=True)
class Places:
    """Columns of one group, ascending, the series in them, their label sets."""

    columns: NDArray[np.int64]
    series: NDArray[np.int64]
    labels: tuple[Labels, ...]
    _batches: tuple[Batch, ...] | None = None
    _cuts: dict[bytes, Places] = field(default_factory=dict)

    def cut(self, live: Mask) -> Places:
        """Keep the columns that are live."""
        if live.all():
            return self
        key = np.packbits(live).tobytes()
        found = self._cuts.get(key)
        if found is None:
            labels = tuple(self.labels[i] for i in np.flatnonzero(live).tolist())
            found = Places(self.columns[live], self.series[live], labels)
            _keep(self._cuts, key, found)
        return found

    def batches(self) -> tuple[Batch, ...]:
        """Cut the columns where the batches of the chunks begin."""
        if self._batches is None:
            cuts = np.flatnonzero(np.diff(self.columns // BATCH)) + 1
            edges = [0, *cuts.tolist(), len(self.columns)]
            pieces = [slice(a, b) for a, b in pairwise(edges) if b > a]
            self._batches = tuple(Batch(self.columns[piece], self.labels[piece]) for piece in pieces)
        return self._batches


@dataclass(frozen=True, slots=True)
class Placed:
    """What a selector matches: by group id the series that live in one group, and those that lived in several."""

    by_group: tuple[tuple[int, Places], ...]
    several: NDArray[np.int64]

    @property
    def n_series(self) -> int:
        """How many series there are."""
        return sum(len(places.labels) for _, places in self.by_group) + len(self.several)


class PlaceCache:
    """Selector → where its series are; least recently used out first."""

    def __init__(self) -> None:
        self._placed: OrderedDict[tuple[Matcher, ...], Placed] = OrderedDict()
        self._n_series = 0

    def clear(self) -> None:
        """Forget everything: series, columns or groups changed."""
        if self._placed:
            self._placed.clear()
            self._n_series = 0

    def get(self, matchers: Sequence[Matcher]) -> Placed | None:
        """Return what was found before."""
        key = tuple(matchers)
        found = self._placed.get(key)
        if found is not None:
            self._placed.move_to_end(key)
        return found

    def put(self, matchers: Sequence[Matcher], placed: Placed) -> None:
        """Keep what was found."""
        self._placed[tuple(matchers)] = placed
        self._n_series += placed.n_series
        while len(self._placed) > MAX_SELECTORS or (self._n_series > MAX_SERIES and len(self._placed) > 1):
            _, old = self._placed.popitem(last=False)
            self._n_series -= old.n_series


def _keep(kept: dict[bytes, _Kept], key: bytes, found: _Kept) -> None:
    """Add a cut; the oldest goes when there are many. Two queries that do so at once lose at most a cut."""
    while len(kept) >= MAX_CUTS:
        kept.pop(next(iter(kept)), None)
    kept[key] = found
