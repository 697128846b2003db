"""What the store knows in memory: series, the groups they live in, the column of each. Pure; guarded by its owner.

A series has a *placement*, (group, column), in every group it ever lived in: usually one. A group that was renumbered
(churn) goes on as a new ``Group`` of the same key and the next epoch; a series that is scraped by one group and pushed
to another has a placement in both. Per column the first and last time with a sample are kept, so that a query skips
what cannot be in its window.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agentgauge.model.labels import Labels, Matcher
from agentgauge.model.sample import NO_SAMPLE_BITS
from agentgauge.model.series import Values
from agentgauge.store.growing import Growing
from agentgauge.store.head import Ring, RowView
from agentgauge.store.index import CompileRegex, Index
from agentgauge.store.places import PlaceCache, Placed, Places

NEVER_MS = -(1 << 62)
FOREVER_MS = 1 << 62
LIVE_MS = 15 * 60_000
JUMP_MS = 3_600_000
MIN_RENUMBERED = 512
MIN_RING_ROWS, MAX_RING_ROWS = 8, 64


class Group:
    """The columns of one scrape group in one epoch."""

    __slots__ = (
        "epoch",
        "first_ms",
        "id",
        "key",
        "last_ms",
        "newest_ms",
        "ragged",
        "ring",
        "series",
        "unsealed_from_ms",
        "unsealed_rows",
        "unsealed_to_ms",
        "wants_renumbering",
        "wants_sealing",
    )

    def __init__(self, group_id: int, key: str, epoch: int, ragged: bool, newest_ms: int = NEVER_MS) -> None:
        self.id = group_id
        self.key = key
        self.epoch = epoch
        self.ragged = ragged
        self.newest_ms = newest_ms
        self.unsealed_rows = 0
        self.wants_renumbering = False
        self.wants_sealing = False
        self.unsealed_from_ms, self.unsealed_to_ms = FOREVER_MS, NEVER_MS
        self.series = Growing(np.int32)
        self.first_ms = Growing(np.int64)
        self.last_ms = Growing(np.int64)
        self.ring = Ring(MAX_RING_ROWS, NEVER_MS)

    @property
    def n_columns(self) -> int:
        """How many columns there are."""
        return len(self.series)

    def added_rows(self, n_rows: int, first_ms: int, last_ms: int) -> None:
        """Note rows (of a ragged group samples) that came to the head; a jump ahead closes what was open."""
        if self.unsealed_rows and first_ms - self.newest_ms > JUMP_MS:
            self.wants_sealing = True
        self.newest_ms = max(self.newest_ms, last_ms)
        self.unsealed_rows += n_rows
        self.unsealed_from_ms = min(self.unsealed_from_ms, first_ms)
        self.unsealed_to_ms = max(self.unsealed_to_ms, last_ms)

    def sealed_rows(self, n_rows: int) -> None:
        """Note that rows left the head for chunks."""
        self.unsealed_rows = max(0, self.unsealed_rows - n_rows)
        self.wants_sealing = False
        if self.unsealed_rows:
            # Those that came while the others were encoded: as old as the last of them at least.
            self.unsealed_from_ms = min(self.newest_ms, self.unsealed_to_ms)
        else:
            self.unsealed_from_ms, self.unsealed_to_ms = FOREVER_MS, NEVER_MS

    def live_columns(self) -> NDArray[np.int64]:
        """Return the columns that had a sample lately."""
        return np.flatnonzero(self.last_ms.view() >= self.newest_ms - LIVE_MS)

    def has_many_dead(self) -> bool:
        """Tell whether renumbering is worth it: a quarter of many columns are dead.

        Series leave the index and the file with the group that they died in, so this bounds what churn costs.
        """
        return self.n_columns >= MIN_RENUMBERED and len(self.live_columns()) * 4 < self.n_columns * 3

    def saw_row(self, t_ms: int, values: Values) -> None:
        """Note which columns have a sample (stale markers count) at a time."""
        present = values.view(np.uint64) != NO_SAMPLE_BITS
        first, last = self.first_ms.view()[: len(values)], self.last_ms.view()[: len(values)]
        np.minimum(first, t_ms, out=first, where=present)
        np.maximum(last, t_ms, out=last, where=present)

    def saw_samples(self, columns: NDArray[np.int64], t_ms: NDArray[np.int64]) -> None:
        """Note samples with times of their own."""
        np.minimum.at(self.first_ms.view(), columns, t_ms)
        np.maximum.at(self.last_ms.view(), columns, t_ms)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Columns of one group that a query needs; ``view`` is the group's ring when the query was planned."""

    group: Group
    places: Places
    view: RowView

    @property
    def columns(self) -> NDArray[np.int64]:
        """The columns, ascending."""
        return self.places.columns

    @property
    def series(self) -> NDArray[np.int64]:
        """The series in these columns."""
        return self.places.series

    @property
    def labels(self) -> Sequence[Labels]:
        """The label sets of these series."""
        return self.places.labels


@dataclass(frozen=True, slots=True)
class SelectPlan:
    """Where a query's series are: in one place each, or (``split``) in several that overlap the window."""

    whole: tuple[Wanted, ...]
    split: tuple[Wanted, ...]


class Catalog:
    """All series and groups. Not thread-safe: the store's lock guards it."""

    def __init__(self, compile_regex: CompileRegex, ring_bytes: int) -> None:
        self.index = Index(compile_regex)
        self.groups: dict[int, Group] = {}
        self.current: dict[str, Group] = {}
        self.next_group_id = 0
        self._ring_bytes = ring_bytes
        self._n_columns = 0
        self._group_of = Growing(np.int32)
        self._column_of = Growing(np.int32)
        self._others: dict[int, list[tuple[int, int]]] = {}
        self._placed = PlaceCache()

    def add_group(self, group: Group) -> None:
        """Take a group; the highest epoch of a key is its current one."""
        self.groups[group.id] = group
        self.next_group_id = max(self.next_group_id, group.id + 1)
        before = self.current.get(group.key)
        if before is None or before.epoch < group.epoch:
            self.current[group.key] = group

    def add_series(self, series_id: int, labels: Labels) -> Labels:
        """Take a series; ids ascend, gaps are allowed."""
        self._placed.clear()
        while len(self._group_of) <= series_id:
            self._group_of.append(-1)
            self._column_of.append(-1)
        return self.index.add(series_id, labels)

    def add_column(self, group: Group, series_id: int, first_ms: int = FOREVER_MS, last_ms: int = NEVER_MS) -> None:
        """Give a series the next column of a group."""
        self._placed.clear()
        column = group.n_columns
        group.series.append(series_id)
        group.first_ms.append(first_ms)
        group.last_ms.append(last_ms)
        before = int(self._group_of.view()[series_id])
        if before >= 0:
            self._others.setdefault(series_id, []).append((before, int(self._column_of.view()[series_id])))
        self._group_of.view()[series_id] = group.id
        self._column_of.view()[series_id] = column
        self._n_columns += 1

    def orphans(self, groups: Sequence[Group]) -> list[int]:
        """Return the series that live in these groups only."""
        gone = {group.id for group in groups}
        ids = {i for group in groups for i in group.series.view().tolist()}
        return sorted(i for i in ids if all(group_id in gone for group_id, _ in self.placements(i)))

    def remove_groups(self, groups: Sequence[Group]) -> None:
        """Forget groups, and the series that live in no other."""
        self._placed.clear()
        alone = self.orphans(groups)
        gone = {group.id for group in groups}
        for group in groups:
            del self.groups[group.id]
            if self.current.get(group.key) is group:
                del self.current[group.key]
            self._n_columns -= group.n_columns
        for series_id in {i for group in groups for i in group.series.view().tolist()}:
            left = [place for place in self.placements(series_id) if place[0] not in gone]
            self._group_of.view()[series_id], self._column_of.view()[series_id] = left[-1] if left else (-1, -1)
            self._others.pop(series_id, None)
            if len(left) > 1:
                self._others[series_id] = left[:-1]
        self.index.remove(alone)

    def size_ring(self, group: Group) -> None:
        """Set how many rows a group's ring keeps: all rings together stay near their budget."""
        rows = self._ring_bytes // max(8 * self._n_columns, 1)
        group.ring.capacity = min(max(rows, MIN_RING_ROWS), MAX_RING_ROWS)

    def placements(self, series_id: int) -> list[tuple[int, int]]:
        """Return all (group id, column) of a series, oldest group first."""
        last = (int(self._group_of.view()[series_id]), int(self._column_of.view()[series_id]))
        return sorted([*self._others.get(series_id, []), last])

    def plan(self, matchers: Sequence[Matcher], start_ms: int, end_ms: int) -> SelectPlan:
        """Find the columns whose samples may match and lie in the window."""
        known = self._placed.get(matchers)
        if known is None:
            ids = self.index.match(matchers)
            several = np.zeros(len(ids), np.bool_)
            if self._others:
                several = np.isin(ids, np.fromiter(self._others, np.int64, len(self._others)))
            known = Placed(self._by_group(self._last_places(ids[~several])), ids[several])
            self._placed.put(matchers, known)
        split: list[tuple[int, int, int]] = []
        alone: list[tuple[int, int, int]] = []
        for series_id in known.several.tolist():
            found = [p for p in self.placements(series_id) if self._overlaps(p, start_ms, end_ms)]
            (alone if len(found) == 1 else split).extend((*place, series_id) for place in found)
        whole = known.by_group
        if alone:
            everything = np.concatenate([np.array(alone, np.int64), *(_rows(*one) for one in whole)])
            whole = self._by_group(everything)
        apart = self._by_group(np.array(split, np.int64).reshape(-1, 3))
        return SelectPlan(self._wanted(whole, start_ms, end_ms), self._wanted(apart, start_ms, end_ms))

    def live(self, ids: NDArray[np.int64], start_ms: int, end_ms: int) -> NDArray[np.int64]:
        """Return those series that may have samples in the window."""
        groups, columns = self._group_of.view()[ids], self._column_of.view()[ids]
        keep = np.zeros(len(ids), np.bool_)
        order = np.argsort(groups, kind="stable")
        order = order[groups[order] >= 0]
        for mine in np.split(order, np.flatnonzero(np.diff(groups[order])) + 1) if len(order) else ():
            group = self.groups[int(groups[mine[0]])]
            first, last = group.first_ms.view()[columns[mine]], group.last_ms.view()[columns[mine]]
            keep[mine] = (first <= end_ms) & (last >= start_ms)
        for at in np.flatnonzero(~keep).tolist() if self._others else []:
            others = self._others.get(int(ids[at]), [])
            keep[at] = any(self._overlaps(place, start_ms, end_ms) for place in others)
        return ids[keep]

    def _overlaps(self, place: tuple[int, int], start_ms: int, end_ms: int) -> bool:
        group, column = self.groups[place[0]], place[1]
        return bool(group.first_ms.view()[column] <= end_ms and group.last_ms.view()[column] >= start_ms)

    def _last_places(self, ids: NDArray[np.int64]) -> NDArray[np.int64]:
        return np.column_stack((self._group_of.view()[ids], self._column_of.view()[ids], ids)).astype(np.int64)

    def _by_group(self, places: NDArray[np.int64]) -> tuple[tuple[int, Places], ...]:
        """Sort (group id, column, series id) rows by group, then column."""
        found = []
        places = places[np.lexsort((places[:, 1], places[:, 0]))]
        for mine in np.split(places, np.flatnonzero(np.diff(places[:, 0])) + 1) if len(places) else ():
            group_id = int(mine[0, 0])
            labels = tuple(self.index.labels(i) for i in mine[:, 2].tolist())
            found.append((group_id, Places(mine[:, 1].copy(), mine[:, 2].copy(), labels)))
        return tuple(found)

    def _wanted(self, by_group: Sequence[tuple[int, Places]], start_ms: int, end_ms: int) -> tuple[Wanted, ...]:
        """Leave out the columns without samples in the window."""
        wanted = []
        for group_id, places in by_group:
            group = self.groups[group_id]
            columns = places.columns
            live = (group.first_ms.view()[columns] <= end_ms) & (group.last_ms.view()[columns] >= start_ms)
            if live.any():
                wanted.append(Wanted(group, places.cut(live), group.ring.view()))
        return tuple(wanted)


def _rows(group_id: int, places: Places) -> NDArray[np.int64]:
    return np.column_stack((np.full(len(places.columns), group_id), places.columns, places.series))
