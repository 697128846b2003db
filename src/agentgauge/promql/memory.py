"""What was found out about a block's labels, kept while its source gives the same labels again.

A store hands out one tuple of label sets for the same columns, query after query. Which group each of them belongs to
is then known after the first query, and a refresh costs no Python per series. Facts hang on the identity of the
tuple, which is kept alive with them; lists, which could change, are not remembered.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from typing import Any, TypeVar

from agentgauge.model.labels import Labels

MAX_SERIES = 400_000
"""Series times facts that are remembered: about 16 bytes each."""

_Fact = TypeVar("_Fact")


class LabelMemory:
    """Facts about tuples of label sets, those least recently used forgotten first. Thread-safe."""

    def __init__(self, max_series: int = MAX_SERIES) -> None:
        self._max_series = max_series
        self._size = 0
        self._facts: OrderedDict[tuple[int, Hashable], tuple[Sequence[Labels], Any]] = OrderedDict()
        self._lock = threading.Lock()

    def fact(self, labels: Sequence[Labels], key: Hashable, find: Callable[[], _Fact]) -> _Fact:
        """Return what ``find`` finds about labels, or found before under this key."""
        if type(labels) is not tuple:
            return find()
        place = (id(labels), key)
        with self._lock:
            known = self._facts.get(place)
            if known is not None:
                self._facts.move_to_end(place)
        if known is not None:
            kept: _Fact = known[1]
            return kept
        found = find()
        with self._lock:
            if place not in self._facts:
                self._facts[place] = (labels, found)
                self._size += len(labels)
            while self._size > self._max_series and self._facts:
                _, (old, _) = self._facts.popitem(last=False)
                self._size -= len(old)
        return found
