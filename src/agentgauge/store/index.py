"""Label pair → series ids, and matchers evaluated on it. Pure: no I/O, no lock, no clock.

Postings are int32 arrays, ascending because ids are given in order; label pairs are interned, so that a series costs
one tuple of references. Matchers run once per distinct value of their label, regexes are compiled by the factory that
the caller injects (the engine's, so that both read a pattern alike).
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from agentgauge.model.labels import Labels, Matcher

SeriesIds = NDArray[np.int64]
MAX_PATTERNS = 1_000


class Pattern(Protocol):
    """A compiled regular expression; only whole values match."""

    def fullmatch(self, value: str, /) -> object | None:
        """Return something true when the whole value matches."""


CompileRegex = Callable[[str], Pattern]


class Index:
    """All series that the store knows. Ids are 0, 1, 2, … and index the arrays of ``store/catalog.py``."""

    __slots__ = ("_compile", "_ids", "_labels", "_pairs", "_patterns", "_postings")

    def __init__(self, compile_regex: CompileRegex) -> None:
        self._compile = compile_regex
        self._labels: list[Labels | None] = []
        self._ids: dict[Labels, int] = {}
        self._pairs: dict[tuple[str, str], tuple[str, str]] = {}
        self._postings: dict[str, dict[str, array[int]]] = {}
        self._patterns: dict[str, Pattern] = {}

    def __len__(self) -> int:
        """Return how many ids were given: the next one."""
        return len(self._labels)

    @property
    def n_series(self) -> int:
        """How many series there are."""
        return len(self._ids)

    def find(self, labels: Labels) -> int | None:
        """Return the id of a label set."""
        return self._ids.get(labels)

    def labels(self, series_id: int) -> Labels:
        """Return the label set of an id."""
        found = self._labels[series_id]
        assert found is not None, f"BUG: series {series_id} does not exist"
        return found

    def intern(self, labels: Labels) -> Labels:
        """Return an equal label set whose pairs are shared with those of other series."""
        pairs = self._pairs
        return tuple(pairs.setdefault(pair, pair) for pair in labels)

    def add(self, series_id: int, labels: Labels) -> Labels:
        """Add a series under an id not below any before; return the interned label set."""
        while len(self._labels) < series_id:
            self._labels.append(None)
        assert series_id == len(self._labels), f"BUG: id {series_id} after {len(self._labels)}"
        labels = self.intern(labels)
        self._labels.append(labels)
        self._ids[labels] = series_id
        for name, value in labels:
            self._postings.setdefault(name, {}).setdefault(value, array("i")).append(series_id)
        return labels

    def remove(self, series_ids: Iterable[int]) -> None:
        """Forget series. Their ids are not given again."""
        gone = {i for i in series_ids if self._labels[i] is not None}
        touched: set[tuple[str, str]] = set()
        for series_id in gone:
            labels = self.labels(series_id)
            touched.update(labels)
            del self._ids[labels]
            self._labels[series_id] = None
        for name, value in touched:
            left = array("i", (i for i in self._postings[name][value] if i not in gone))
            if left:
                self._postings[name][value] = left
                continue
            del self._postings[name][value]
            self._pairs.pop((name, value), None)
            if not self._postings[name]:
                del self._postings[name]

    def match(self, matchers: Sequence[Matcher]) -> SeriesIds:
        """Return the ids of the series that satisfy all matchers, ascending."""
        n = len(self._labels)
        chosen = np.zeros(n, np.bool_)
        first = next((m for m in matchers if m.op == "=" and m.value), None)
        if first is not None:
            posting = self._postings.get(first.name, {}).get(first.value)
            if posting is None:
                return np.empty(0, np.int64)
            chosen[np.array(posting, np.int64)] = True
        else:
            chosen[[i for i, labels in enumerate(self._labels) if labels is not None]] = True
        for matcher in matchers:
            if matcher is not first:
                chosen &= self._mask(matcher, n)
        return np.flatnonzero(chosen)

    def names(self) -> Iterable[str]:
        """Return the label names in use."""
        return self._postings.keys()

    def values(self, name: str) -> Iterable[str]:
        """Return the values of a label."""
        return self._postings.get(name, {}).keys()

    def counts(self, name: str) -> dict[str, int]:
        """Return how many series have each value of a label."""
        return {value: len(ids) for value, ids in self._postings.get(name, {}).items()}

    def _mask(self, matcher: Matcher, n: int) -> NDArray[np.bool_]:
        postings = self._postings.get(matcher.name, {})
        positive = matcher.op in ("=", "=~")
        test = self._test(matcher)
        # Values that pass are marked; a series without the label counts as having the empty value.
        mask = np.zeros(n, np.bool_)
        if test("") == positive:
            mask[:] = True
            for value, ids in postings.items():
                if test(value) != positive:
                    mask[np.array(ids, np.int64)] = False
        else:
            for value, ids in postings.items():
                if test(value) == positive:
                    mask[np.array(ids, np.int64)] = True
        return mask

    def _test(self, matcher: Matcher) -> Callable[[str], bool]:
        if matcher.op in ("=", "!="):
            wanted = matcher.value
            return lambda value: value == wanted
        pattern = self._pattern(matcher.value)
        return lambda value: pattern.fullmatch(value) is not None

    def _pattern(self, text: str) -> Pattern:
        pattern = self._patterns.get(text)
        if pattern is None:
            pattern = self._compile(text)
            if len(self._patterns) >= MAX_PATTERNS:
                self._patterns.clear()
            self._patterns[text] = pattern
        return pattern
